"""Malformed inputs: each is refused with exit code 2, in words that name the place and what is allowed; nothing is written.

The tables hold the damage beside the words that a user must get. Words that begin with a colon follow the file's name, as
in ``experiment.yaml:7: budget.trials = 0: must be at least 1``.
"""

# ruff: noqa: E501 - a row of a table is a line, as long as the words that it holds the program to

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import SYNTHETIC, changed, listing, resealed, save, unsealed
from hypercurve.cli import main
from hypercurve.events.encoding import to_bytes, without_wall

# What no user should have to read, whoever wrote it.
RAW = (
    "Traceback",
    "Input should",
    "pydantic",
    "valid dictionary",
    "constrained-",
    "<class",
    "dict_type",
    "unable to parse",
)


def refused(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must refuse its input; returns what it says."""
    before = listing(folder)
    code = main(arguments)
    said = capsys.readouterr()
    assert code == 2, f"exit code {code}, not 2:\n{said.err}"
    assert said.out == ""
    assert listing(folder) == before, "something was written"
    assert not [words for words in RAW if words in said.err], said.err
    return said.err


# Experiment files: what is replaced in conftest.SYNTHETIC, by what, and the words.
# The lines are: 1 description, 2 data, 3 model, 4 space, 5 learning_rate, 6 momentum, 7 batch_size, 8 budget, 9 training,
# 10 methods, 11 random, 12 lcm.
RANDOM = "random: {search: random}\n"
RATE = "{log_uniform: [0.001, 1.0]}"
SIZE = "{choice: [32, 64], ordered: true}"
LCM = "{split: 0.2, check_points: [0.2, 0.4]}"
REST = SYNTHETIC[SYNTHETIC.index("{trials: 20}") :]
EXPERIMENTS: list[tuple[str, str, str, str]] = [
    # misspelt, level by level
    ("key of the file", "budget:", "bugdet:", ":8: bugdet: unknown key; allowed: description, data, model,"),
    ("and what it should be", "budget:", "bugdet:", "did you mean 'budget'?"),
    ("and that it lacks", "budget:", "bugdet:", ":1: budget: is required"),
    ("key of data", "validation", "validaton", ":2: data.validaton = 0.25: unknown key; allowed: name, path, function, task, scale, test, curves, metric, shuffle, validation, seed; did you mean 'validation'?"),
    ("name of data", "digits", "digit", ':2: data.name = "digit": must be one of digits, mnist, fashion_mnist, cifar10; did you mean \'digits\'?'),
    ("model", "synthetic", "syntetic", ':3: model = "syntetic": must be one of softmax, dense, mlp, cnn, synthetic, recorded; or your own: package.module:function, or {keras: ...}, {loop: ...}, {command: ...}; did you mean \'synthetic\'?'),
    ("hyperparameter", "momentum", "momentun", ":6: space.momentun: unknown key: model synthetic has learning_rate, momentum,"),
    ("nearest hyperparameter", "momentum", "momentun", "did you mean 'momentum'?"),
    ("hyperparameter of another model", "momentum: {uniform: [0.0, 0.99]}", "units: 32", ":6: space.units = 32: unknown key: model synthetic has learning_rate, momentum, batch_size, epochs"),
    ("domain", "log_uniform", "loguniform", ":5: space.learning_rate.loguniform = [0.001, 1.0]: unknown domain 'loguniform'; did you mean 'log_uniform'? allowed: uniform, log_uniform, integer, choice, constant"),
    ("option of a domain", "ordered", "orderd", ":7: space.batch_size.orderd = true: unknown option of choice 'orderd'; did you mean 'ordered'? allowed: when, choice, ordered"),
    ("kind of budget", "trials: 20", "trial: 20", ":8: budget.trial = 20: unknown key; allowed: trials, seconds, samples, cost, at; did you mean 'trials'?"),
    ("key of training", "accumulation_points", "acumulation_points", ":9: training.acumulation_points = 5: unknown key; allowed: accumulation_points, evaluate, class_weight, threads, compiler; did you mean 'accumulation_points'?"),
    ("key of a method", RANDOM, "random: {serch: random}\n", ':11: methods.random.serch = "random": unknown key; allowed: description, search, stop, population,'),
    ("nearest key of a method", RANDOM, "random: {serch: random}\n", "did you mean 'search'?"),
    ("searcher", RANDOM, "random: {search: randm}\n", ':11: methods.random.search = "randm": must be one of '),
    ("nearest searcher", RANDOM, "random: {search: randm}\n", "did you mean 'random'?"),
    ("searcher with options", RANDOM, "random: {search: {gird: {points: 3}}}\n", ":11: methods.random.search.gird: unknown key; allowed: random, grid,"),
    ("option of a searcher", RANDOM, "random: {search: {grid: {point: 3}}}\n", ":11: methods.random.search.grid.point = 3: unknown key; allowed: points; did you mean 'points'?"),
    ("option where there are none", RANDOM, "random: {search: {random: {points: 3}}}\n", ":11: methods.random.search.random.points = 3: unknown key; allowed: none"),
    ("stopper", "stop: {lcm:", "stop: {lmc:", ":12: methods.lcm.stop.lmc: unknown key; allowed: lcm"),
    ("option of a stopper", "split: 0.2", "spilt: 0.2", ":12: methods.lcm.stop.lcm.spilt = 0.2: unknown key; allowed: stopping_rate, split, check_points, distance, configurations; did you mean 'split'?"),
    ("distance", LCM, "{check_points: [0.2], distance: euclid}", ':12: methods.lcm.stop.lcm.distance = "euclid": must be one of euclidean, manhattan, cosine, dtw; did you mean \'euclidean\'?'),
    ("metric", "training:", "objective: {metric: acuracy}\ntraining:", ":9: objective: needs `mode`: whether more (max) or less (min) of acuracy is better; or did you mean 'accuracy'?"),
    ("figure", "training:", "figures: [curve]\ntraining:", ':9: figures.0 = "curve": must be one of pareto, heatmaps,'),
    ("baseline", "training:", "baseline: lmc\ntraining:", ":9: baseline = \"lmc\": must name a method: random, lcm; did you mean 'lcm'?"),
    # missing, or of the wrong kind
    ("no methods", SYNTHETIC[SYNTHETIC.index("methods:") :], "", ":1: methods: is required"),
    ("empty methods", SYNTHETIC[SYNTHETIC.index("methods:") :], "methods: {}\n", ":10: methods: must not be empty"),
    ("methods as a list", SYNTHETIC[SYNTHETIC.index("methods:") :], "methods: [random]\n", ':10: methods = ["random"]: must be a mapping, such as {name: value}'),
    ("method without a searcher", RANDOM, "random: {slots: 2}\n", ":11: methods.random: needs either `search`, with or without `stop`, or `population`"),
    ("method as a word", RANDOM, "random: random\n", ':11: methods.random = "random": must be a mapping with keys among description, search,'),
    ("searcher as a list", RANDOM, "random: {search: [random]}\n", ':11: methods.random.search = ["random"]: must be one of random, grid,'),
    ("data as a word", "{name: digits, validation: 0.25}", "digits", ':2: data = "digits": must be a mapping with keys among name, path, function, task, scale, test, curves, metric, shuffle, validation, seed'),
    ("budget as a number", "{trials: 20}", "20", ":8: budget = 20: must be a mapping with keys among trials, seconds, samples, cost, at"),
    ("list as a domain", RATE, "[0.1, 0.2]", ":5: space.learning_rate = [0.1, 0.2]: a list of values is written {choice: [...]}, a range {uniform: [low, high]}"),
    ("text for a number", "trials: 20", "trials: many", ':8: budget.trials = "many": must be a whole number'),
    ("number in quotes", "trials: 20", "trials: '20'", ':8: budget.trials = "20": must be a whole number'),
    ("truth value for a number", "training:", "repeats: true\ntraining:", ":9: repeats = true: must be a whole number"),
    ("fraction for a whole number", "trials: 20", "trials: 2.5", ":8: budget.trials = 2.5: must be a whole number"),
    ("number for text", "a small experiment on learning curves by formula", "5", ":1: description = 5: must be text"),
    ("number for a list", "training:", "figures: best\ntraining:", ':9: figures = "best": must be a list'),
    # out of bounds
    ("no validation", "0.25", "0", ":2: data.validation = 0: must be a number of examples, at least 1, or a share of them above 0 and below 1"),
    ("name and path", "name: digits", "name: digits, path: x.npz", ":2: data: give one of `name`, `path`, `function` and `curves`"),
    ("neither name nor path", "name: digits, ", "", ":2: data: give one of `name`, `path`, `function` and `curves`"),
    ("low above high", "[0.001, 1.0]", "[1.0, 0.001]", ":5: space.learning_rate.log_uniform = [1.0, 0.001]: low must be below high"),
    ("logarithm of zero", "[0.001, 1.0]", "[0.0, 1.0]", ":5: space.learning_rate.log_uniform = [0.0, 1.0]: low must be above 0"),
    ("three bounds", "[0.001, 1.0]", "[0.1, 0.5, 1.0]", ":5: space.learning_rate.log_uniform = [0.1, 0.5, 1.0]: expected two numbers [low, high]"),
    ("NaN as a bound", "[0.001, 1.0]", "[.nan, 1.0]", ":5: space.learning_rate.log_uniform.0 = NaN: must be a finite number"),
    ("no bound above", "[0.001, 1.0]", "[0.1, .inf]", ":5: space.learning_rate.log_uniform.1 = Infinity: must be a finite number"),
    ("empty choice", "[32, 64]", "[]", ":7: space.batch_size.choice = []: expected at least one value"),
    ("value twice", "[32, 64]", "[32, 32]", ":7: space.batch_size.choice = [32, 32]: 32 is listed twice"),
    ("two domains", SIZE, "{choice: [32], uniform: [1, 2]}", ":7: space.batch_size: expected one domain, got uniform and choice together"),
    ("momentum up to 2", "0.99]", "2]", ":6: space.momentum: must be a number from 0 to 1, not 2.0"),
    ("batch size with a fraction", "[32, 64]", "[32, 64.5]", ":7: space.batch_size: must be a whole number from 1 to 10000000, not 64.5"),
    ("unknown parent", "0.99]", "0.99], when: {batchsize: 32}", ":6: space.momentum.when.batchsize = 32: unknown parent 'batchsize'; did you mean 'batch_size'?"),
    ("value that a parent never has", "0.99]", "0.99], when: {batch_size: 33}", ":6: space.momentum.when.batch_size = 33: batch_size can never be 33; it has choice: [32, 64]"),
    ("domain of a method", RANDOM, "random: {search: random, space: {momentum: 3}}\n", ":11: methods.random.space.momentum = 3: must be a number from 0 to 1, not 3"),
    ("two budgets", "{trials: 20}", "{trials: 20, seconds: 5}", ":8: budget: needs exactly one of trials, seconds, samples"),
    ("no budget", "{trials: 20}", "{}", ":8: budget: needs exactly one of trials, seconds, samples"),
    ("negative budget", "trials: 20", "trials: -1", ":8: budget.trials = -1: must be at least 1"),
    ("endless budget", "{trials: 20}", "{seconds: .inf}", ":8: budget.seconds = Infinity: must be a finite number"),
    ("smaller budgets that fall", "trials: 20", "trials: 20, at: [10, 5]", ":8: budget: `at` must increase and stay below the budget itself"),
    ("half a trial", "trials: 20", "trials: 20, at: [2.5]", ":8: budget: `at` must hold whole numbers where the budget is in trials"),
    ("check point that is none", "[0.2, 0.4]", "[0.15]", ":12: methods.lcm.stop.lcm.check_points = [0.15]: 0.15 is not an accumulation point; training.accumulation_points has 5, next to it 0.2"),
    ("check points that fall", "[0.2, 0.4]", "[0.4, 0.2]", ":12: methods.lcm.stop.lcm.check_points = [0.4, 0.2]: must hold at least one point and increase"),
    ("stopping rate of 1.8", LCM, "{check_points: [0.2], stopping_rate: 1.8}", ":12: methods.lcm.stop.lcm.stopping_rate = 1.8: must be below 1"),
    ("rung at the end", "lcm: " + LCM, "halving: {first_rung: 5}", ":12: methods.lcm.stop.halving.first_rung = 5: is the number of an accumulation point; there are 5, and at the last a trial is at its end: at most 4"),
    ("rung of ASHA beyond the end", "lcm: " + LCM, "asha: {first_rung: 9}", ":12: methods.lcm.stop.asha.first_rung = 9: is the number of an accumulation point; there are 5"),
    ("one in one goes on", "lcm: " + LCM, "hyperband: {reduction_factor: 1}", ":12: methods.lcm.stop.hyperband.reduction_factor = 1: must be at least 2"),
    ("half a factor", "lcm: " + LCM, "asha: {reduction_factor: 2.5}", ":12: methods.lcm.stop.asha.reduction_factor = 2.5: must be a whole number"),
    ("form of ASHA", "lcm: " + LCM, "asha: {form: promote}", ':12: methods.lcm.stop.asha.form = "promote": must be one of promotion, stopping; did you mean \'promotion\'?'),
    ("share that is no point", "lcm: " + LCM, "fixed: {share: 0.1}", ":12: methods.lcm.stop.fixed.share = 0.1: 0.1 is not an accumulation point; training.accumulation_points has 5, next to it 0.2"),
    ("nobody is kept", "lcm: " + LCM, "fixed: {share: 0.2, keep: 0}", ":12: methods.lcm.stop.fixed.keep = 0: must be at least 1"),
    ("no patience", "lcm: " + LCM, "patience: {points: 0}", ":12: methods.lcm.stop.patience.points = 0: must be at least 1"),
    ("median that checks the end", "lcm: " + LCM, "median: {first_check: 7}", ":12: methods.lcm.stop.median.first_check = 7: is the number of an accumulation point"),
    ("smaller budgets of who waits", REST, "{trials: 20, at: [10]}\nmethods: {a: {search: random, stop: hyperband}}\n", ":8: budget.at = [10]: trials of a wait for each other, so its first trials are no run with a smaller budget"),
    ("halving without n", REST, "{seconds: 5}\nmethods: {a: {search: random, stop: halving}}\n", ":9: methods.a.stop.halving: needs `configurations` (n): the budget is not in trials"),
    ("LCM without n", "{trials: 20}", "{seconds: 5}", ":12: methods.lcm.stop.lcm: needs `configurations` (n): the budget is not in trials"),
    ("grid larger than the budget", RANDOM, "random: {search: {grid: {points: 4}}}\n", ":11: methods.random.search: the grid has 32 configurations but the budget is 20 trials: take fewer points or a larger budget"),
    ("no repeats", "training:", "repeats: 0\ntraining:", ":9: repeats = 0: must be at least 1"),
    ("negative seed", "training:", "seed: -1\ntraining:", ":9: seed = -1: must be at least 0"),
    ("method with a slash", RANDOM, "a/b: {search: random}\n", ":11: methods.a/b: a name may hold letters, digits, '-' and '_' only, and begins with a letter or digit"),
    ("points that end early", "accumulation_points: 5", "accumulation_points: [0.2, 0.4]", ":9: training.accumulation_points = [0.2, 0.4]: must increase and end with 1"),
    ("points as a word", "accumulation_points: 5", "accumulation_points: some", ':9: training.accumulation_points = "some": must be a list of shares of training that ends with 1, or their number'),
    ("no threads", "accumulation_points: 5", "accumulation_points: 5, threads: 0", ":9: training.threads = 0: must be at least 1"),
    ("no slots", RANDOM, "random: {search: random, slots: 0}\n", ":11: methods.random.slots = 0: must be at least 1"),
    ("trials per job", RANDOM, "random: {search: random, trials_per_job: many}\n", ':11: methods.random.trials_per_job = "many": must be a whole number of at least 1, or auto'),
    ("no trials per job", RANDOM, "random: {search: random, trials_per_job: 0}\n", ":11: methods.random.trials_per_job = 0: must be"),
    ("option of a searcher", RANDOM, "random: {search: {pso: {particle: 3}}}\n", ":11: methods.random.search.pso.particle = 3: unknown key; allowed: particles, inertia, own, social; did you mean 'particles'?"),
    ("inertia that never ends", RANDOM, "random: {search: {pso: {inertia: 1.0}}}\n", ":11: methods.random.search.pso.inertia = 1.0: must be below 1"),
    ("the worst accuracy", "training:", "objective: {metric: accuracy, mode: min}\ntraining:", ":9: objective: accuracy with mode min would look for the worst"),
    ("training for nothing", "training:", "cost: {step: 0, sample: 0}\ntraining:", ":9: cost: step and sample cannot both be 0"),
    ("cost without end", "training:", "cost: {step: .inf}\ntraining:", ":9: cost.step = Infinity: must be a finite number"),
    # populations
    ("search and population", RANDOM, "random: {search: random, population: {every: 10}}\n", ":11: methods.random: needs either `search`, with or without `stop`, or `population`"),
    ("population with a stopper", RANDOM, "random: {stop: lcm, population: {every: 10}}\n", ":11: methods.random: a population takes no `stop`"),
    ("population without steps", RANDOM, "random: {population: {members: 4}}\n", ":11: methods.random.population.every: is required"),
    ("population of one", RANDOM, "random: {population: {every: 10, members: 1}}\n", ":11: methods.random.population.members = 1: must be at least 2"),
    ("population of unlike networks", RANDOM, "random: {population: {every: 10}}\n", ":11: methods.random.population: batch_size must be a constant"),
    ("exploit", RANDOM, "random: {population: {every: 10, exploit: quartil}}\n", ':11: methods.random.population.exploit = "quartil": must be one of quartile, tournament; did you mean \'quartile\'?'),
    ("lag", RANDOM, "random: {population: {every: 10, lag: 2}}\n", ":11: methods.random.population.lag = 2: must be one of 0, 1"),
    ("rule", RANDOM, "random: {population: {every: 10, explore: {momentum: {factor: [0.8, 1.2]}}}}\n", ":11: methods.random.population.explore.momentum.factor = [0.8, 1.2]: unknown rule 'factor'; did you mean 'factors'?"),
    ("rule for what is not searched", RANDOM, "random: {space: {batch_size: 32}, population: {every: 10, explore: {momentun: {factors: [0.8, 1.2]}}}}\n", ":11: methods.random.population.explore.momentun: unknown key: the space has learning_rate, momentum, batch_size; did you mean 'momentum'?"),
    # YAML
    ("key twice", "training:", "model: mlp\ntraining:", ":9: not valid YAML: the key 'model' appears twice in one mapping"),
    ("method twice", RANDOM, RANDOM + "  random: {search: sobol}\n", ":12: not valid YAML: the key 'random' appears twice in one mapping"),
    ("tab", "  momentum", "\tmomentum", ":6: not valid YAML: a tab; lines are indented with spaces"),
    ("open bracket", "[32, 64]", "[32, 64", ":7: not valid YAML: while parsing a flow sequence: expected ',' or ']', but got '}'"),
    ("two documents", "training:", "---\ntraining:", ":9: not valid YAML: expected a single document in the stream"),
    ("Python object", "a small experiment on learning curves by formula", "!!python/object:os.system x", ":1: not valid YAML: tags (!name) are not read"),
    ("merge key", RANDOM, "random: {<<: {search: random}}\n", ":11: not valid YAML: merge keys (<<) are not read; write the keys out"),
    ("alias of nothing", "a small experiment on learning curves by formula", "*nothing", ":1: not valid YAML: found undefined alias 'nothing'"),
    ("alias of itself", "a small experiment on learning curves by formula", "&it [*it]", ": its aliases (*name) stand for themselves"),
    ("control character", "small", "sm\0all", ":1: not valid YAML: the character U+0000 is not allowed"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), [row[1:] for row in EXPERIMENTS], ids=[row[0] for row in EXPERIMENTS])
def test_experiment_is_refused(
    old: str,
    new: str,
    words: str,
    write_experiment: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_experiment(changed(SYNTHETIC, (old, new)))
    said = refused(["check", str(path)], tmp_path, capsys)
    assert (f"{path}{words}" if words.startswith(":") else words) in said


# Whole files: name, content, words.
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES: list[tuple[str, str | bytes, str]] = [
    ("empty.yaml", "", ": is empty; an experiment has the keys description, data, model,"),
    ("comment.yaml", "# later\n", ": is empty; an experiment has the keys description, data, model,"),
    ("list.yaml", "- data\n- model\n", ": must be a mapping with the keys description, data, model,"),
    ("word.yaml", "hello\n", ": must be a mapping with the keys description, data, model,"),
    ("latin.yaml", SYNTHETIC.encode() + "figures: für\n".encode("latin-1"), ":13: is not UTF-8 text"),
    ("binary.yaml", bytes(range(256)), ":2: is not UTF-8 text"),
    ("huge.yaml", SYNTHETIC + "#" * 1_000_000, ": is larger than 1000000 bytes, so it is no experiment file"),
    ("bomb.yaml", BOMB, ": its aliases (*name) stand for themselves, or for over 1000000 values"),
    ("deep.yaml", "a: " + "[" * 3000 + "]" * 3000, ": not valid YAML: brackets within brackets, too deep to read"),
    ("a name.yaml", SYNTHETIC, ": an experiment's file name may hold letters, digits, '-' and '_' only"),
    ("ümlaut.yaml", SYNTHETIC, ": an experiment's file name may hold letters, digits, '-' and '_' only"),
]


@pytest.mark.parametrize(("name", "content", "words"), FILES, ids=[row[0] for row in FILES])
def test_file_is_refused(
    name: str,
    content: str | bytes,
    words: str,
    write_experiment: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_experiment(content, name)
    assert f"{path}{words}" in refused(["check", str(path)], tmp_path, capsys)


def test_folder_or_missing_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder.yaml").mkdir()
    said = refused(["check", str(tmp_path / "folder.yaml"), str(tmp_path / "missing.yaml")], tmp_path, capsys)
    assert f"{tmp_path / 'folder.yaml'}: cannot be read: Is a directory" in said
    assert f"{tmp_path / 'missing.yaml'}: cannot be read: No such file or directory" in said


EIGHT_MISTAKES = changed(
    SYNTHETIC,
    ("digits", "digit"),
    ("[0.001, 1.0]", "[1.0, 0.001]"),
    ("momentum:", "momentun:"),
    ("[32, 64]", "[32, 64.5]"),
    ("training: {", "repeats: 0\nbaseline: lmc\ntraining: {threds: 1, "),
    ("[0.2, 0.4]", "[0.15, 0.4]"),
)
EIGHT_PLACES = [
    ':2: data.name = "digit"',
    ":5: space.learning_rate.log_uniform = [1.0, 0.001]",
    ":6: space.momentun:",
    ":7: space.batch_size:",
    ":9: repeats = 0",
    ':10: baseline = "lmc"',
    ":11: training.threds = 1",
    ":14: methods.lcm.stop.lcm.check_points = [0.15, 0.4]",
]


def test_all_problems_of_a_file_are_said_at_once_in_the_order_of_its_lines(
    write_experiment: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mistakes = changed(EIGHT_MISTAKES, ("random: {search: random}", "random: {search: randm, slots: 0}"))
    places = [*EIGHT_PLACES[:-1], ":13: methods.random.search", ":13: methods.random.slots", EIGHT_PLACES[-1]]
    path = write_experiment(mistakes)
    lines = refused(["check", str(path)], tmp_path, capsys).splitlines()[1:]
    for line, place in zip(lines, places, strict=True):
        assert line.startswith(f"{path}{place}")


def test_problems_of_one_key_hide_none_that_take_two(
    write_experiment: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_experiment(
        changed(
            SYNTHETIC,
            ("budget: {trials: 20}", "budget: {trials: 20}\nrepeats: 0"),
            ("[0.2, 0.4]", "[0.15]"),
            ("0.99]", "2]"),
            ("random: {search: random}", "random: {search: {grid: {points: 9}}}"),
        )
    )
    said = refused(["check", str(path)], tmp_path, capsys)
    for words in ("repeats = 0", "0.15 is not an accumulation point", "a number from 0 to 1", "has 162 configurations"):
        assert words in said
    assert said.count(str(path)) == 4


def test_a_wrong_value_hides_no_problem_of_others_beside_it(
    write_experiment: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    population = "random: {population: {evry: 10, explore: {momentun: {factors: [2]}}}, space: {batch_size: 32}}"
    for changes, places in [
        (  # what points at a wrong domain is not followed further, but what points at none is told
            [("0.99]", "0.99], when: {batchsize: 32}"), ("[0.001, 1.0]", "[1.0, 0.001]")],
            [":5: space.learning_rate.log_uniform", ":6: space.momentum.when.batchsize"],
        ),
        (
            [("search: random, stop", "search: randm, stop"), ("[0.2, 0.4]", "[0.15]")],
            [":12: methods.lcm.search", "0.15 is"],
        ),
        ([("random: {search: random}", population)], [".evry", ".every: is required", ".explore.momentun"]),
        ([("trials: 20", "trials: 20, seconds: 5"), ("[0.2, 0.4]", "[0.15]")], [":8: budget: needs", "0.15 is"]),
        (
            [("model: synthetic", "model: syntetic"), ("random: {", "random: {space: {momentum: []}, ")],
            [":3: model", ":11:"],
        ),
    ]:
        said = refused(["check", str(write_experiment(changed(SYNTHETIC, *changes)))], tmp_path, capsys)
        assert [place for place in places if place not in said] == []
        assert said.count("experiment.yaml:") == len(places)


def test_no_problem_is_said_that_only_follows_from_another(
    write_experiment: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for old, new in [
        ("model: synthetic", "model: syntetic"),  # which then has no hyperparameters to compare with
        ("accumulation_points: 5", "accumulation_points: some"),  # so check points cannot be compared with them
        ("trials: 20", "trials: few"),  # so nobody knows whether n is known
        ("batch_size: {choice: [32, 64], ordered: true}", "batch_size: {choice: []}"),  # a parent of momentum
        ("search: random, stop", "search: randm, stop"),
        ("accumulation_points: 5", "acumulation_points: 20"),  # the default is not what was meant
        ("budget: {trials: 20}", "budget: {trial: 20}"),  # nor is there none
    ]:
        text = changed(SYNTHETIC, ("0.99]", "0.99], when: {batch_size: 32}"), ("training:", "baseline: lcm\ntraining:"))
        path = write_experiment(changed(text, (old, new)))
        assert refused(["check", str(path)], tmp_path, capsys).count(str(path)) == 1


def test_problems_of_several_files_are_said_at_once(
    write_experiment: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_experiment(changed(SYNTHETIC, ("digits", "digit")), "one.yaml")
    two = write_experiment(changed(SYNTHETIC, ("trials: 20", "trials: 0")), "two.yaml")
    said = refused(["check", str(one), str(two)], tmp_path, capsys)
    assert f"{one}:2: " in said
    assert f"{two}:8: " in said


def test_unknown_method_is_refused(
    write_experiment: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_experiment()
    said = refused(["resolve", str(path), "--method", "lmc", "-o", str(tmp_path / "s.json")], tmp_path, capsys)
    assert f"{path}: no method 'lmc'; it has random, lcm" in said


# Settings as `hypercurve resolve` writes them: what is replaced, by what, and the words.
SETTINGS: list[tuple[str, str, str, str]] = [
    ("wrong value", '"trials": 20', '"trials": 0', ": budget.trials: must be at least 1; `hypercurve resolve` writes"),
    (
        "wrong type",
        '"slots": 1',
        '"slots": "one"',
        ": slots: must be a whole number; `hypercurve resolve` writes this file",
    ),
    ("missing key", '"seed": 0,\n  "data"', '"data"', ": seed: is required; `hypercurve resolve` writes this file"),
    ("other key", '"slots": 1', '"slots": 1, "extra": 2', ": extra: unknown key"),
    (
        "not JSON",
        '"slots": 1',
        '"slots" = 1',
        ": the file: is damaged, not JSON; `hypercurve resolve` writes this file",
    ),
]


@pytest.fixture
def setting_file(write_experiment: Callable[..., Path], tmp_path: Path) -> Path:
    path = tmp_path / "setting.json"
    assert main(["resolve", str(write_experiment()), "--method", "lcm", "-o", str(path)]) == 0
    return path


@pytest.mark.parametrize(("old", "new", "words"), [row[1:] for row in SETTINGS], ids=[row[0] for row in SETTINGS])
def test_setting_is_refused(
    old: str, new: str, words: str, setting_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setting_file.write_text(changed(setting_file.read_text(), (old, new)))
    said = refused(["table", str(setting_file), "-o", str(tmp_path / "table.jsonl")], tmp_path, capsys)
    assert f"{setting_file}{words}" in said


def test_truncated_setting_is_refused(setting_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for size in (0, 1, 300):
        setting_file.write_bytes(setting_file.read_bytes()[:size])
        said = refused(["table", str(setting_file), "-o", str(tmp_path / "table.jsonl")], tmp_path, capsys)
        assert f"{setting_file}: the file: is damaged, not JSON" in said
        assert "delete it, and it is made again" in said


# Data files: what is changed in conftest's arrays, and the words.
OBJECTS = np.array([{"a": 1}, None], dtype=object)
DATA: list[tuple[str, dict[str, np.ndarray | None], str]] = [
    (
        "missing array",
        {"y_test": None},
        "has no array y_test (it has x_train, y_train, x_test); it should hold the arrays",
    ),
    ("Python objects", {"y_test": OBJECTS}, "y_test holds Python objects, not numbers, and is not loaded for safety"),
    (
        "label that is never trained",
        {"y_test": np.arange(30) % 4},
        "y_test has the label 3, which never occurs in y_train",
    ),
    (
        "negative label",
        {"y_train": np.arange(60) % 3 - 1},
        "y_train has the label -1; labels must be whole numbers from 0",
    ),
    ("label left out", {"y_train": np.arange(60) % 3 * 2}, "y_train goes up to label 4, but label 1 never occurs"),
    ("labels with fractions", {"y_train": np.arange(60) / 3}, "labels must be whole numbers in all parts"),
    (
        "labels as text in one part",
        {"y_train": np.array(["a", "b", "c"] * 20)},
        "labels must be of one kind in all parts",
    ),
    (
        "NaN",
        {"x_train": np.full((60, 16), np.nan), "x_test": np.zeros((30, 16))},
        "x_train has 960 values that are NaN",
    ),
    (
        "fewer labels",
        {"y_train": np.arange(59) % 3},
        "x_train has shape (60, 4, 4) and y_train (59,); one label per example",
    ),
    (
        "other images in the test",
        {"x_test": np.zeros((30, 5, 5), np.uint8)},
        "examples of x_train have shape (4, 4) (uint8)",
    ),
    ("no test", {"x_test": np.zeros((0, 4, 4)), "y_test": np.zeros(0, int)}, "x_test or y_test is empty"),
    (
        "one class",
        {"y_train": np.zeros(60, int), "y_test": np.zeros(30, int)},
        "y_train has the single label 0; at least two",
    ),
]


@pytest.mark.parametrize(("changes", "words"), [row[1:] for row in DATA], ids=[row[0] for row in DATA])
def test_data_is_refused(
    changes: dict[str, np.ndarray | None],
    words: str,
    arrays: Callable[..., dict[str, np.ndarray]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "source.npz"
    save(path, arrays(**changes))
    said = refused(["data", str(path), "-o", str(tmp_path / "prepared")], tmp_path, capsys)
    assert str(path) in said
    assert words in said


def test_damaged_data_file_is_refused(
    arrays: Callable[..., dict[str, np.ndarray]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "source.npz"
    save(path, arrays(), compressed=True)
    whole = path.read_bytes()
    for content in (b"", b"not a zip archive", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(content)
        said = refused(["data", str(path), "-o", str(tmp_path / "prepared")], tmp_path, capsys)
        assert f"data file {path} is damaged" in said
        assert "replace it: it should hold the arrays x_train, y_train, x_test, y_test" in said


def test_missing_data_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "missing.npz"
    said = refused(["data", str(path), "-o", str(tmp_path / "prepared")], tmp_path, capsys)
    assert f"data file {path} does not exist" in said


def test_validation_part_as_large_as_the_training_part_is_refused(
    arrays: Callable[..., dict[str, np.ndarray]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "source.npz"
    save(path, arrays())
    said = refused(["data", str(path), "--validation", "60", "-o", str(tmp_path / "prepared")], tmp_path, capsys)
    assert "`validation` asks for 60 examples, but the training part has only 60" in said


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("x_train.npy", b"short", "x_train.npy has 5 bytes in place of"),
        ("y_test.npy", None, "y_test.npy is missing"),
        ("manifest.json", b"{", "manifest.json is damaged"),
        ("manifest.json", b'{"files": {}}', "manifest.json does not list the six arrays"),
        ("manifest.json", None, "manifest.json is missing"),
    ],
)
def test_damaged_prepared_folder_is_refused(
    file: str,
    content: bytes | None,
    words: str,
    prepared: Path,
    setting_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(prepared, folder)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    said = refused(
        ["search", str(setting_file), "--data", str(folder), "-o", str(tmp_path / "j.jsonl")], tmp_path, capsys
    )
    assert words in said
    assert f"remove the folder {folder} and prepare the data again" in said


# Journals: what is done to the lines of a whole one, which line the message names, and the words. Of those with checksums,
# as they are written now, the words are always the same; so the words are those of journals of older versions. A run that is
# going on holds its journal in a file beside the output; see hypercurve.cli.
Lines = list[bytes]


def flipped(lines: Lines) -> Lines:
    damaged = bytearray(lines[9])
    damaged[len(damaged) // 2] ^= 0x80
    return [*lines[:9], bytes(damaged), *lines[10:]]


def decided(lines: Lines) -> Lines:
    """Line 10 says that another trial goes on."""
    line = json.loads(lines[9])
    line["then"] = [{"continue": 19}]
    return [*lines[:9], json.dumps(line, separators=(",", ":")).encode(), *lines[10:]]


def number(old: bytes, new: bytes, line: int = 10) -> Callable[[Lines], Lines]:
    """Replaces a number in a line."""

    def replaced(lines: Lines) -> Lines:
        text, count = re.subn(old, new, lines[line - 1], count=1)
        assert count == 1
        return [*lines[: line - 1], text, *lines[line:]]

    return replaced


def of_trial(lines: Lines) -> Lines:
    return [*lines[:9], lines[9].replace(b'"trial":', b'"trial":1'), *lines[10:]]


JOURNALS: list[tuple[str, Callable[[Lines], Lines], str]] = [
    ("flipped bit", flipped, ":10: damaged line"),
    ("line is missing", lambda lines: [*lines[:9], *lines[10:]], ":10: "),
    ("lines are swapped", lambda lines: [*lines[:9], lines[10], lines[9], *lines[11:]], ":10: "),
    ("line twice", lambda lines: [*lines[:10], lines[9], *lines[10:]], ":11: "),
    (
        "other decision",
        decided,
        ":10: says then = [{'continue': 19}] where the settings and the lines before it lead to",
    ),
    ("other trial", of_trial, ":10: "),
    ("not JSON", lambda lines: [*lines[:9], b"not JSON", *lines[9:]], ":10: damaged line"),
    ("not an object", lambda lines: [*lines[:9], b"[]", *lines[9:]], ":10: damaged line: not a JSON object"),
    ("NaN", lambda lines: [*lines[:9], b'{"event":"x","loss":NaN}', *lines[9:]], ":10: damaged line: NaN is not JSON"),
    ("unknown event", lambda lines: [*lines[:9], b'{"event":"rested","trial":0}', *lines[9:]], ":10: "),
    ("empty line", lambda lines: [*lines[:9], b"", *lines[9:]], ":10: damaged line"),
    ("zeros from a crash", lambda lines: [*lines[:9], b"\0" * 50, *lines[9:]], ":10: damaged line"),
    ("line after the end", lambda lines: [*lines, lines[-1]], "does not follow from the lines before it"),
    (
        "metric that overflows",
        number(rb'"loss":[^,}]*', b'"loss":1e999'),
        ":10: damaged line: 1e999 is larger than any number",
    ),
    ("long mantissa", number(rb'"loss":[^,}]*', b'"loss":' + b"9" * 250 + b"e99"), ":10: damaged line: 99999"),
    ("400 digits", number(rb'"loss":[^,}]*', b'"loss":' + b"1" * 400), ":10: damaged line: 11111"),
    (
        "time that overflows",
        number(rb'"at":[^,}]*', b'"at":-1E+400'),
        ":10: damaged line: -1E+400 is larger than any number",
    ),
    (
        "key that no run writes",
        number(rb'"at":', b'"x":[1e0309],"at":'),
        ":10: damaged line: 1e0309 is larger than any number",
    ),
    (
        "configuration",
        number(rb'rate":[^,}]*', b'rate":1e400', 1),
        ":1: damaged line: 1e400 is larger than any number",
    ),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Path:
    """A folder with an experiment, a setting and its finished journal."""
    folder = tmp_path_factory.mktemp("finished")
    experiment, setting = folder / "experiment.yaml", folder / "setting.json"
    experiment.write_text(SYNTHETIC)
    assert main(["resolve", str(experiment), "--method", "lcm", "-o", str(setting)]) == 0
    assert main(["search", str(setting), "--data", str(prepared), "-o", str(folder / "journal.jsonl")]) == 0
    return folder


def begun(folder: Path, finished: Path, lines: Lines, end: bytes = b"\n") -> Path:
    """A run in `folder` that has written these lines so far."""
    shutil.copy(finished / "setting.json", folder)
    partial = folder / "journal.partial.jsonl"
    partial.write_bytes(b"\n".join(lines) + end)
    return partial


def without_sums(lines: Lines) -> Lines:
    """As an older version wrote them."""
    return [to_bytes(unsealed(line))[:-1] for line in lines]


def lines_of(finished: Path) -> Lines:
    return (finished / "journal.jsonl").read_bytes().splitlines()


def search(folder: Path, prepared: Path) -> list[str]:
    return ["search", str(folder / "setting.json"), "--data", str(prepared), "-o", str(folder / "journal.jsonl")]


@pytest.mark.parametrize(("damage", "words"), [row[1:] for row in JOURNALS], ids=[row[0] for row in JOURNALS])
def test_damaged_journal_is_not_gone_on_with(
    damage: Callable[[Lines], Lines],
    words: str,
    finished: Path,
    prepared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = lines_of(finished)
    partial = begun(tmp_path, finished, damage(lines))
    number = words.split(":")[1] if words.startswith(":") else len(lines) + 1
    assert f"{partial}:{number}: damaged line: " in refused(search(tmp_path, prepared), tmp_path, capsys)
    partial = begun(tmp_path, finished, damage(without_sums(lines)))
    said = refused(search(tmp_path, prepared), tmp_path, capsys)
    assert str(partial) in said
    assert words in said


def test_half_written_last_line_is_dropped(
    finished: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of(finished)
    begun(tmp_path, finished, [*lines[:9], lines[9][:20]], end=b"")
    assert main(search(tmp_path, prepared)) == 0
    assert "going on after line 9" in capsys.readouterr().err

    def events(path: Path) -> list[dict[str, object]]:
        return [{**json.loads(line), "wall": None} for line in path.read_bytes().splitlines()]

    assert events(tmp_path / "journal.jsonl") == events(finished / "journal.jsonl")


def test_journal_of_another_setting_is_begun_anew(
    finished: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = json.loads(lines_of(finished)[0])
    begun(tmp_path, finished, resealed([{**first, "setting": "0" * 16}, *lines_of(finished)[1:]]).splitlines())
    assert main(search(tmp_path, prepared)) == 0
    assert "begun with other setting; kept as" in capsys.readouterr().err
    assert json.loads(lines_of(tmp_path)[0])["setting"] == first["setting"]


def test_batch_of_another_setting_is_left_alone(finished: Path, prepared: Path, tmp_path: Path) -> None:
    shutil.copy(finished / "setting.json", tmp_path)
    batch = tmp_path / "batches" / "0.jsonl"
    batch.parent.mkdir()
    batch.write_text('{"event":"batch","setting":"0000000000000000","repeat":0,"batch":0}\nno line at all\n')
    assert main(search(tmp_path, prepared)) == 0
    assert [without_wall(json.loads(line)) for line in lines_of(tmp_path)] == [
        without_wall(json.loads(line)) for line in lines_of(finished)
    ]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda lines: [], ": is empty: its run has not begun"),
        (lambda lines: lines[1:], ":1: must be the run's first line, but says event = "),
        (lambda lines: lines[:20], ": its run has not ended; start it again, and it goes on from here"),
        (flipped, ":10: damaged line"),
    ],
    ids=["empty", "without its first line", "unfinished", "flipped bit"],
)
def test_table_of_a_damaged_journal_is_refused(
    damage: Callable[[Lines], Lines], words: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(b"".join(line + b"\n" for line in damage(without_sums(lines_of(finished)))))
    arguments = ["trials", str(finished / "setting.json"), str(journal), "-o", str(tmp_path / "trials.csv")]
    assert f"{journal}{words}" in refused(arguments, tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["check", "{experiment}"], "{experiment}:8: budget.trials = 0: must be at least 1"),
        (
            ["resolve", "{experiment}", "-o", "{folder}/out.json"],
            "{experiment}:8: budget.trials = 0: must be at least 1",
        ),
        (["data", "{folder}/none.npz", "-o", "{folder}/out"], "data file {folder}/none.npz does not exist"),
    ],
    ids=["check", "resolve", "data"],
)
def test_the_program_itself_exits_with_2(
    command: list[str], words: str, write_experiment: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_experiment(changed(SYNTHETIC, ("trials: 20", "trials: 0")))
    places = {"experiment": str(path), "folder": str(tmp_path)}
    before = listing(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "hypercurve", *(part.format(**places) for part in command)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"hypercurve {command[0]}: ")
    assert words.format(**places) in done.stderr
    assert "Traceback" not in done.stderr
    assert listing(tmp_path) == before


@pytest.mark.slow
def test_workflow_checks_experiments_before_any_job(root: Path, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    shutil.copy(root / "config" / "config.yaml", tmp_path / "config")
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "demo.yaml").write_text(EIGHT_MISTAKES)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "-n", "--snakefile", str(root / "Snakefile")),
            *("--directory", str(tmp_path), "--config", "folder=experiments"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    for place in EIGHT_PLACES:
        assert f"experiments/demo.yaml{place}" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != ".snakemake") == ["config", "experiments"]
