"""Hold a searcher or stopper to the contract, and say what it breaks: ``python -m hypercurve.testing my_rules:Ratio``."""

import argparse
import sys

from pydantic import ValidationError

from ..config.files import parse_yaml
from ..util.errors import UserError
from ..util.schema import problems_in
from .contract import CHECKS, cases

SEEDS = 3


def main() -> int:
    """Try the rule with its examples, or with the options given; 1 if it breaks the contract, 2 if it cannot be tried."""
    parser = argparse.ArgumentParser(prog="python -m hypercurve.testing", description=__doc__)
    parser.add_argument("rule", help="one of ours, as experiments name it, or module:Class")
    parser.add_argument("options", nargs="?", help="its options as in an experiment file; by default its own examples")
    given = parser.parse_args()
    broken: dict[str, str] = {}
    try:
        options = None if given.options is None else parse_yaml(given.options, "options")
        settings = list(cases(given.rule, options))
        for check in CHECKS:
            for setting in settings:
                for seed in range(SEEDS):
                    try:
                        check(setting, seed)
                    except AssertionError as error:
                        chosen = {"search": setting.search, "stop": setting.stop}
                        said = ", ".join(f"{key}: {part.model_dump()}" for key, part in chosen.items() if part)
                        broken.setdefault(check.__name__, f"{said}, slots: {setting.slots}: {error}")
            name = check.__name__.replace("_", " ")
            print(
                f"BROKEN  {name}\n        {broken[check.__name__]}" if check.__name__ in broken else f"held    {name}"
            )
    except ValidationError as error:
        print(
            "\n".join(f"{[given.rule, *problem.path][-1]}: {problem.message}" for problem in problems_in(error)),
            file=sys.stderr,
        )
        return 2
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
