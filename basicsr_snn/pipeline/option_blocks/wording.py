"""What a key takes, in words: for the sentence about a wrong value and for the reference."""
from __future__ import annotations

import collections.abc
import math
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import yaml

from basicsr_snn.pipeline.option_blocks.base import Block, Kind

LONGEST_VALUE = 60
LISTS = (list, tuple, collections.abc.Sequence)
PARTS_OF_A_MEANING = ('ge', 'gt', 'le', 'lt', 'multiple_of', 'pattern', 'description', 'examples', 'extra')
NUMBERS = {1: 'one', 2: 'two', 3: 'three'}


def dissect(annotation: Any) -> tuple[Any, msgspec.Meta]:
    """The plain type of a key and its meaning."""
    if get_origin(annotation) is not Annotated:
        return annotation, msgspec.Meta()
    plain, *metas = get_args(annotation)
    return plain, msgspec.Meta(**{name: getattr(meta, name) for meta in metas for name in PARTS_OF_A_MEANING
                                  if getattr(meta, name) is not None})


def choices(annotation: Any) -> tuple[Any, ...]:
    """The types that a union allows, but for none; a plain type alone."""
    plain = dissect(annotation)[0]
    if get_origin(plain) in (Union, types.UnionType):
        return tuple(part for part in get_args(plain) if part is not type(None))
    return (plain,)


def may_be_empty(annotation: Any) -> bool:
    """Whether a key may stand without a value (``key: ~``)."""
    plain = dissect(annotation)[0]
    return plain in (Any, bool) or type(None) in get_args(plain)


def wanted(annotation: Any, plural: bool = False) -> str:
    """What a key takes, such as "a number of at least 1"."""
    meta = dissect(annotation)[1]
    return ' or '.join(_wanted(part, meta, plural) for part in choices(annotation))


def _wanted(annotation: Any, outer: msgspec.Meta, plural: bool) -> str:
    plain, meta = dissect(annotation)
    meta = meta if plain is not annotation else outer
    if get_origin(plain) is Literal:
        return ' or '.join(map(str, get_args(plain)))
    if plain is bool:
        return 'true or false'
    if plain in (int, float):
        return ('numbers' if plural else 'a number') + _limits(meta) + (
            ' without decimals' if plain is int or meta.multiple_of == 1 else '')
    if plain is str and meta.pattern:
        words = 'words' if plural else 'one plain word'
        return f'{words} of letters, digits and . _ + - (at most 100, no dot at the end)'
    if plain is str:
        return 'texts' if plural else 'a text'
    if get_origin(plain) is tuple and Ellipsis not in get_args(plain):
        items = get_args(plain)
        return f'a list of {NUMBERS.get(len(items), len(items))} {wanted(items[0], plural=True)}'
    if get_origin(plain) in LISTS:
        return f'a list of {wanted(get_args(plain)[0], plural=True)}'
    return 'blocks of keys' if plural else 'a block of keys'


def _limits(meta: msgspec.Meta) -> str:
    if meta.ge is not None and meta.le is not None:
        return f' from {_number(meta.ge)} to {_number(meta.le)}'
    limits = {' of at least ': meta.ge, ' above ': meta.gt, ' of at most ': meta.le, ' below ': meta.lt}
    return ''.join(f'{words}{_number(limit)}' for words, limit in limits.items() if limit is not None)


def _number(limit: float) -> str:
    return f'{limit:,.0f}' if float(limit).is_integer() else f'{limit:g}'


def shown(value: Any) -> str:
    """A wrong value as it is repeated to the user, cut where it is long."""
    text = repr(_plain(value))
    return text if len(text) <= LONGEST_VALUE else f'{text[:LONGEST_VALUE]}...'


def _plain(value: Any, depth: int = 4) -> Any:
    """BasicSR's parser makes of each block an ``OrderedDict``, whose name says nothing to a user."""
    if not depth or not isinstance(value, dict | list):
        return value
    items = value.items() if isinstance(value, dict) else enumerate(value)
    plain = {key: _plain(one, depth - 1) for key, one in items}
    return plain if isinstance(value, dict) else list(plain.values())


def typed(value: Any) -> str:
    """A value as the user types it."""
    if isinstance(value, float) and math.isfinite(value):
        return f'{value:g}'
    return yaml.safe_dump([value], default_flow_style=True, width=1000).strip()[1:-1].replace('null', '~')


def blocks_inside(annotation: Any) -> tuple[type[Block] | Kind | None, type | None]:
    """The block that a key holds, or what it builds, and whether in a ``list`` or ``dict`` of such; no block: None."""
    outer = dissect(annotation)[1]
    for choice in choices(annotation):
        plain, inner = dissect(choice)
        built = {**(outer.extra or {}), **(inner.extra or {})}.get('builds')
        if built:
            return built, None
        if isinstance(plain, type) and issubclass(plain, Block):
            return plain, None
        container = {list: list, dict: dict, collections.abc.Mapping: dict}.get(get_origin(plain))
        inside = blocks_inside(get_args(plain)[-1])[0] if container else None
        if inside:
            return inside, container
    return None, None
