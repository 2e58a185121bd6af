"""`hypercurve try`: two points of each kind of training of an experiment, before hours are spent."""

import os
from pathlib import Path

from .arguments import Arguments, Parser, positive

HELP = "train two points for each method: what is wrong, and what the whole would take"
EXAMPLE = "config/experiments/demo.yaml"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the experiment's file")
    text = "cores that the whole experiment would have, for the estimate (default: this machine's)"
    parser.add_argument("--cores", type=positive, metavar="N", help=text)
    text = "take the number of cores from a profile of Snakemake: its `cores`, or its `jobs`"
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help=text)
    text = "where results would be; data that are prepared there are used (default: results)"
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER", help=text)


def run(given: Arguments) -> None:
    """Print what was seen.

    Raises:
        SystemExit: with 1, where a training fails.
    """
    from ..config.files import read_experiment
    from ..trying.experiment import attempt
    from ..trying.profile import cores_of

    experiment = read_experiment(given.file)
    cores = given.cores or (os.cpu_count() or 1 if given.profile is None else cores_of(given.profile))
    if not attempt(experiment, given.file, given.results, cores):
        raise SystemExit(1)
