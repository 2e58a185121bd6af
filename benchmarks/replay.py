"""How long replays take, and what simulated runs of 100,000 trials take: a table, and one line of JSON.

    python benchmarks/replay.py

`replay_ms`: milliseconds of one replay of 100 trials with 50 points by Learning Curve Matching, the median of many; on the
recorded curves that `--curves` names, else on curves by formula. `asha_seconds` and `lcm_seconds`: a simulated run of
`--trials` trials on a tenth as many slots, 50 points each, curves by formula, without a journal; `asha_peak_mib` and
`lcm_peak_mib`: its peak memory. `growth`: seconds per trial of such a run, over those of one with a hundredth of the
trials; the larger of both methods. Every run has a process of its own.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hypercurve.config.experiment import Experiment
from hypercurve.config.setting import Setting
from hypercurve.events.journal import Journal
from hypercurve.execution.replay import replay
from hypercurve.execution.serial import execute
from hypercurve.records.curve_files import read_curves
from hypercurve.runs.run import Run
from hypercurve.runs.trial import Trial
from hypercurve.space.search_space import Value
from hypercurve.training.synthetic import SyntheticTrainer
from hypercurve.training.trainer import Report, Session, Snapshot, Trainer
from hypercurve.util.seeding import generator

POINTS = 50
SPACE = {
    "learning_rate": {"log_uniform": [0.001, 1.0]},
    "momentum": {"uniform": [0.0, 0.99]},
    "batch_size": {"choice": [32, 64, 128], "ordered": True},
}
STOPPERS = {"asha": "asha", "lcm": "lcm"}


def setting(trials: int, slots: int, stop: str | None, **changes: Any) -> Setting:
    """A run's setting on curves by formula, or other data."""
    content = {
        "data": {"name": "digits"},
        "model": "synthetic",
        "space": SPACE,
        "objective": {"metric": "loss", "mode": "min"},
        "budget": {"trials": trials},
        "training": {"accumulation_points": POINTS},
        "methods": {"method": {"search": "random", "slots": slots} | ({"stop": stop} if stop else {})},
    }
    return Experiment.model_validate(content | changes).setting("replay", "method")


class Formula(Trainer):
    """Trains by formula, a generator per trial: power laws towards floors, with noise; all trials have the same cost."""

    def __init__(self, points: int):
        self._steps: npt.NDArray[np.float64] = np.arange(1, points + 1, dtype=np.float64)

    def open(self, trial: Trial) -> "Played":
        draw = generator(trial.seed, trial.repeat, "formula", trial.number)
        floor, speed = draw.uniform(0.1, 1.0), draw.uniform(0.1, 1.0)
        noise = 0.02 * draw.standard_normal(len(self._steps))
        losses: npt.NDArray[np.float64] = (floor + 2 * self._steps**-speed) * np.exp(noise)
        return Played(losses)

    def test(self, trial: Trial, snapshot: Snapshot) -> dict[str, float]:
        return {}


class Played(Session):
    def __init__(self, losses: npt.NDArray[np.float64]):
        self._losses = losses

    def advance(self, progress: float) -> Report:
        loss = float(self._losses[round(progress * len(self._losses)) - 1])
        return Report(progress, {"loss": loss, "val_loss": loss})

    def snapshot(self, out: object = None) -> Snapshot:
        return Snapshot.empty()

    def restore(self, snapshot: Snapshot) -> None: ...

    def adjust(self, configuration: Mapping[str, Value], anchor: int | None = None) -> None: ...


def simulate(stop: str, trials: int) -> None:
    """A simulated run in this process; prints its seconds, peak memory in MiB and number of events."""
    given = setting(trials, max(1, trials // 10), STOPPERS[stop])
    began = time.perf_counter()
    run = Run(given, 0, samples=50_000, data="formula")
    execute(run, Formula(POINTS), None)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    events = sum(trial.reports + 1 for trial in run.trials.values())
    assert len(run.trials) == trials, f"{len(run.trials)} trials"
    print(json.dumps({"seconds": seconds, "cpu": time.process_time(), "peak": peak, "events": events}))


def simulated(stop: str, trials: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--simulate", stop, "--trials", str(trials)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    each = (
        f"{1e6 * found['seconds'] / trials:.1f} us a trial, {1e6 * found['seconds'] / found['events']:.1f} us an event"
    )
    print(
        f"{stop:5} {trials:7} trials {found['events']:9.0f} events {found['seconds']:8.2f} s"
        f" ({found['cpu']:.2f} s of a core), {each}, {found['peak']:.0f} MiB"
    )
    return found


def replay_ms(curves: Path | None, repeats: int) -> float:
    """Milliseconds of a replay of 100 trials by Learning Curve Matching."""
    with tempfile.TemporaryDirectory() as folder:
        if curves is None:
            curves = Path(folder) / "random" / "0" / "journal.jsonl"
            given = setting(150, 1, None)
            curves.parent.mkdir(parents=True)
            (curves.parent.parent / "setting.json").write_text(given.model_dump_json())
            with Journal(curves) as journal:
                execute(Run(given, 0, samples=50_000, data="formula"), SyntheticTrainer(), journal)
        table = read_curves(curves)
    changes = {"model": "recorded", "data": {"curves": "curves"}, "space": {}}
    given = setting(100, 1, "lcm", **changes)
    seconds = []
    for repeat in range(repeats):
        began = time.perf_counter()
        replay(given, table, repeat)
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000, help="trials of the simulated runs (default: 100000)")
    parser.add_argument("--curves", type=Path, help="recorded curves to replay (default: curves by formula)")
    parser.add_argument("--repeats", type=int, default=50, help="replays to take the median of (default: 50)")
    parser.add_argument("--simulate", choices=STOPPERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.simulate:
        simulate(given.simulate, given.trials)
        return
    result: dict[str, float] = {}
    growth = []
    for stop in STOPPERS:
        few, many = given.trials // 100, given.trials
        small = statistics.median(simulated(stop, few)["seconds"] for _ in range(3))
        large = simulated(stop, many)
        result[f"{stop}_seconds"] = round(large["seconds"], 1)
        result[f"{stop}_peak_mib"] = round(large["peak"])
        growth.append(large["seconds"] / many / (small / few))
    # Last: a process begins with the peak memory of the one that started it.
    result = {"replay_ms": round(replay_ms(given.curves, given.repeats), 1)} | result
    print(json.dumps(result | {"growth": round(max(growth), 2)}))


if __name__ == "__main__":
    main()
