"""Malformed experiment files, and what commands have written: settings, manifests."""

from collections.abc import Iterator
from pathlib import Path

from conftest import SYNTHETIC, changed

from .case import Case, special

EXPERIMENT = changed(SYNTHETIC, ("trials: 20", "trials: 6"), ("split: 0.2", "configurations: 6, split: 0.5"))
MANY = 50_000
REPLAY = """\
data: {curves: curves.csv}
model: recorded
budget: {trials: 4}
methods: {random: {search: random}}
"""
WRONG = {"a number": "5.5", "a list": "[1, 2]", "a text": "'7 apples'", "nothing": "null"}
KEYS = (
    "data",
    "model",
    "objective",
    "space",
    "budget",
    "repeats",
    "seed",
    "training",
    "cost",
    "methods",
    "retrain",
    "snapshot",
)


def configs(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Experiment files."""
    del right
    texts: dict[str, str | bytes] = {
        "50,000 anchors": "description: x\nlist:\n" + "".join(f"- &a{n} {n}\n" for n in range(MANY)),
        "anchors of anchors": "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "50,000 aliases": "a: &a x\nb: [" + "*a, " * MANY + "x]\n",
        "an alias of itself": "a: &a [*a]\n",
        "50,000 unknown keys": EXPERIMENT + "".join(f"key{n}: 1\n" for n in range(MANY)),
        "50,000 unknown keys in a part": EXPERIMENT.replace("{trials: 6}", "\n  trials: 6\n" + "".join(f"  k{n}: 1\n" for n in range(MANY))),
        "50,000 unknown hyperparameters": EXPERIMENT.replace("space:\n", "space:\n" + "".join(f"  k{n}: 1\n" for n in range(MANY))),
        "20,000 unknown searchers": EXPERIMENT + "".join(f"  m{n}: {{search: s}}\n" for n in range(20_000)),
        "5,000 unknown options of searchers": EXPERIMENT + "".join(f"  m{n}: {{search: {{tpe: {{x: 1}}}}}}\n" for n in range(5000)),
        "50,000 unknown figures": EXPERIMENT + "figures: [" + "x, " * MANY + "x]\n",
        "50,000 values that are none": EXPERIMENT.replace("[32, 64]", "[" + "32, " * MANY + "64]"),
        "50,000 different values": EXPERIMENT.replace("[32, 64]", "[" + ", ".join(map(str, range(MANY))) + "]"),
        "accumulation points that fall": EXPERIMENT.replace("accumulation_points: 5", "accumulation_points: [" + "0.5, " * MANY + "1]"),
        "50,000 conditions": EXPERIMENT.replace("0.99]}", "0.99], when: {" + ", ".join(f"k{n}: 1" for n in range(MANY)) + "}}"),
        "brackets within brackets": "a: " + "[" * 100_000 + "]" * 100_000,
        "mappings within mappings": "a: " + "{a: " * 50_000,
        "indents within indents": "".join(" " * n + "a:\n" for n in range(1200)),
        "a lone surrogate": EXPERIMENT.replace("small experiment", '"\\ud800"').replace("a \"", "\""),
        "a lone surrogate as a key": EXPERIMENT + '"\\udc80": 1\n',
        "a lone surrogate as a method": EXPERIMENT + '  "\\ud800": {search: random}\n',
        "a number of 100,000 digits": EXPERIMENT.replace("trials: 6", "trials: " + "9" * 100_000),
        "a seed of 5,000 digits": EXPERIMENT + "seed: " + "9" * 5000 + "\n",
        "a number that overflows": EXPERIMENT.replace("0.001, 1.0", "0.001, 1.0e999"),
        "a bound of 400 digits": EXPERIMENT.replace("0.001, 1.0", "0.001, 1" + "0" * 400),
        "bounds as texts": EXPERIMENT.replace("[0.001, 1.0]", '["0.001", "1.0"]'),
        "bounds with equal logarithms": EXPERIMENT.replace("[0.001, 1.0]", "[1.0e+300, 1.0000000000000002e+300]"),
        "a text of 900,000 characters": EXPERIMENT.replace("model: synthetic", "model: " + "x" * 900_000),
        "a key of 900,000 characters": EXPERIMENT + "x" * 900_000 + ": 1\n",
        "a line of 900,000 quotes": EXPERIMENT + "x: '" + "''" * 450_000,
        "more than 1,000,000 bytes": EXPERIMENT + "#" * 1_000_000,
        "Latin-1": EXPERIMENT.encode() + "x: für\n".encode("latin-1"),
        "UTF-16": EXPERIMENT.encode("utf-16"),
        "every byte": bytes(range(256)),
        "a NUL": EXPERIMENT.replace("small", "sm\0all"),
        "a tab as an indent": EXPERIMENT.replace("  momentum", "\tmomentum"),
        "a Python object": "!!python/object/apply:os.system [ls]\n",
        "a tag": EXPERIMENT.replace("description: ", "description: !secret "),
        "binary data": EXPERIMENT.replace("description: a small experiment on learning curves by formula", "description: !!binary aGk="),
        "a date": EXPERIMENT.replace("trials: 6", "trials: 2020-01-01"),
        "a set": "!!set {data, model}\n",
        "a list as a key": EXPERIMENT + "? [a, b]\n: 1\n",
        "a number as a key": EXPERIMENT + "5: 1\n",
        "null as a key": EXPERIMENT + "~: 1\n",
        "a merge key": EXPERIMENT + "  all: {<<: {search: random}}\n",
        "a key twice": EXPERIMENT + "model: dense\n",
        "two documents": EXPERIMENT + "---\na: 1\n",
        "a directive": "%YAML 9.9\n---\n" + EXPERIMENT + "x: 1\n",
        "a percent sign": "%\n",
        "an anchor without a name": "a: & b\n",
        "an open quote": EXPERIMENT + "x: 'never closed\n",
        "an escape that is none": EXPERIMENT + 'x: "\\q"\n',
        "an endless block": EXPERIMENT + "x: |99\n y\n",
        "only a comment": "# later\n",
        "a list": "- data\n- model\n",
        "a word": "hello\n",
        "a method with a slash": EXPERIMENT + "  a/b: {search: random}\n",
        "a method with dots": EXPERIMENT + "  ..: {search: random}\n",
        "a method that is a path": EXPERIMENT + "  ../../x: {search: random}\n",
        "a method with a newline": EXPERIMENT + '  "a\\nb": {search: random}\n',
        "a code that is none": EXPERIMENT.replace("model: synthetic", "model: 'os:'"),
        "code that is not there": EXPERIMENT.replace("model: synthetic", "model: nowhere.at_all:build"),
        "a program that is not there": "model: {command: [./nowhere]}\nspace: {epochs: 3}\nbudget: {trials: 2}\nmethods: {a: {search: random}}\n",
        "a million jobs": EXPERIMENT.replace("trials: 6", "trials: 1000000").replace("{search: random}", "{search: random, trials_per_job: 1}", 1),
        "a grid without end": EXPERIMENT.replace("random: {search: random}", "random: {search: {grid: {points: 10000}}}"),
        "bounds on what is never reported": EXPERIMENT + "constraints: {val_acuracy: {min: 0.5}}\n",
        "bounds that exclude each other": EXPERIMENT + "constraints: {loss: {min: 2, max: 1}}\n",
    }  # fmt: skip
    for key in KEYS:
        lines = [line for line in EXPERIMENT.splitlines() if not line.startswith(f"{key}:")]
        rest = "\n".join(line for line in lines if not (key in ("space", "methods") and line.startswith("  ")))
        texts |= {f"{key} as {kind}": f"{rest}\n{key}: {value}\n" for kind, value in WRONG.items()}
    accepted = {"data as nothing", "objective as nothing"}
    for number, (name, text) in enumerate(texts.items()):
        path = folder / f"config{number}.yaml"
        # A lone surrogate stands in YAML as an escape, so all texts can be written.
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        if name not in accepted:
            yield Case("experiment file", name, ("check", str(path)), path.name)
    tabs = folder / "tabs.yaml"
    tabs.write_text(EXPERIMENT.replace("model: ", "model:\t").replace("trials: 6", "trials:\t6"))
    yield Case("experiment file", "tabs after colons, which YAML allows", ("check", str(tabs)), "", 0)
    for name, path in special(folder, ".yaml"):
        yield Case("experiment file", name, ("check", str(path)), path.name[:20])


def settings(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Settings, experiments and manifests, as commands write them."""
    given = (right / "results/small/runs/random/setting.json").read_text()
    texts: dict[str, str | bytes] = {
        "half of it": given[: len(given) // 2],
        "a list": "[]",
        "a number of 5,000 digits": given.replace('"seed": 0', '"seed": ' + "9" * 5000, 1),
        "a number that overflows": given.replace('"seed": 0', '"seed": 1e999', 1),
        "brackets within brackets": "[" * 100_000 + "]" * 100_000,
        "NaN": given.replace('"step": 0.0001', '"step": NaN'),
        "a lone surrogate": given.replace('"small"', '"\\ud800"', 1),
        "Latin-1": "{'für': 1}".encode("latin-1"),
        "20,000 unknown keys": given.replace("{", "{" + "".join(f'"k{n}": 1, ' for n in range(20_000)), 1),
        "another kind of search": given.replace('"random": {}', '"randm": {}'),
    }
    made: dict[str, Path] = {}
    for name, text in texts.items():
        made[name] = folder / f"setting{len(made)}.json"
        made[name].write_bytes(text if isinstance(text, bytes) else text.encode())
    for name, path in [*made.items(), *special(folder, ".json")]:
        yield Case("setting", name, ("table", str(path), "-o", str(folder / "table.jsonl")), path.name[:20])
    data = next(path for path in (right / "results/data").iterdir() if path.is_dir())
    for number, (name, text) in enumerate(
        {
            "a manifest that is a list": "[]",
            "a manifest without files": '{"files": {}}',
            "a manifest with brackets": "[" * 100_000,
            "a manifest of numbers": '{"files": {"x_train": 1, "y_train": 1, "x_validation": 1, "y_validation": 1, "x_test": 1, "y_test": 1}}',
        }.items()
    ):
        own = folder / f"data{number}"
        own.mkdir()
        for file in data.iterdir():
            (own / file.name).symlink_to(file)
        (own / "manifest.json").unlink()
        (own / "manifest.json").write_text(text)
        command = ("search", str(right / "results/small/runs/random/setting.json"), "--data", str(own))
        yield Case("setting", name, (*command, "-o", str(folder / "j" / "journal.jsonl")), "manifest.json")
    for name, text in {"an experiment that is a list": "[]", "an experiment with brackets": "[" * 100_000}.items():
        own = folder / name.replace(" ", "-")
        own.mkdir()
        (own / "experiment.json").write_text(text)
        for command in (
            ("compare", str(own), "-o", str(folder / "c.csv")),
            ("report", str(own), "-o", str(folder / "r.html")),
        ):
            yield Case("setting", f"{name}, for {command[0]}", command, "experiment.json")
