"""Scikit-learn's digits, a fifth of whose training labels are wrong: a sibling of the digits as they are."""

import numpy as np
from sklearn.datasets import load_digits


def noisy():
    """The arrays of an experiment's data; validation and test labels are right."""
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(x))
    x, y = (x[order] / 16).reshape(-1, 8, 8), y[order]
    wrong = rng.random(1000) < 0.2
    labels = np.where(wrong, rng.integers(10, size=1000), y[:1000])
    return {
        "x_train": x[:1000],
        "y_train": labels,
        "x_validation": x[1000:1400],
        "y_validation": y[1000:1400],
        "x_test": x[1400:],
        "y_test": y[1400:],
    }
