"""The one kind of exception whose message is written for the user."""

import re

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
