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
        spec = DataSpec.model_validate({source: given.source, "validation": given.validation, "seed": given.seed})
    except ValidationError as error:
        raise UserError(in_lines(error)) from None
    prepare(spec, given.output)
