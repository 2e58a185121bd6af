"""scikit-learn's digits: 1797 images of 8 by 8 pixels, in 17 shades of grey, of 10 digits."""

from typing import Any

import numpy as np

from ...util.seeding import generator

ORIGIN = "scikit-learn's digits"
SCALE = 1 / 16
TEST_SHARE = 0.2
"""They come without a test part: this share is held out, always the same examples."""


def load() -> dict[str, Any]:
    """The images as bytes, and the digits."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.int32)
    order = generator(0, 0, "digits test part").permutation(len(images))
    test, train = np.split(order, [round(TEST_SHARE * len(images))])
    test, train = np.sort(test), np.sort(train)
    return {"x_train": images[train], "y_train": labels[train], "x_test": images[test], "y_test": labels[test]}
