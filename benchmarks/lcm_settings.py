"""What LCM's settings cost and lose on recorded runs: a table, and one line of JSON.

    python benchmarks/lcm_settings.py results/mnist-trials --method random

Plays the recorded curves of a method that trained everything to the end (random search, say) through LCM with other
stopping rates s, split rates r and check points C. Nothing is trained. `speedup` is the ratio of computing seconds,
`loss` the mean loss of best validation performance in points of a percent, `same` the number of repeats in which LCM
found the same configuration.
"""

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

from hypercurve.config import Setting
from hypercurve.execution.driving import drive
from hypercurve.execution.serial import Sessions
from hypercurve.journal import Line, read_lines
from hypercurve.methods import LCMOptions, Stop
from hypercurve.reading import read_setting
from hypercurve.run import Run
from hypercurve.training.recorded import RecordedTrainer

RATES = (0.5, 0.7, 0.8, 0.9)
SPLITS = (0.1, 0.2)
CHECK_POINTS = ((0.1, 0.2, 0.4), (0.2, 0.4), (0.1,), (0.2,))


def replay(setting: Setting, repeat: int, lines: list[Line]) -> Run:
    """A run of this setting on recorded curves, up to its end; nothing is tested."""
    run = Run(setting, repeat, samples=lines[0]["samples"], data=lines[0]["data"])
    run.begin()
    drive(run, Sessions(run, RecordedTrainer(lines), 0, lambda _: None), lambda _: None)
    return run


def row(settings: list[Setting], recorded: list[list[Line]], full: list[Run], **lcm: Any) -> dict[str, Any]:
    """One choice of s, r and C over all repeats."""
    stop = Stop(lcm=LCMOptions(**lcm))
    runs = [
        replay(setting.model_copy(update={"stop": stop}), repeat, lines)
        for repeat, (setting, lines) in enumerate(zip(settings, recorded, strict=True))
    ]
    pairs = [(run.best, whole.best) for run, whole in zip(runs, full, strict=True)]
    losses = [abs(b.performance - a.performance) for a, b in pairs if a and b and a.performance and b.performance]
    return {
        **lcm,
        "speedup": round(sum(run.seconds for run in full) / sum(run.seconds for run in runs), 2),
        "loss": round(100 * sum(losses) / len(losses), 2),
        "same": sum(a is not None and b is not None and a.number == b.number for a, b in pairs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="results folder of an experiment")
    parser.add_argument("--method", default="random", help="a method without a stopper (default: random)")
    given = parser.parse_args()
    folder: Path = given.results / "runs" / given.method
    journals = sorted(folder.glob("*/journal.jsonl"), key=lambda path: int(path.parent.name))
    recorded = [read_lines(journal)[0] for journal in journals]
    settings = [read_setting(folder / "setting.json")] * len(recorded)
    full = [replay(*entry) for entry in zip(settings, range(len(recorded)), recorded, strict=True)]
    rows = [
        row(settings, recorded, full, stopping_rate=s, split=r, check_points=c)
        for s, r, c in product(RATES, SPLITS, CHECK_POINTS)
    ]
    print(f"{len(recorded)} repeats\n   s    r  check points       speedup   loss  same")
    for entry in sorted(rows, key=lambda entry: -entry["speedup"]):
        points = ", ".join(f"{point:g}" for point in entry["check_points"])
        print(
            f"{entry['stopping_rate']:4} {entry['split']:4}  {points:18} {entry['speedup']:7.2f} {entry['loss']:6.2f}"
            f" {entry['same']:5}"
        )
    print(json.dumps({"repeats": len(recorded), "rows": rows}))


if __name__ == "__main__":
    main()
