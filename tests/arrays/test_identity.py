"""`SameObjects`: whether objects are those that were seen last, none of them collected since."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from gpuopt.arrays.identity import SameObjects


def arrays(count: int) -> list[Any]:
    return [np.ones(3) for _ in range(count)]


@pytest.fixture
def same() -> SameObjects:
    return SameObjects()


def test_nothing_is_the_same_before_anything_was_seen(same: SameObjects) -> None:
    assert not same([])
    assert not same([None])
    assert not same(arrays(1))


@pytest.mark.parametrize("objects", [arrays(1), arrays(3), [None, *arrays(2)], [*arrays(1), None], [None, None]])
def test_the_very_same_objects_in_any_list(same: SameObjects, objects: list[Any]) -> None:
    same.remember(objects)
    assert same(objects)
    assert same(tuple(objects))
    assert same(objects)


def test_other_objects_are_not_the_same(same: SameObjects) -> None:
    """Equal ones, others in one place, another order, fewer and more of them."""
    objects = arrays(3)
    same.remember(objects)
    others = [g.copy() for g in objects], [*objects[:2], arrays(1)[0]], objects[::-1], objects[:2], [*objects, objects[0]]
    assert not any(same(other) for other in others)
    assert not same([None, *objects[1:]])
    assert same(objects)


def test_what_was_seen_last_counts(same: SameObjects) -> None:
    one, other = arrays(2), [None, *arrays(1)]
    same.remember(one)
    same.remember(other)
    assert not same(one)
    assert same(other)
    same.forget()
    assert not same(other)


def test_objects_are_not_kept_alive(same: SameObjects) -> None:
    objects = arrays(2)
    seen = weakref.ref(objects[0])
    same.remember(objects)
    del objects
    gc.collect()
    assert seen() is None


def test_an_object_that_was_collected_is_not_one_that_is_missing(same: SameObjects) -> None:
    """Its reference gives None, as that of a missing one does."""
    first, second = arrays(2)
    same.remember([first, second])
    del first
    gc.collect()
    assert not same([None, second])
    same.remember([None, second])  # what was collected before does not count against these
    assert same([None, second])


def test_what_is_collected_after_it_was_forgotten_does_not_matter(same: SameObjects) -> None:
    first, kept = arrays(1), arrays(1)
    same.remember(first)
    same.remember(kept)
    del first
    gc.collect()
    assert same(kept)


def test_objects_that_are_always_others_are_seldom_remembered(same: SameObjects) -> None:
    """Those that stay are soon found to be the same, and others at once from then on."""
    remembered = 0
    for _ in range(100):
        objects = arrays(1)
        assert not same(objects)
        same.remember(objects)
        remembered += weakref.getweakrefcount(objects[0])
    assert 8 <= remembered < 20
    for step in range(10):
        if not same(objects):
            same.remember(objects)
            assert step < 8
    other = arrays(1)
    same.remember(other)
    assert same(other)
