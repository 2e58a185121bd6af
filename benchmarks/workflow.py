"""What Snakemake and jobs cost where trials are many: a table, and one line of JSON.

    python benchmarks/workflow.py

Everything is random search of `config/experiments/mnist-trials.yaml` with more trials, at the default `trials_per_job`.
MNIST comes from the cache of Keras.

- dry_run_1000_s, dry_run_10000_s: seconds of `snakemake -n` for a comparison of one run of so many trials; the median of
  some. Every cluster job pays nearly the same, since it reads the Snakefile again.
- peak_mib_10000: the memory that the latter takes at most.
- batch_overhead: share of the time of one batch of 1,000 trials that is not training and evaluation: imports, data,
  compilation, journal. The batch is really trained.
- single_over_batched: seconds of a trial as a job of its own over those in the batch, its share of the batch's start
  included; some trials of that batch, which are trained again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

import yaml

from hypercurve.config.files import read_experiment
from hypercurve.config.jobs import batches
from hypercurve.events.journal import read_lines
from hypercurve.workflow_support.launching import set_environment

ROOT = Path(__file__).parents[1]
EXPERIMENT = ROOT / "config/experiments/mnist-trials.yaml"
MIB = 2**20


def measured(*command: str | Path) -> tuple[float, float]:
    """Seconds and peak MiB of a command.

    Raises:
        SystemExit: it failed; its output is shown.
    """
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen([*map(str, command)], stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{output.read()[-3000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return seconds, usage.ru_maxrss * unit / MIB


def write(source: Path, folder: Path, trials: int) -> Path:
    """Random search of an experiment, with so many trials."""
    given: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    given |= {"budget": {"trials": trials}, "repeats": 1, "methods": {"random": {"search": "random"}}}
    path = folder / f"trials-{trials}.yaml"
    path.write_text(yaml.safe_dump(given), encoding="utf-8")
    return path


def dry_run(source: Path, folder: Path, trials: int, times: int) -> tuple[float, float]:
    """Seconds, the median, and the most MiB of planning a run of so many trials."""
    name = write(source, folder, trials).stem
    readings = [
        measured(
            *("snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder, "--dry-run", "--quiet"),
            *("--configfile", ROOT / "config/config.yaml", "--config", f"folder={folder}", f"results={folder}/results"),
            *(f"experiments=[{name}]", "--", f"{folder}/results/{name}/comparison.csv"),
        )
        for _ in range(times)
    ]
    return median(seconds for seconds, _ in readings), max(peak for _, peak in readings)


class Jobs:
    """Batches of a run of 1,000 trials, as the workflow's rules train them."""

    def __init__(self, source: Path, folder: Path):
        path = write(source, folder, 1000)
        experiment = read_experiment(path)
        self.folder, self.count, self.trials = folder, batches(experiment, "random"), 1000
        self.setting, self.table, self.data = folder / "setting.json", folder / "trials.jsonl", folder / "data"
        spec = experiment.data
        assert spec is not None
        measured("hypercurve", "resolve", path, "--method", "random", "--output", self.setting)
        measured("hypercurve", "table", self.setting, "--repeat", "0", "--output", self.table)
        measured(
            *("hypercurve", "data", str(spec.name), "--validation", str(spec.validation), "--seed", str(spec.seed)),
            *("--output", self.data),
        )

    def train(self, batch: int, of: int) -> tuple[float, dict[int, float]]:
        """Seconds of a job, and of training and evaluating each of its trials."""
        output = self.folder / f"batch-{batch}-of-{of}.jsonl"
        seconds, _ = measured(
            *("hypercurve", "batch", self.setting, "--repeat", "0", "--table", self.table, "--data", self.data),
            *("--batch", str(batch), "--of", str(of), "--output", output),
        )
        trained: dict[int, float] = {}
        for line in read_lines(output)[0]:
            if "trial" in line:
                trained[line["trial"]] = trained.get(line["trial"], 0.0) + line["wall"].get("seconds", 0.0)
        return seconds, trained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3, help="dry runs of each size (3)")
    parser.add_argument("--singles", type=int, default=8, help="trials that are trained again, each as a job (8)")
    parser.add_argument("--experiment", type=Path, default=EXPERIMENT, help="another experiment file (mnist-trials)")
    given = parser.parse_args()
    set_environment(str(ROOT))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short, _ = dry_run(given.experiment, folder, 1000, given.times)
        long, peak = dry_run(given.experiment, folder, 10_000, given.times)
        print(f"dry run of 1,000 trials: {short:.2f} s; of 10,000: {long:.2f} s, {peak:.0f} MiB", flush=True)
        jobs = Jobs(given.experiment, folder)
        whole, trained = jobs.train(0, jobs.count)
        start = whole - sum(trained.values())
        print(f"batch of {len(trained)} trials: {whole:.1f} s, of which {start:.1f} s are not training", flush=True)
        again = [*trained][:: max(1, len(trained) // given.singles)][: given.singles]
        alone = [jobs.train(trial, jobs.trials)[0] for trial in again]
        together = [trained[trial] + start / len(trained) for trial in again]
        print(f"a trial: {mean(alone):.2f} s as a job of its own, {mean(together):.2f} s in the batch", flush=True)
    line = {
        "dry_run_1000_s": round(short, 3),
        "dry_run_10000_s": round(long, 3),
        "peak_mib_10000": round(peak, 1),
        "batch_overhead": round(start / whole, 4),
        "single_over_batched": round(mean(alone) / mean(together), 3),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
