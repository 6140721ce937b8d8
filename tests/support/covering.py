"""Few combinations that show much: every two values meet in one of them.

What goes wrong where two features come together goes wrong whatever the others are. So the everyday suite tries, in
place of the full product of some axes, rows in which each value of an axis meets each value of every other axis.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

Feature = tuple[str, Hashable]
Pair = frozenset[Feature]
Facets = Callable[[Any], Iterable[Hashable]]


def covering(
    axes: Mapping[str, Sequence[Any]],
    facets: Mapping[str, Facets],
    impossible: Collection[Pair] = (),
    cheapest_first: Collection[str] = (),
) -> list[tuple[Any, ...]]:
    """Rows of one value an axis in which each two features of different axes meet, and in which each value is.

    The features of a value are what `facets` gives for its axis, such as a rule's class and each of its options; without
    that, the value's number. A greedy search without chance: equal axes give equal rows. None has an `impossible`
    pair. Values come about equally often; of the axes in `cheapest_first`, the first value whenever another shows no more.
    """
    features = {axis: [_features(axis, n, value, facets) for n, value in enumerate(axes[axis])] for axis in axes}
    search = _Search(features, impossible, cheapest_first)
    rows = list(search.rows())
    return [tuple(axes[axis][row[axis]] for axis in axes) for row in rows]


def pairs(axes: Mapping[str, Sequence[Any]], facets: Mapping[str, Facets]) -> set[Pair]:
    """All that must meet."""
    found = [{f for n, value in enumerate(axes[axis]) for f in _features(axis, n, value, facets)} for axis in axes]
    return {frozenset(pair) for one, other in combinations(found, 2) for pair in product(one, other)}


def _features(axis: str, number: int, value: Any, facets: Mapping[str, Facets]) -> list[Feature]:
    return [(axis, facet) for facet in facets[axis](value)] if axis in facets else [(axis, number)]


class _Search:
    """What is still wanted: pairs of features, and values that no row has yet."""

    def __init__(
        self, features: dict[str, list[list[Feature]]], impossible: Collection[Pair], cheapest_first: Collection[str]
    ) -> None:
        self.features, self.impossible, self.cheapest_first = features, impossible, cheapest_first
        distinct = [dict.fromkeys(f for of in values for f in of) for values in features.values()]
        all_pairs = (frozenset(pair) for one, other in combinations(distinct, 2) for pair in product(one, other))
        self.wanted = dict.fromkeys(pair for pair in all_pairs if pair not in impossible)
        self.unseen = dict.fromkeys((axis, n) for axis, values in features.items() for n in range(len(values)))
        self.needs = Counter(feature for pair in self.wanted for feature in pair)
        self.used: Counter[tuple[str, int]] = Counter()

    def rows(self) -> Iterable[dict[str, int]]:
        """Rows, as numbers of values, until nothing is wanted."""
        while self.wanted or self.unseen:
            row = self._row(self._seed())
            self._remove(row)
            yield row

    def _seed(self) -> dict[str, list[int]]:
        """The values that may be taken, where not all may: so that the row has what has been wanted for longest."""
        if not self.wanted:
            axis, number = next(iter(self.unseen))
            return {axis: [number]}
        pair = next(iter(self.wanted))
        return {f[0]: [n for n, of in enumerate(self.features[f[0]]) if f in of] for f in pair}

    def _row(self, allowed: dict[str, list[int]]) -> dict[str, int]:
        """A row, an axis after another: each time the value that meets most of what it has not met."""
        row: dict[str, int] = {}
        chosen: list[Feature] = []
        for axis in sorted(self.features, key=lambda axis: axis not in allowed):
            numbers = [n for n in allowed.get(axis, range(len(self.features[axis]))) if self._fits(axis, n, chosen)]
            row[axis] = max(numbers, key=functools.partial(self._worth, axis, chosen))
            chosen += self.features[axis][row[axis]]
        return row

    def _fits(self, axis: str, number: int, chosen: list[Feature]) -> bool:
        own = self.features[axis][number]
        return not any(frozenset((f, other)) in self.impossible for f in own for other in chosen)

    def _worth(self, axis: str, chosen: list[Feature], number: int) -> tuple[int, bool, int, int, int]:
        own = self.features[axis][number]
        met = sum(frozenset((f, other)) in self.wanted for f in own for other in chosen)
        if axis in self.cheapest_first:
            return met, False, 0, 0, -number
        return met, (axis, number) in self.unseen, sum(self.needs[f] for f in own), -self.used[axis, number], -number

    def _remove(self, row: dict[str, int]) -> None:
        for place in row.items():
            self.unseen.pop(place, None)
            self.used[place] += 1
        of = [self.features[axis][number] for axis, number in row.items()]
        for one, other in combinations(of, 2):
            for pair in map(frozenset, product(one, other)):
                if pair in self.wanted:
                    del self.wanted[pair]
                    self.needs.subtract(pair)
