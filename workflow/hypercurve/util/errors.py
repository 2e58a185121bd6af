"""The one kind of exception whose message is written for the user."""

import re
import sysconfig
from pathlib import Path

MOST_SAID = 200
"""Characters of an error that are told."""


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
    frames = _FRAME.findall(text)
    own = [one for one in frames if not one[0].startswith(_OTHERS) and "-packages/" not in one[0]]
    if frames:
        file, line, function, code = (own or frames)[-1]
        return f"{file}, line {line}, in {function}" + (f": {code.strip()}" if code else "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:MOST_SAID] if lines else ""
