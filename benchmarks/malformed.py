"""Runs every malformed input of tests/malformed_inputs in the real command line, and writes docs/malformed-inputs.md.

    python benchmarks/malformed.py --output docs/malformed-inputs.md      # some five minutes
    python benchmarks/malformed.py --kind archive --verbose

Of each, seconds by the clock and the process's largest resident memory are measured, with two processes at a time. An input
is a problem if it ends with a code that is not its own, a traceback, or without a message that names it; or if it takes more
than ten seconds or 500 MB. It ends with 1 if there is any.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
MEASURED = Path(__file__).with_name("measured.py")
sys.path += [str(ROOT / "tests")]

from malformed_inputs import base, inputs  # type: ignore[import-not-found]  # noqa: E402
from malformed_inputs.case import Case  # type: ignore[import-not-found]  # noqa: E402

MOST_SECONDS, MOST_MEGABYTES = 10.0, 500.0
PATIENCE = 30.0
"""Seconds after which a command is killed."""
HEADROOM = 8 << 30
"""Bytes of address space: what asks for more gets an error, and the machine is spared."""
LONGEST = 6000
"""Characters of a message that are more than anybody reads."""


class Outcome(NamedTuple):
    """What came of an input: exit code (None: killed), seconds, megabytes, message, and what is wrong with that."""

    case: Case
    code: int | None
    seconds: float
    megabytes: float
    message: str
    problems: list[str]


def run(case: Case, folder: Path) -> Outcome:
    """Run a case in a process of its own."""
    command = [sys.executable, "-m", "hypercurve", *case.command]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "workflow"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    with tempfile.TemporaryFile() as said, tempfile.NamedTemporaryFile() as measured:
        measure = [sys.executable, "-I", "-S", str(MEASURED), str(PATIENCE), str(HEADROOM), measured.name]
        whole = [os.fsencode(part) for part in [*measure, *command]]
        subprocess.run(
            whole, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=folder, env=environment, check=True
        )
        code, seconds, megabytes = json.loads(measured.read())
        said.seek(0)
        message = said.read(1 << 20).decode(errors="replace").strip()
    return Outcome(case, code, seconds, megabytes, message, list(problems(case, code, seconds, megabytes, message)))


def problems(case: Case, code: int | None, seconds: float, megabytes: float, message: str) -> Sequence[str]:
    """What is wrong with how an input was met."""
    found = []
    if code != case.code:
        found.append(f"ended with {code}, not {case.code}")
    if "Traceback" in message:
        found.append("a traceback")
    if case.code and not message:
        found.append("no message")
    if case.words and case.words not in message:
        found.append(f"does not say {case.words}")
    if len(message) > LONGEST:
        found.append(f"a message of {len(message)} characters")
    if seconds > MOST_SECONDS:
        found.append(f"{seconds:.1f} s")
    if megabytes > MOST_MEGABYTES:
        found.append(f"{megabytes:.0f} MB")
    return found


def short(message: str, folders: Sequence[Path]) -> str:
    """A message's last line of sense, without names of temporary folders, as a cell of a table."""
    for folder in folders:
        message = message.replace(f"{folder}/", "").replace(str(folder), folder.name)
    lines = [line.strip() for line in message.splitlines() if not line.startswith(("usage:", " " * 8))]
    line = next((line for line in reversed(lines) if line), "")
    line = re.sub(r"(\w)\1{30,}", r"\1\1\1…", line)
    return (line if len(line) < 180 else line[:177] + "...").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def table(outcomes: Sequence[Outcome], folders: Sequence[Path]) -> str:
    """The page."""
    lines = [
        "| kind | inputs | most seconds | most MB | an example, and what is said |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind in dict.fromkeys(one.case.kind for one in outcomes):
        own = [one for one in outcomes if one.case.kind == kind]
        example = max((one for one in own if one.case.code == 2), key=lambda one: one.seconds)
        said = f"{example.case.name}: `{short(example.message, folders)}`"
        seconds, megabytes = max(one.seconds for one in own), max(one.megabytes for one in own)
        lines.append(f"| {kind} | {len(own)} | {seconds:.1f} | {megabytes:.0f} | {said} |")
    every = [
        f"| {one.case.kind} | {one.case.name} | {one.code} | {one.seconds:.1f} | {one.megabytes:.0f} "
        f"| `{short(one.message, folders) or 'ok'}` |"
        for one in outcomes
    ]
    head = [
        "| kind | what is wrong | code | seconds | MB | what is said last |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, "", "## Every input", "", *head, *every, ""])


def main() -> int:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="", help="only kinds that begin so")
    parser.add_argument("--name", default="", help="only names that contain this")
    parser.add_argument("--output", type=Path, help="page to write")
    parser.add_argument("--verbose", action="store_true", help="say how each input was met")
    given = parser.parse_args()
    output = None if given.output is None else given.output.absolute()
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as temporary:
        right, folder, here = (Path(temporary) / name for name in ("right", "inputs", "here"))
        for place in (right, folder, here):
            place.mkdir()
        os.chdir(right)
        base(right)
        os.chdir(here)
        cases = [one for one in inputs(right, folder) if one.kind.startswith(given.kind) and given.name in one.name]
        with ThreadPoolExecutor(2) as pool:
            outcomes = []
            for one in pool.map(lambda case: run(case, here), cases):
                outcomes.append(one)
                if one.problems or given.verbose:
                    told = short(one.message, (folder, right, here))
                    print(f"{one.case.kind}: {one.case.name}: {'; '.join(one.problems) or 'ok'}: {told}", flush=True)
        bad = [one for one in outcomes if one.problems]
        longest, largest = max(one.seconds for one in outcomes), max(one.megabytes for one in outcomes)
        print(f"{len(outcomes)} inputs, {len(bad)} problems; at most {longest:.1f} s and {largest:.0f} MB")
        if output is not None:
            head = output.read_text(encoding="utf-8").partition("| kind |")[0]
            output.write_text(head + table(outcomes, (folder, right, here)), encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
