"""`hypercurve schedule`: what a run's winner was trained under, and what that is worth."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from ..util.errors import UserError
from .arguments import Arguments, Parser, add_output, positive

HELP = (
    "write what a run's winner was trained under, as a table and for Keras; with --seeds, train it again and say what "
    "the schedule is worth"
)
EXAMPLE = (
    "results/demo/runs/pbt/0 -o found\n"
    "  hypercurve schedule results/demo/runs/pbt/0 --seeds 5 --against results/demo/runs/random/0"
)


def add_arguments(parser: Parser) -> None:
    parser.add_argument("run", type=Path, help="a run's folder: results/EXPERIMENT/runs/METHOD/REPEAT")
    parser.add_argument(
        "--seeds",
        type=positive,
        metavar="N",
        help="train from scratch under the schedule, from N fresh seeds, and test",
    )
    parser.add_argument(
        "--against",
        type=Path,
        action="append",
        default=[],
        metavar="RUN",
        help="a run to compare with, trained again in the same way: the first is the baseline; may be repeated",
    )
    parser.add_argument(
        "--only-export", action="store_true", help="with --seeds, write what to train, and train nothing"
    )
    parser.add_argument("--data", type=Path, help="folder of the prepared data (default: where the workflow puts it)")
    add_output(
        parser,
        "folder for schedule.csv, schedule.py and, with --seeds, retraining.json and retrained.jsonl "
        "(default: schedules/METHOD/REPEAT in the experiment's results)",
        required=False,
        folder=True,
    )


def run(given: Arguments) -> None:
    from ..analysis import schedules_export as exporting

    if given.seeds is None and (given.against or given.only_export):
        raise UserError("--against and --only-export need --seeds: how often is the schedule to be trained again?")
    places: dict[Path, Path] = {given.run: given.output or _place(given.run)}
    places |= {run: _place(run) for run in given.against if run != given.run}
    read = {run: exporting.read(run) for run in places}
    _check(read)
    if given.seeds is not None:
        _check_code(read)
    for run, folder in places.items():
        result, setting = read[run]
        exporting.export(result, setting, folder, given.seeds or 0)
        about = exporting.summary(result, setting)
        copies = "" if setting.population is None else f" after {about['copies']} copies"
        print(
            f"{folder}: {about['steps']} steps, winner {about['winner']}{copies}, learning rate "
            f"{about['first']:.3g} at the start, {about['highest']:.3g} at most, {about['last']:.3g} at the end"
        )
    if given.seeds is None or given.only_export:
        return
    for run, folder in places.items():
        spec = read[run][1].data
        data = None if spec is None else given.data or run.resolve().parents[3] / "data" / spec.key
        _train(folder, data, read[run][0])
    _tell(given.run, read, places)


def _place(run: Path) -> Path:
    """Where the workflow puts what belongs to a run's schedule."""
    whole = run.resolve()
    if len(whole.parts) < 4 or whole.parents[1].name != "runs":
        raise UserError(f"{run}: is no run's folder, which is results/EXPERIMENT/runs/METHOD/REPEAT")
    return run.parent.parent.parent / "schedules" / whole.parent.name / whole.name


def _check(read: dict[Path, tuple[Any, Any]]) -> None:
    """Runs that are compared must have been trained and measured alike."""
    (first, (result, setting)), *others = read.items()
    for run, (result_, setting_) in others:
        for name, one, other in (
            ("data", result.data, result_.data),
            ("model", setting.model, setting_.model),
            ("objective", setting.objective, setting_.objective),
            ("repeat and seed", (result.repeat, setting.seed), (result_.repeat, setting_.seed)),
        ):
            if one != other:
                raise UserError(f"{run}: has another {name} than {first}, so their networks cannot be compared")


def _check_code(read: dict[Path, tuple[Any, Any]]) -> None:
    """What is to be trained again must be the code that the runs trained."""
    from ..config.code_files import model_digest, results_of
    from ..config.model import label

    for run, (result, setting) in read.items():
        if result.model != model_digest(setting.model, results_of(run / "journal.jsonl")):
            raise UserError(
                f"{run}: {label(setting.model)} was changed after this run was made, so its schedule would be trained with "
                "other code; run the workflow again"
            )


def _train(folder: Path, data: Path | None, result: Any) -> None:
    """Carry out a retraining as any other search, in a process of its own; one that is there already is kept."""
    from ..config.files import read_setting
    from ..events.journal import decode_header, read_lines

    setting, output = folder / "retraining.json", folder / "retrained.jsonl"
    if output.exists() and (lines := read_lines(output)[0]):
        header = decode_header(lines[0], f"{output}:1")
        if (header.setting, header.data, header.model) == (read_setting(setting).digest, result.data, result.model):
            print(f"{output}: is there already")
            return
    command = [sys.executable, "-m", "hypercurve", "search", setting, "--output", output]
    command += [] if data is None else ["--data", data]
    done = subprocess.run([str(part) for part in command], check=False)
    if done.returncode:
        raise UserError(f"{folder}: the retraining ended with code {done.returncode}; run the same command to go on")


def _tell(run: Path, read: dict[Path, tuple[Any, Any]], places: dict[Path, Path]) -> None:
    """Print test performances and, with something to compare with, the schedule's part of the gain."""
    from ..analysis import schedules_gain, tables
    from ..results.runs import read_run

    objective = read[run][1].objective
    names = {other: f"{read[other][0].experiment}/{read[other][0].method}" for other in places}
    if len({name.split("/")[0] for name in names.values()}) == 1:
        names = {other: name.split("/")[1] for other, name in names.items()}
    if len(set(names.values())) < len(names):
        raise UserError(f"{run}: and what it is compared with are runs of the same method")
    runs = {names[other]: [read[other][0]] for other in places}
    again = {
        (names[other], read[other][0].repeat): read_run(folder / "retrained.jsonl") for other, folder in places.items()
    }
    networks = schedules_gain.networks(runs, again, objective)
    baseline = list(names.values())[1 if len(names) > 1 else 0]
    table = schedules_gain.gain(networks, baseline, objective)
    tables.write(table, places[run] / "gain.csv")
    for row in table.to_dict("records"):
        spread = f" ± {row['test_sd']:.4f}" if row["networks"] > 1 else ""
        failed = f", {row['failed']} failed" if row["failed"] else ""
        print(
            f"{row['method']:>16} {row['network']:<10} test {objective.metric} {row['test_mean']:.4f}{spread}"
            f" (n = {row['networks']}{failed})"
        )
    if len(names) > 1:
        print(schedules_gain.verdict(table, names[run], objective))
