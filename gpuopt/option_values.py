"""What the options of a command line may be: types for argparse that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TypeVar

__all__ = ["rule_among", "whole_number"]

T = TypeVar("T")


def whole_number(least: int) -> Callable[[str], int]:
    """A type of numbers from `least` on, as ``int`` reads them."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(
                f"must be an integer of at least {least}, not {text!r}"
            )
        return value

    return number


def rule_among(known: Mapping[str, T]) -> Callable[[str], T]:
    """A type of names of rules, in any case and with or without hyphens, that gives what is `known`
    by the name.
    """
    values = {name.lower(): value for name, value in known.items()}

    def rule(text: str) -> T:
        name = text.lower().replace("-", "").replace("_", "")
        if name not in values:
            raise argparse.ArgumentTypeError(
                f"there is no rule {text!r}; the rules are {', '.join(values)}"
            )
        return values[name]

    return rule
