"""The one kind of exception whose message is written for the user."""

import re
import sys
import sysconfig
from difflib import get_close_matches
from pathlib import Path

MOST_SAID = 200
"""Characters of an error that are told."""
LINES_SAID = 10
"""Frames of a traceback, or lines of other texts, that are told."""


class UserError(Exception):
    """Something the user can mend: a config, a data file, a journal, a full disk.

    The command line prints the message without a traceback and exits with 2; executors let it end the run, where any other
    exception in a trial only fails that trial.
    """


def in_a_line(error: BaseException) -> str:
    """What an error is and says, in a line, in valid UTF-8 and without addresses, which differ from run to run.

    TensorFlow and Keras say first where an error was, and then what it is.
    """
    try:
        # Names of files may hold lone surrogates.
        text = re.sub(r"\x1b\[\d*m", "", str(error).encode(errors="backslashreplace").decode())
        lines = [line.strip() for line in re.sub(r"\b0x[0-9a-fA-F]{6,}\b", "0x...", text).splitlines()]
    except Exception:  # an error that cannot even be told
        lines = []
    lines = [line for line in lines if line]
    if lines and lines[0].startswith(("in user code:", "Exception encountered when calling")):
        calls = [place for place, line in enumerate(lines[:-1]) if "Exception encountered when calling" in line]
        raised = [line for line in lines if re.match(r"\w*(Error|Exception): ", line)]
        if calls:
            lines = lines[calls[-1] + 1 :]
        elif raised:
            return raised[-1][:MOST_SAID]
    return f"{type(error).__name__}: {lines[0][:MOST_SAID]}" if lines else type(error).__name__


_FRAME = re.compile(r'^\s*File "(.+)", line (\d+), in (.+)\n(?:\s+(?!File ")(.+)\n?)?', re.MULTILINE)
_OTHERS = (str(Path(__file__).parents[1]), sysconfig.get_path("stdlib"), "<frozen ")


def line_of_code(text: str) -> str:
    """Where an error arose, given its traceback: the last line in the user's own code, else the last of all.

    Of a text without a traceback, its last line.

    >>> line_of_code('Traceback (most recent call last):\\n  File "a.py", line 3, in train\\n    f(x)\\nNameError: x')
    'a.py, line 3, in train: f(x)'
    """
    if frames := _own_frames(text):
        file, line, function, code = frames[-1]
        return f"{file}, line {line}, in {function}" + (f": {code.strip()}" if code else "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:MOST_SAID] if lines else ""


def own_traceback(text: str) -> str:
    """A traceback without the frames of ours, of Python's and of installed packages, unless there are no others.

    Of a text without a traceback, such as what a program wrote to standard error, its last lines.
    """
    frames = _own_frames(text)
    if not frames:
        return "\n".join(text.rstrip().splitlines()[-LINES_SAID:])
    lines = [
        f"{_near(file)}, line {line}, in {function}\n    {code.strip()}".rstrip()
        for file, line, function, code in frames
    ]
    last = text.rpartition('  File "')[2].splitlines()
    error = [line[:MOST_SAID] for line in last[1:] if line.strip() and not line[0].isspace()][:1]
    return "\n".join([*lines[-LINES_SAID:], *error])


def _near(file: str) -> str:
    """A file as it is called from the working directory, if it lies there."""
    path, here = Path(file).resolve(), Path.cwd().resolve()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else file


def nearest_name(text: str) -> str | None:
    """Of a traceback that ends for want of a name: the likest in the module that was asked, or in the user's file."""
    missing = re.findall(
        r"^\w+Error: (?:module '([\w.]+)'|.*?)? ?(?:has no attribute|name) '(\w+)'", text, re.MULTILINE
    )
    frames = _own_frames(text)
    if not missing or not frames or "did you mean" in text.lower():
        return None
    module, name = missing[-1]
    try:
        file = Path(frames[-1][0]).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    names = dir(sys.modules[module]) if module in sys.modules else sorted({*re.findall(r"[A-Za-z_]\w*", file)} - {name})
    near = get_close_matches(name, names, n=1)
    return near[0] if near else None


def _own_frames(text: str) -> list[tuple[str, str, str, str]]:
    """The frames of a traceback in the user's own code, else all: file, line, function, and code."""
    frames: list[tuple[str, str, str, str]] = _FRAME.findall(text)
    own = [one for one in frames if not one[0].startswith(_OTHERS) and "-packages/" not in one[0]]
    return own or frames
