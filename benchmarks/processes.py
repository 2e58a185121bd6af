"""Processes that benchmarks start: themselves again with other arguments, and servers that measure when asked to."""

import os
import subprocess
import sys

QUIET = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
"""The environment of processes that import TensorFlow."""


def this_script(*arguments: str) -> list[str]:
    """The command that starts the benchmark once more."""
    return [sys.executable, sys.argv[0], *arguments]


class Server:
    """A process of this script that answers each line with a measurement."""

    def __init__(self, *arguments: str) -> None:
        pipe = subprocess.PIPE
        command = this_script(*arguments)
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=QUIET
        )

    def ask(self, what: str = "") -> str:
        """The next measurement."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def close(self) -> None:
        """Let it end."""
        self.process.communicate()
