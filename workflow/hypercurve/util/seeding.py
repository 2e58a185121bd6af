"""Random numbers that depend on what they are for, never on when or where they are drawn.

Every draw in a run comes from a generator keyed by (seed, repeat, purpose, indices). Two processes that ask for the same
key get the same numbers, so a run is the same however many processes took part, and a resumed run needs no saved
generator state. The keys leave out the method: two methods that draw trial 7 at random draw the same trial 7, which makes
comparisons between methods paired.
"""

from zlib import crc32

import numpy as np


def generator(seed: int, repeat: int, purpose: str, *indices: int) -> np.random.Generator:
    """A generator for one purpose.

    Args:
        seed: the experiment's seed, at least 0.
        repeat: which repeat of the experiment, from 0.
        purpose: what is drawn, for instance ``"configuration"`` or ``"weights"``.
        indices: what else sets this draw apart, for instance the trial's number and the epoch; each at least 0.
    """
    return np.random.default_rng((seed, repeat, crc32(purpose.encode()), *indices))


def integer_seed(seed: int, repeat: int, purpose: str, *indices: int) -> int:
    """A seed in [0, 2**31) for libraries that want an integer; arguments as for :func:`generator`."""
    return int(generator(seed, repeat, purpose, *indices).integers(2**31))
