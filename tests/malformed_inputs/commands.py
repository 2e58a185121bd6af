"""Command lines that make no sense, and outputs where nothing can be written."""

import os
from collections.abc import Iterator
from pathlib import Path

from .case import Case


def command_lines(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Command lines."""
    experiment, results = str(right / "small.yaml"), str(right / "results/small")
    setting, curves = f"{results}/runs/random/setting.json", str(right / "curves.csv")
    out = str(folder / "out")
    lines: dict[str, tuple[str, ...]] = {
        "no command": (),
        "an unknown command": ("chekc", experiment),
        "an empty command": ("",),
        "a command in a lone surrogate": ("\udc80",),
        "an unknown option": ("check", "--colour", experiment),
        "no file": ("check",),
        "an empty file name": ("check", ""),
        "a file name in a lone surrogate": ("check", "\udcff.yaml"),
        "a method that does not exist": ("resolve", experiment, "--method", "lmc", "-o", out),
        "an empty method": ("resolve", experiment, "--method", "", "-o", out),
        "no output": ("resolve", experiment),
        "data that do not exist": ("data", "digit", "-o", out),
        "a validation that is none": ("data", "digits", "--validation", "some", "-o", out),
        "a validation of 0": ("data", "digits", "--validation", "0", "-o", out),
        "a validation of 10^400": ("data", "digits", "--validation", "1" + "0" * 400, "-o", out),
        "a validation that is NaN": ("data", "digits", "--validation", "nan", "-o", out),
        "a validation in Arabic digits": ("data", "digits", "--validation", "²", "-o", out),
        "a seed below 0": ("data", "digits", "--seed", "-1", "-o", out),
        "a seed that is none": ("data", "digits", "--seed", "x", "-o", out),
        "a part of 10^400 examples": ("cut", str(right / "data.npz"), f"{out}.npz", "--train", "1" + "0" * 400),
        "a part of no examples": ("cut", str(right / "data.npz"), f"{out}.npz", "--train", "0"),
        "data to cut that do not exist": ("cut", "cifar11", f"{out}.npz"),
        "a file to cut to that is none": ("cut", str(right / "data.npz"), out),
        "a repeat below 0": ("table", setting, "--repeat", "-1", "-o", out),
        "a repeat that is none": ("table", setting, "--repeat", "x", "-o", out),
        "a repeat of 5,000 digits": ("table", setting, "--repeat", "9" * 5000, "-o", out),
        "a repeat that does not exist": ("table", setting, "--repeat", "99999999999", "-o", out),
        "a repeat in other digits": ("table", setting, "--repeat", "²", "-o", out),
        "a batch beyond the last": (
            "batch",
            setting,
            "--table",
            f"{results}/none",
            "--batch",
            "9",
            "--of",
            "2",
            "-o",
            out,
        ),
        "no batches": ("batch", setting, "--table", f"{results}/none", "--batch", "0", "--of", "0", "-o", out),
        "no data": ("search", setting, "-o", out),
        "data that are elsewhere": ("search", setting, "--data", f"{out}/none", "-o", out),
        "a memory that is NaN": ("search", setting, "--memory", "nan", "-o", out),
        "a memory below 0": ("search", setting, "--memory", "-1", "-o", out),
        "minutes that are none": ("search", setting, "--snapshot-minutes", "often", "-o", out),
        "tasks without MPI": ("search", setting, "--tasks", "many", "-o", out),
        "a place to reuse that is not there": (
            "search",
            setting,
            "--data",
            results,
            "--reuse",
            f"{out}/none",
            "-o",
            out,
        ),
        "a figure that does not exist": ("figure", results, "bets", "-o", f"{out}.svg"),
        "a figure of another ending": ("figure", results, "best", "-o", f"{out}.gif"),
        "a table that does not exist": ("compare", results, "--table", "speeds", "-o", out),
        "results that do not exist": ("compare", f"{results}/none", "-o", out),
        "a report of what is no results": ("report", str(right), "-o", out),
        "an overview of nothing": ("overview", str(folder / "none"), "-o", out),
        "a method to replay that does not exist": ("replay", curves, "--method", "lmc", "-o", out),
        "a method to replay that is no YAML": ("replay", curves, "--method", "a={", "-o", out),
        "an empty method to replay": ("replay", curves, "--method", "", "-o", out),
        "a method to replay of a lone surrogate": ("replay", curves, "--method", '"\\ud800"', "-o", out),
        "no repeats": ("replay", curves, "--repeats", "0", "-o", out),
        "10^400 repeats": ("replay", curves, "--repeats", "1" + "0" * 400, "-o", out),
        "a cost above 1": ("replay", curves, "--cost", "2", "-o", out),
        "a cost that is NaN": ("replay", curves, "--cost", "nan", "-o", out),
        "points of 10^9": ("replay", curves, "--points", "1000000000", "-o", out),
        "slots of 10^400": ("replay", curves, "--slots", "1" + "0" * 400, "-o", out),
        "samples that are none": ("replay", curves, "--samples", "x", "-o", out),
        "costs that are none": ("replay", curves, "--costs", "0.1", "x", "-o", out),
        "jobs that are none": ("replay", curves, "--jobs", "0", "-o", out),
        "an experiment to replay that is none": ("replay", curves, "--experiment", experiment, "-o", out),
        "an experiment to replay that is not there": ("replay", curves, "--experiment", f"{out}.yaml", "-o", out),
        "a run to restart that is not there": ("restart", f"{results}/runs/random/9"),
        "a history of nothing": ("history", f"{results}/runs/random/9"),
        "a history of a file": ("history", setting),
        "results to archive that are none": ("archive", str(right), "-o", out),
        "results to archive that are not there": ("archive", f"{results}/none", "-o", out),
        "an archive that is not there": ("verify", f"{out}.tar.gz"),
        "results to watch that are not there": ("watch", f"{results}/none", "--once"),
        "results to export that are not there": ("export", f"{results}/none", "-o", out),
        "an export that does not exist": ("export", results, "--format", "wandb", "-o", out),
        "a schedule of what is no population": ("schedule", f"{results}/runs/none/0", "-o", out),
        "members of what is no population": ("members", setting, f"{results}/runs/random/0/journal.jsonl", "-o", out),
        "a setting that is a journal": ("table", f"{results}/runs/random/0/journal.jsonl", "-o", out),
        "a journal that is a setting": ("trials", setting, setting, "-o", out),
        "a record of a method without one": ("record", setting, "-o", out),
        "results to clean that are none": ("clean", f"{results}/none"),
    }
    for name, line in lines.items():
        yield Case("command line", name, line)


def outputs(right: Path, folder: Path, large: bool = True) -> Iterator[Case]:
    """Outputs: where nothing can be written, or nothing should be."""
    results = right / "results/small"
    setting = str(results / "runs/random/setting.json")
    commands: dict[str, tuple[str, ...]] = {
        "resolve": ("resolve", str(right / "small.yaml")),
        "data": ("data", str(right / "data.npz")),
        "trials": ("trials", setting, str(results / "runs/random/0/journal.jsonl")),
        "table": ("table", setting),
        "curves": ("curves", str(right / "curves.csv")),
        "archive": ("archive", str(results)),
    }
    (folder / "full").mkdir()
    (folder / "full" / "precious.txt").write_text("precious")
    (folder / "file").write_text("precious")
    (folder / "link").symlink_to(folder / "file")
    (folder / "nowhere").symlink_to(folder / "none" / "at" / "all")
    os.mkfifo(folder / "pipe")
    for place, path in {
        "an empty name": "",
        "a folder that holds other things": str(folder / "full"),
        "the root": "/",
        "a dot": ".",
        "a device": "/dev/full",
        "below a file": str(folder / "file" / "x"),
        "below a device": "/dev/null/x",
        "a link": str(folder / "link"),
        "a link to nowhere": str(folder / "nowhere"),
        "a FIFO": str(folder / "pipe"),
        "a name of 300 characters": str(folder / ("n" * 300)),
        "a path of 5,000 characters": str(folder / "/".join(["n" * 100] * 50)),
        "in /proc": "/proc/x",
    }.items():
        for command, given in commands.items():
            yield Case("output", f"{place}, for {command}", (*given, "-o", path))
