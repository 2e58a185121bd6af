"""Pairs instead of products: each value of each list meets each value of every other list in some row."""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any


def pairs(first: Sequence[Any], second: Sequence[Any], *others: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Few rows, one value from each list, in which any two values of different lists stand together at least once.

    Most faults need no more than two settings to show (Kuhn, Wallace and Gallo 2004), and three lists of 17, 7 and 3 values
    give 119 rows, not 357. Greedy and without chance: the same lists give the same rows.
    """
    lists = [first, second, *others]
    sizes = [range(len(values)) for values in lists]
    left = {((a, i), (b, j)) for a, b in combinations(range(len(lists)), 2) for i, j in product(sizes[a], sizes[b])}
    rows = []
    while left:
        row = dict(min(left))
        for column, size in enumerate(sizes):
            if column not in row:
                row[column] = max(size, key=lambda value: len(met(row | {column: value}) & left))
        left -= met(row)
        rows.append(tuple(values[row[column]] for column, values in enumerate(lists)))
    return rows


def met(row: dict[int, int]) -> set[tuple[tuple[int, int], ...]]:
    """The pairs that stand together in a row: of places, by column and index."""
    return set(combinations(sorted(row.items()), 2))
