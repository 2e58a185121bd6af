"""Numbers and lists as a reader of reports would write them."""

import numbers
from collections.abc import Iterable
from typing import Any

NARROW = "\u202f"


def short(value: Any, digits: int = 3) -> str:
    """A number in few characters; other values as they are."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return str(value)
    number = float(value)
    if number == int(number) and abs(number) < 1e6:
        return f"{int(number):,}".replace(",", NARROW)
    if 1e-3 <= abs(number) < 1e6:
        return f"{number:.{digits}g}"
    mantissa, exponent = f"{number:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    if mantissa == "1":
        return "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}e{int(exponent)}"


def shares(values: Iterable[float]) -> str:
    """Shares as percentages: ``10, 20 and 40 %``."""
    return listing([f"{round(100 * value, 4):g}" for value in values]) + f"{NARROW}%"


def listing(items: Iterable[str]) -> str:
    """``a, b and c``."""
    *most, last = [*items]
    return f"{', '.join(most)} and {last}" if most else last


def cut_short(value: object, most: int = 60) -> str:
    """A value's text with so many characters at most.

    >>> cut_short("a text that is too long", 12)
    'a text th...'
    """
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def inert(text: str) -> str:
    """A text as a cell of a table that no spreadsheet takes for a formula: with an apostrophe before what begins like one.

    >>> inert("=1+1"), inert("@sum"), inert("relu"), inert("-1.5")
    ("'=1+1", "'@sum", 'relu', '-1.5')
    """
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
