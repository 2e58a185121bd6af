"""Domains that are possible but hardly meant."""

import math
import re
from collections.abc import Iterator

from .domains import Choice, Constant, Domain, LogUniform, Uniform

NEAREST = 1e-9
"""Bounds nearer to each other than this, relative to their size, are as good as equal."""
WIDEST = 1e12
"""Width of a uniform range, and"""
MOST_TIMES = 1e4
"""how many times its lower bound the upper one may be: nearly all draws are of the size of the upper one."""
MOST_DECADES = 20
"""Orders of magnitude between bounds of a logarithmic range."""
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)\s*")
_EQUAL = "its bounds are as good as equal in floating point: write a constant, or bounds further apart"


def doubts(domain: Domain) -> Iterator[str]:
    """What is doubtful in a domain, and what to do."""
    match domain:
        case Uniform(uniform=(low, high)):
            if high - low <= NEAREST * max(abs(low), abs(high)):
                yield _EQUAL
            elif high - low > WIDEST:
                yield f"it spans {high - low:g}: take bounds that the model can work with, or log_uniform"
            elif low > 0 and high / low >= MOST_TIMES:
                share = 0.9 * high / (high - low)
                yield f"{share:.0%} of the draws are above a tenth of the upper bound: take log_uniform, if sizes are meant"
        case LogUniform(log_uniform=(low, high)):
            decades = math.log10(high) - math.log10(low)
            if decades <= NEAREST:
                yield _EQUAL
            elif decades > MOST_DECADES:
                yield f"it spans {decades:.0f} orders of magnitude: take bounds that the model can work with"
        case Choice(extremes=values) | Constant(extremes=values):
            if texts := [value for value in values if isinstance(value, str) and _NUMBER.fullmatch(value)]:
                yield f"{texts[0]!r} is text, which the model gets as it is: write it without quotes, if a number is meant"
