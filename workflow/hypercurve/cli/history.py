"""`hypercurve history`: the journals that a run has had."""

from pathlib import Path

from ..util.errors import UserError
from .arguments import Arguments, Parser

HELP = "list the journals that a run has had: nothing that was trained is lost"
EXAMPLE = "results/demo/runs/lcm/0"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("run", type=Path, help="a run's folder")


def run(given: Arguments) -> None:
    from datetime import datetime

    from ..events.encoding import decode_line, is_last
    from ..events.journal import UNREADABLE, JournalError, read_lines, whole_lines
    from ..events.lines import EventLine, RunHeader

    found = sorted([*given.run.glob("journal*.jsonl"), *given.run.glob("history/journal*.jsonl")])
    if not found:
        raise UserError(f"{given.run}: is no folder of a run: it holds no journal")
    for path in found:
        damaged = False
        try:
            raw, _ = read_lines(path)
        except JournalError:
            raw, damaged = list(whole_lines(path.read_bytes())), True
        try:
            lines = [decode_line(line) for line in raw]
        except UNREADABLE:
            lines = []
        if not lines or not isinstance(lines[0], RunHeader):
            print(f"{path}: damaged")
            continue
        first, at = lines[0], lines[0].wall.at
        trials = {line.event.trial for line in lines if isinstance(line, EventLine)}
        when = "" if at is None else datetime.fromtimestamp(at).isoformat(" ", "minutes")
        state = f"damaged from line {len(raw) + 1} on" if damaged else "complete" if is_last(raw[-1]) else "not ended"
        print(f"{path}: {state}, {len(trials)} trials, setting {first.setting}, begun {when}")
    print("A run whose setting is that of an older journal again takes that journal, and trains nothing.")
