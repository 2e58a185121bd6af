"""`hypercurve join`: one more worker for a run that workers carry out."""

import json
from pathlib import Path

from ..util.errors import UserError
from .arguments import Arguments, Parser
from .search import PATHS, join_run

HELP = "help with a run whose method has `workers`, from any machine that sees its folder; ends when the run does"
EXAMPLE = "results/demo/runs/lcm/0"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="the run's folder")


def run(given: Arguments) -> None:
    from ..config.files import read_setting

    found = sorted(given.run.glob("*.workers-*/run.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        if (given.run / "journal.jsonl").exists():
            print(f"{given.run}: the run is complete")
            return
        raise UserError(f"{given.run}: no worker has begun this run: Snakemake, or `hypercurve search --worker`, does")
    called = json.loads(found[-1].read_text(encoding="utf-8"))
    for name in PATHS:
        if called[name] is not None:
            called[name] = given.run / called[name]
    called["output"], called["reuse"] = given.run / called["output"], [Path(place) for place in called["reuse"]]
    chosen = Arguments(**{**called, "command": given.command, "name": given.name})
    join_run(chosen, read_setting(chosen.setting))
