"""`hypercurve data`: data as arrays on disk, checked and split."""

import re

from ..util.errors import UserError
from .arguments import Arguments, Parser, add_output, number

HELP = "prepare a data set: check, split, store as arrays that processes share"
EXAMPLE = "digits --validation 0.25 -o digits"


def add_arguments(parser: Parser) -> None:
    from ..config.data_sets import DATA_SETS

    parser.add_argument("source", help=f"{', '.join(DATA_SETS)}, or an .npz file")
    parser.add_argument(
        "--validation", type=number, default=0.2, help="validation part: a count or a share (default: 0.2)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the split (default: 0)")
    parser.add_argument(
        "--test", type=number, help="test part of data of only x and y: a count or a share (default: 0.2)"
    )
    parser.add_argument("--task", help="classification or regression (default: as y is)")
    parser.add_argument(
        "--scale", type=number, help="what inputs are multiplied by (default: 1/255 for pixels, else 1)"
    )
    add_output(parser, "folder to write", folder=True)


def run(given: Arguments) -> None:
    from pydantic import ValidationError

    from ..config.data import DataSpec
    from ..training.data import prepare
    from ..util.schema import in_lines
    from ..util.user_code import REFERENCE

    source = "path" if "." in given.source or "/" in given.source else "name"
    if re.match(REFERENCE, given.source):
        source = "function"
    try:
        keys = ("validation", "seed", "test", "task", "scale")
        spec = DataSpec.model_validate({source: given.source} | {key: getattr(given, key) for key in keys})
    except ValidationError as error:
        raise UserError(in_lines(error)) from None
    for said in prepare(spec, given.output).assumed:
        print(f"assumed: {said}")
