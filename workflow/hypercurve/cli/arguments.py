"""What modules of subcommands share: types, and kinds of arguments; what is wrong with one is told in words."""

import argparse
from collections.abc import Callable

Arguments = argparse.Namespace
Add = Callable[[str, Callable[[Arguments], None], str, str], argparse.ArgumentParser]
"""Adds a subcommand: name, function, one line of help, example."""


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def count(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, not {text!r}")
    return int(text)


def number(text: str) -> int | float:
    """A whole number or a share."""
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number or a share, not {text!r}") from None


def share(text: str) -> float:
    """A share of a whole, above 0 and at most 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 1, not {text!r}")
    return value
