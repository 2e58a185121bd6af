"""`hypercurve check`: what is wrong with experiment files, before anything runs."""

import sys
from pathlib import Path

from ..util.errors import UserError
from .arguments import Arguments, Parser

HELP = "check experiment files; says all that is wrong, exits with 2"
EXAMPLE = "config/experiments/*.yaml"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    text = (
        "your changed code trains and decides as before: what was recorded before the change counts for it from now on"
    )
    parser.add_argument("--keep-code", action="store_true", help=text)
    parser.add_argument("--results", type=Path, default=Path("results"), help="of --keep-code (default: results)")


def run(given: Arguments) -> None:
    from ..config.code_files import code_files, model_digest, rules_digest
    from ..config.doubts import doubts, doubts_of_file
    from ..config.files import ConfigError, read_experiment
    from ..runs.same_code import keep_code
    from ..util.user_code import module_file

    problems: list[str] = []
    for path in given.files:
        try:
            experiment = read_experiment(path)
            code_files(experiment.model)
            if experiment.data is not None and experiment.data.function is not None:
                module_file(experiment.data.function.partition(":")[0], "data.function")
        except ConfigError as error:
            problems.append(str(error))
        except UserError as error:
            problems.append(f"{path}: {error}")
        else:
            runs = len(experiment.methods) * experiment.repeats
            on = f" on {experiment.data.label}" if experiment.data else ""
            print(f"{path}: ok, methods {', '.join(experiment.methods)}: {runs} runs{on}")
            if stopped := [name for name, method in experiment.methods.items() if method.stop is not None]:
                judged = experiment.judged
                better = "higher" if judged.mode == "max" else "lower"
                print(f"  {', '.join(stopped)}: trials are stopped by {judged.metric}, {better} is better")
            for said in (*doubts_of_file(path), *doubts(experiment)):
                print(f"{path}: warning: {said}", file=sys.stderr)
            if given.keep_code:
                results = given.results / path.stem
                rules = {name: rules_digest(method) for name, method in experiment.methods.items()}
                kept = keep_code(results, model_digest(experiment.model), rules)
                print("\n".join(kept or [f"{results}: nothing was recorded with other code"]))
    if problems:
        raise UserError("these files have problems\n" + "\n".join(problems))
