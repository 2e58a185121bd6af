"""The subcommand on data files: cut."""

from pathlib import Path

from .arguments import Add, Arguments, positive


def add_commands(add: Add) -> None:
    """Add the subcommand to the command line.

    Args:
        add: adds a subcommand: name, function, one line of help, example.
    """
    sub = add(
        "cut",
        _cut,
        "write the first examples of a data set to an .npz file, for smaller experiments",
        "cifar10 data/cifar10-10k.npz --train 10000 --test 5000",
    )
    sub.add_argument("source", help="mnist, fashion_mnist, cifar10, or an .npz file")
    sub.add_argument("output", type=Path, metavar="FILE.npz", help="file to write")
    sub.add_argument(
        "--train",
        type=positive,
        default=10_000,
        help="examples of the training part, validation included (default: 10000)",
    )
    sub.add_argument("--test", type=positive, default=5000, help="examples of the test part (default: 5000)")


def _cut(given: Arguments) -> None:
    from ..training.data_sources import cut

    cut(given.source, given.output, given.train, given.test)
