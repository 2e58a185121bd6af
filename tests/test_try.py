"""`hypercurve try`: what it sees of trainings, what it says of the whole, and what it does about mistakes."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import CC, ROOT, changed
from hypercurve.cli import main
from hypercurve.config.experiment import Experiment
from hypercurve.runs.trial import Trial
from hypercurve.trying.estimate import MethodEstimate, by_the_clock, estimates
from hypercurve.trying.measure import Tried
from hypercurve.trying.others import Timed
from hypercurve.util.errors import nearest_name, own_traceback

PAGE = (ROOT / "docs" / "try.md").read_text(encoding="utf-8")
Said = tuple[int, str]

EXPERIMENT = """\
model: {model}
objective: {{metric: loss}}
space: {{rate: {{uniform: [0.1, 0.9]}}, epochs: 10}}
budget: {{trials: 20}}
methods:
  random: {{search: random}}
"""

LOOP = """\
import random

class Train:
    def __init__(self, h, context):
        self.h, self.epochs, self.done, self.loss = h, context.epochs, 0, 1.0

    def train(self):
        while self.done < self.epochs:
            self.done += 1
            self.loss *= 1 - self.h["rate"] / 2
            yield {"loss": self.loss, "val_loss": self.loss}

    def save(self):
        return {"done": self.done, "loss": self.loss}

    def load(self, state):
        self.done, self.loss = int(state["done"]), float(state["loss"])

    def adjust(self, h):
        self.h = h
"""

PROGRAM = """\
import json, sys, time
loss = 1.0
for epoch in range(10):
    loss *= float(sys.argv[1])
    print(json.dumps({"loss": loss, "val_loss": loss}), flush=True)
    time.sleep(0.05)
"""


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Tries an experiment in a folder with files: exit status and what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def go(experiment: str, *options: str, **files: str) -> Said:
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
            sys.modules.pop(name, None)
        (tmp_path / "mine.yaml").write_text(experiment)
        there = {path.name for path in tmp_path.iterdir()}
        try:
            status = main(["try", "mine.yaml", *options])
        except SystemExit as left:
            status = int(str(left.code))
        found = capsys.readouterr()
        assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == there, "something was written"
        assert "Traceback" not in found.err
        assert max(map(len, found.out.splitlines()), default=0) <= 100
        return status, found.out + found.err

    return go


OF_LOOP = EXPERIMENT.format(model='{loop: "own_loop:Train"}')


# Mistakes: each is told with its own line and the nearest name, and ends with status 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'self.h["rate"]',
            'self.h["rat"]',
            ["KeyError: 'rat'", "own_loop.py, line 10, in train", "did you mean rate?"],
        ),
        ("self.loss *= 1", "self.loss *= lose", ["NameError: name 'lose' is not defined", "did you mean loss?"]),
        ('"val_loss"', '"valloss"', ["reported no val_loss, which is the objective"]),
        ("yield {", "return {", ["no generator: it must yield metrics"]),
        ('"loss": self.loss, "val_loss"', '"val_loss"', ["reported no loss"]),
    ],
)
def test_a_mistake_in_a_loop_is_told_with_its_line(
    attempt: Callable[..., Said], old: str, new: str, said: list[str]
) -> None:
    status, text = attempt(OF_LOOP, own_loop=changed(LOOP, (old, new)))
    assert status == 1
    for part in said:
        assert part in text
    assert "hypercurve/" not in text
    assert "The whole experiment" not in text


@pytest.mark.slow
def test_a_mistake_in_a_program_is_told_with_its_line(attempt: Callable[..., Said]) -> None:
    experiment = EXPERIMENT.format(model=f'{{command: ["{sys.executable}", program.py, "{{rate}}"]}}')
    status, text = attempt(experiment, program=PROGRAM.replace("loss *=", "loss *= los *"))
    assert status == 1
    assert "program.py, line 4, in <module>" in text
    assert re.search("[Dd]id you mean:? '?loss", text)


def test_a_misspelt_key_is_told_as_check_tells_it(attempt: Callable[..., Said]) -> None:
    status, text = attempt(OF_LOOP.replace("budget", "budgett"))
    assert status == 2
    assert "did you mean 'budget'?" in text


@pytest.mark.slow
def test_a_stopper_of_ones_own_is_asked(attempt: Callable[..., Said]) -> None:
    rule = """
from hypercurve.stopping.stopper import Decision, Stopper

