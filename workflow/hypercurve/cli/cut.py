"""`hypercurve cut`: a part of a data set as a file, for smaller experiments."""

from pathlib import Path

from .arguments import Arguments, Parser, positive

HELP = "write the first examples of a data set to an .npz file, for smaller experiments"
EXAMPLE = "cifar10 data/cifar10-10k.npz --train 10000 --test 5000"


def add_arguments(parser: Parser) -> None:
    from ..config.data_sets import IN_KERAS

    parser.add_argument("source", help=f"{', '.join(IN_KERAS)}, or an .npz file")
    parser.add_argument("output", type=Path, metavar="FILE.npz", help="file to write")
    parser.add_argument(
        "--train",
        type=positive,
        default=10_000,
        help="examples of the training part, validation included (default: 10000)",
    )
    parser.add_argument("--test", type=positive, default=5000, help="examples of the test part (default: 5000)")


def run(given: Arguments) -> None:
    from ..training.data_sources import cut

    cut(given.source, given.output, given.train, given.test)
