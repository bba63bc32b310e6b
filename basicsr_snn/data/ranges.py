"""The least and the largest value of what a dataset draws at random, as options."""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from basicsr_snn.errors import UserError

Range = tuple[Any, Any]
"""The least and the largest value: whole numbers, or numbers."""


def read_ranges(name: str, opt: Mapping[str, Any], allowed: Mapping[str, Range],
                defaults: Mapping[str, Any]) -> dict[str, Range]:
    """The ranges that a dataset block gives, by key; those that it leaves out are not among them.

    Args:
        name: What messages call the dataset.
        opt: Its block.
        allowed: The values that each range may hold; whole numbers where they are whole.
        defaults: What messages offer to write.

    Raises:
        UserError: A value that is no range, or holds what is not allowed.
    """
    return {key: _checked(name, key, opt[key], allowed[key], list(defaults[key]))
            for key in allowed if opt.get(key) is not None}


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _checked(name: str, key: str, value: Any, allowed: Range, example: list[Any]) -> Range:
    least, most = allowed
    pair = list(value) if isinstance(value, list | tuple) else []
    if len(pair) != 2 or not all(map(is_number, pair)) or not least <= pair[0] <= pair[1] <= most:
        raise UserError(f'{name}: `{key}: {value}` given, the least and the largest value are allowed, from {least:g} '
                        f'to {most:g}: write `{key}: {example}`.')
    if isinstance(least, int) and not all(isinstance(number, int) for number in pair):
        raise UserError(f'{name}: `{key}: {value}` given, whole numbers are allowed: write `{key}: {example}`.')
    return pair[0], pair[1]