class Mine(Stopper):
    def on_report(self, trial, progress, loss):
        return loss < threshold
"""
    experiment = OF_LOOP + '  mine: {search: random, stop: "own_rule:Mine"}\n'
    status, text = attempt(experiment, own_rule=rule, own_loop=LOOP)
    assert status == 1
    assert "name 'threshold' is not defined" in text


@pytest.mark.slow
def test_a_population_whose_members_cannot_take_over_hyperparameters(attempt: Callable[..., Said]) -> None:
    experiment = OF_LOOP.replace("random: {search: random}", "pbt: {population: {members: 4, every: 2}}")
    status, text = attempt(experiment, own_loop=LOOP)
    assert status == 0
    assert "goes on from it to equal digits" in text
    status, text = attempt(experiment, own_loop=changed(LOOP, ("        self.h = h\n", "        self.h = hh\n")))
    assert status == 1
    assert "name 'hh' is not defined" in text


# What is no mistake of the code, but will matter


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("self.loss *= 1 -", "self.loss *= random.random() -", "a repeat from the same seed gives other digits (loss"),
        ('float(state["loss"])', "1.0", "what goes on from a snapshot is not the same training (loss"),
        ('float(state["loss"])', "float(state.loss)", "its saved state cannot be loaded: AttributeError"),
        (
            "def train(self):",
            "def train(self, s=__import__('signal')):\n        s.signal(s.SIGTERM, s.SIG_IGN)",
            "handles SIGTERM",
        ),
        ('return {"done"', 'return {"don": self.don, "done"', "its state cannot be saved: AttributeError"),
    ],
)
def test_what_will_matter_is_listed(attempt: Callable[..., Said], old: str, new: str, said: str) -> None:
    status, text = attempt(OF_LOOP, own_loop=changed(LOOP, (old, new)))
    assert status == 0
    assert said in re.sub(r"\s+", " ", text.partition("What is wrong, or will be")[2])


@pytest.mark.slow
def test_a_sound_loop_has_nothing_wrong(attempt: Callable[..., Said]) -> None:
    status, text = attempt(OF_LOOP, own_loop=LOOP)
    assert status == 0
    for part in (
        "goes on from it to equal digits",
        "equal digits from the same seed",
        "no process is left",
        "Nothing is wrong",
    ):
        assert part in text


@pytest.mark.slow
def test_a_mistake_that_only_some_configurations_meet_is_listed(attempt: Callable[..., Said]) -> None:
    only = "assert h['rate'] < 0.14, 'too fast'; self.h, self.epochs"
    status, text = attempt(OF_LOOP, own_loop=changed(LOOP, ("self.h, self.epochs", only)))
    assert status == 0
    assert re.search(r"trial [12] \(rate 0\.\d+, epochs 10\) fails: AssertionError: too fast", text)


@pytest.mark.slow
def test_what_diverges_is_no_mistake_and_the_next_is_tried(attempt: Callable[..., Said]) -> None:
    bounded = OF_LOOP.replace("objective:", "constraints: {loss: {max: 0.8}}\nobjective:")
    first, text = attempt(bounded, own_loop=LOOP)
    assert first == 0
    assert re.search(r"trial +[1-4]: ", text)
    assert "above its bound 0.8" in text


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are known from /proc")
def test_a_program_that_does_not_end_when_asked_is_killed_and_told(attempt: Callable[..., Said]) -> None:
    model = f'{{command: ["{sys.executable}", program.py, "{{rate}}"], grace: 0.5}}'
    status, text = attempt(EXPERIMENT.format(model=model.replace("0.5", "20")), program=PROGRAM)
    assert status == 0
    assert re.search(r"the program has ended after [\d.]+ s; no process is left", text)
    assert "its processes" in text
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PROGRAM.replace(
        "0.05", "0.05 + 3 * (epoch > 0)"
    )
    status, text = attempt(EXPERIMENT.format(model=model), program=deaf)
    assert "goes on until it is killed 0.5 s later" in text


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are known from /proc")
def test_a_process_that_a_loop_leaves_is_told(attempt: Callable[..., Said]) -> None:
    text = LOOP.replace("import random", "import subprocess").replace(
        "self.h, self.epochs", 'self.left = subprocess.Popen(["sleep", "8"])\n        self.h, self.epochs'
    )
    status, said = attempt(OF_LOOP, own_loop=text)
    assert status == 0
    assert "it leaves 1 process behind" in said


# The estimate, by hand


def made(seconds: list[float], again: float) -> Tried:
    """A training of ten epochs whose first points took so long."""
    return Tried(Trial(0, {"epochs": 10, "rate": 0.5}), [0.1, 0.2], seconds, again, line=100)


def experiment_of(methods: dict[str, object], **more: object) -> Experiment:
    space = {"rate": {"uniform": [0.1, 0.9]}, "epochs": 10}
    given = {"model": {"loop": "a:b"}, "objective": {"metric": "loss"}, "space": space, "budget": {"trials": 20}}
    return Experiment.model_validate({**given, "methods": methods, **more})


def test_trials_cost_their_start_and_all_their_epochs_and_what_two_methods_train_counts_once() -> None:
    methods = {"lcm": {"search": "random", "stop": "lcm"}, "random": {"search": "random"}}
    experiment = experiment_of(methods, repeats=3)
    tried = made([5.0, 1.0], again=3.0)  # 2 s for what is done once, 2 s for each trial's start, 1 s per epoch
    found = estimates(experiment, {"lcm": tried, "random": tried}, 0, 4.0)
    assert found["random"].trial == pytest.approx(12)
    assert found["random"].training == pytest.approx(3 * 20 * 12)
    assert (found["lcm"].source, found["lcm"].training) == ("random", 0)
    assert found["random"].disk == 3 * 20 * (10 * 100 + 400)


def test_further_trials_that_were_timed_count_like_the_first() -> None:
    experiment = experiment_of({"random": {"search": "random"}})
    tried = made([1.0, 1.0], again=1.0)
    tried.others = [Timed(Trial(1, {"epochs": 10, "rate": 0.2}), [0.1, 0.3], [1.0, 10.0], None)]  # two epochs
    assert estimates(experiment, {"random": tried}, 0, 0.0)["random"].trial == pytest.approx(10 * (1 + 5) / 2)


def test_of_trials_that_a_record_chooses_only_those_count_that_start() -> None:
    experiment = experiment_of({"informed": {"search": "random", "record": ["earlier.csv"], "preselect": 0.5}})
    found = estimates(experiment, {"informed": made([1.0, 1.0], 1.0)}, 0, 0.0)
    assert (found["informed"].trials, found["informed"].training) == (10, pytest.approx(100))


def test_states_of_trials_that_may_wait_are_counted() -> None:
    methods = {
        "halving": {"search": "random", "stop": "halving"},
        "median": {"search": "random", "stop": "median"},
    }
    experiment = experiment_of(methods)
    found = estimates(experiment, dict.fromkeys(methods, made([1.0, 1.0], 1.0)), 0, 0.0)
    assert (found["halving"].waiting, found["median"].waiting) == (20, 0)


def test_a_budget_in_seconds_is_what_a_run_takes_whatever_the_stopper() -> None:
    methods = {"median": {"search": "random", "stop": "median"}, "random": {"search": "random"}}
    experiment = experiment_of(methods, budget={"seconds": 600}, repeats=2)
    found = estimates(experiment, dict.fromkeys(methods, made([1.0, 1.0], 1.0)), 0, 0.0)
    assert {one.training for one in found.values()} == {1200.0}


def test_members_of_a_population_are_its_trials() -> None:
    experiment = experiment_of({"pbt": {"population": {"members": 4, "every": 2}}})
    found = estimates(experiment, {"pbt": made([1.0, 1.0], 1.0)}, 0, 0.0)
    assert found["pbt"].trials == 4
    assert found["pbt"].training == pytest.approx(40)


def job(jobs: int, seconds: float, source: str | None = None, width: int = 1) -> MethodEstimate:
    return MethodEstimate(1, 1.0, 0.0, source, jobs, seconds, width, 0.0, bounded=False)


@pytest.mark.parametrize(
    ("jobs", "cores", "seconds"),
    [
        ([job(4, 10.0)], 2, 20.0),
        ([job(3, 10.0)], 2, 20.0),
        ([job(4, 10.0)], 100, 10.0),
        ([job(1, 10.0), job(2, 4.0)], 2, 10.0),
        ([job(2, 10.0, width=2)], 2, 20.0),
        ([job(1, 10.0, width=4)], 2, 20.0),
        ([job(2, 10.0), job(2, 1.0, source="random")], 2, 11.0),
    ],
)
def test_jobs_are_dealt_over_cores_and_who_waits_comes_last(
    jobs: list[MethodEstimate], cores: int, seconds: float
) -> None:
    assert by_the_clock({str(number): one for number, one in enumerate(jobs)}, cores) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "cores"), [("jobs: 100 # SITE", 100), ("cores: 4\njobs: 9", 4), ("executor: slurm", 0)]
)
def test_cores_of_a_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, cores: int) -> None:
    from hypercurve.trying.profile import cores_of
    from hypercurve.util.errors import UserError

    (tmp_path / "config.yaml").write_text(f"{text}\n")
    if cores:
        assert cores_of(tmp_path) == cores
    else:
        with pytest.raises(UserError, match="neither"):
            cores_of(tmp_path)


# The user's own part of a traceback


def test_a_traceback_is_cut_to_the_users_frames(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("weights = 1\ndef f():\n    return weihgts\n")
    text = (
        "Traceback (most recent call last):\n"
        f'  File "{ROOT}/workflow/hypercurve/training/loop.py", line 1, in open\n    made = f()\n'
        f'  File "{own}", line 3, in f\n    return weihgts\n           ^^^^^^^\n'
        "NameError: name 'weihgts' is not defined\n"
    )
    assert own_traceback(text).splitlines() == [
        f"{own}, line 3, in f",
        "    return weihgts",
        "NameError: name 'weihgts' is not defined",
    ]
    assert nearest_name(text) == "weights"
    assert own_traceback("a\nb\n") == "a\nb"
    assert nearest_name("a\nb\n") is None


# docs/try.md, as it stands there


def form(text: str) -> list[str]:
    """An output without its numbers, units and spaces, and without what depends on how fast things go."""
    text = re.sub(r"\n {17}(?=\S)", " ", text)
    text = re.sub(r"; its processes [\d.]+ \w+| with its start \(.*?\)", "", text)
    text = re.sub(r"the program has ended after .*?;|ended;", "ended;", text)
    text = re.sub(r"\b\d[\d.]*(e-\d+)?( (ms|s|min|h|B|kB|MB|GB)\b)?", "#", text)
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.splitlines())
    return [line for line in lines if not line.startswith("others ")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the page tries."""
    place = tmp_path_factory.mktemp("checkout")
    (place / "examples").mkdir()
    experiments = place / "config" / "experiments"
    experiments.mkdir(parents=True)
    shutil.copy(ROOT / "config" / "experiments" / "demo.yaml", experiments)
    keras, loops = ((ROOT / "docs" / name).read_text() for name in ("your-model.md", "models.md"))
    for name in ("my_network.py", "config/experiments/my-network.yaml"):
        (found,) = re.findall(rf"This is `{name}`:\n\n```\w+\n(.*?)```", keras, re.S)
        (place / name).write_text(found)
    (place / "mine.py").write_text(re.findall(r"```python\n(.*?)```", loops, re.S)[0])
    (experiments / "mine.yaml").write_text(re.findall(r"```yaml\n(data:.*?)```", loops, re.S)[0])
    shutil.copy(ROOT / "examples" / "logistic.yaml", place / "examples")
    source = shutil.copy(ROOT / "examples" / "logistic.c", place / "examples")
    if CC is not None:
        subprocess.run([CC, "-O2", "-o", place / "examples" / "logistic", source, "-lm"], check=True)
    return place


@pytest.mark.slow
@pytest.mark.skipif(CC is None, reason="there is no C compiler")
@pytest.mark.parametrize(("name", "shown"), re.findall(r"\$ hypercurve try (\S+)\n(.*?)```", PAGE, re.S))
def test_the_page_shows_what_is_printed(checkout: Path, name: str, shown: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    command = [sys.executable, "-m", "hypercurve", "try", name, "--cores", "2"]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert form(done.stdout) == form(shown)
    assert not (checkout / "results").exists()


@pytest.mark.slow
def test_the_page_shows_how_a_mistake_is_told(checkout: Path) -> None:
    (shown,) = re.findall(r"```\n(  FAILED .*?)```", PAGE, re.S)
    own, text = checkout / "mine.py", (checkout / "mine.py").read_text()
    own.write_text(changed(text, ('"learning_rate"', '"lerning_rate"')))
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    command = [sys.executable, "-m", "hypercurve", "try", "config/experiments/mine.yaml"]
    try:
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300)
    finally:
        own.write_text(text)
    assert done.returncode == 1
    assert shown in done.stdout
