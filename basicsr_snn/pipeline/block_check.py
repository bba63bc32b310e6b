"""Blocks of an option file compared with their declarations: all mistakes are collected, a sentence for each."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec

from basicsr_snn.errors import near_matches
from basicsr_snn.pipeline.option_blocks.base import Block, Kind, Word
from basicsr_snn.pipeline.option_blocks.built import NO_SINGLE_TERM, block_of, known
from basicsr_snn.pipeline.option_blocks.wording import (
    blocks_inside,
    dissect,
    may_be_empty,
    shown,
    typed,
    wanted,
)
from basicsr_snn.pipeline.trials import refusal
from basicsr_snn.spiking.base import DEFAULT_NEURON


class BlockCheck:
    """Collects every mistake of one option file, so that the user sees all of them at once."""

    def __init__(self, parsed: bool = True) -> None:
        """Begin.

        Args:
            parsed: Whether BasicSR's parser has added its keys, which no file may hold, and what has a ``type:`` was
                built for a trial before.
        """
        self.mistakes: list[str] = []
        self.parsed = parsed

    def block(self, block: Any, declared: type[Block], where: str = '', also: Iterable[str] = ()) -> bool:
        """Check a block against its declaration; tell whether it is a block at all.

        Args:
            block: What the option file holds.
            declared: Its declaration.
            where: Path of the block, such as ``train: scheduler``; empty for the whole file.
            also: Keys that are allowed beside the declared ones, and not looked at.
        """
        fields = {field.name: field for field in msgspec.structs.fields(declared)}
        name = where or 'The option file'
        if not isinstance(block, Mapping):
            self.mistakes.append(f'{name} is {shown(block)}, but must be a block of keys.')
            return False
        misplaced = [key for key in block if key in declared.elsewhere and key not in fields]
        self.mistakes += [f'{name} has "{key}", which stands {declared.elsewhere[key]}.' for key in misplaced]
        if declared.__struct_config__.forbid_unknown_fields:
            looked_at = {key: value for key, value in block.items() if key not in misplaced}
            self.known_keys(looked_at, name, [*fields, *(declared.added_by_parser if self.parsed else ()), *also])
        required = [key for key in fields if fields[key].required]
        self.required_keys(block, name, required)
        for key, value in block.items():
            if key in fields and not (value is None and key in required):
                self.value(value, fields[key].type, f'{where}: {key}' if where else key, block, fields[key].default)
        return True

    def known_keys(self, block: Mapping[str, Any], where: str, allowed: Iterable[str]) -> None:
        """Check that a block holds no other keys."""
        for key in block:
            if key not in allowed:
                self.mistakes.append(f'{where} has an unknown key "{key}"; did you mean '
                                     f'{" or ".join(near_matches(key, allowed))}?')

    def required_keys(self, block: Mapping[str, Any], where: str, required: Iterable[str]) -> None:
        """Check that a block holds these keys, each with a value."""
        missing = [key for key in required if block.get(key) is None]
        if missing:
            self.mistakes.append(f'{where} lacks {", ".join(missing)}; add '
                                 f'{" and ".join(f"`{key}:`" for key in missing)}.')

    def choice(self, value: Any, where: str, allowed: Iterable[str]) -> bool:
        """Check a name against what is known."""
        allowed = tuple(allowed)
        if value in allowed:
            return True
        self.mistakes.append(f'{where} is "{value}", which is not known; did you mean '
                             f'{" or ".join(near_matches(value, allowed))}?')
        return False

    def value(self, value: Any, annotation: Any, where: str, beside: Mapping[str, Any], default: Any = None) -> None:
        """Check the value of a key against its declaration.

        Args:
            value: What the option file holds.
            annotation: Type and meaning of the key.
            where: Path of the key.
            beside: The block in which it stands.
            default: What it is where it is not given.
        """
        if value is None and may_be_empty(annotation):
            return
        block, items = blocks_inside(annotation)
        if block is None:
            self.plain(value, annotation, where, default)
        elif items is dict and isinstance(value, Mapping):
            for key, item in value.items():
                self.plain(key, Word, f'a name in {where}', None)
                self.one_block(item, block, f'{where}: {key}', beside)
        elif items is list and isinstance(value, list):
            for index, item in enumerate(value):
                self.one_block(item, block, f'{where}: {index}', beside)
        elif items is not None:
            kind = 'list of blocks' if items is list else 'block of keys'
            self.mistakes.append(f'{where} is {shown(value)}, but must be a {kind}.')
        else:
            self.one_block(value, block, where, beside)

    def one_block(self, value: Any, block: type[Block] | Kind, where: str, beside: Mapping[str, Any]) -> None:
        """Check a block that is declared, or that builds something."""
        if not isinstance(block, str):
            self.block(value, block, where)
        elif block == 'neuron' and isinstance(value, Mapping):
            self.built({'type': DEFAULT_NEURON, **value}, block, where)
        elif block == 'hidden_neuron' and isinstance(value, Mapping):
            stream = beside.get('neuron')
            stream = stream if isinstance(stream, Mapping) else {}
            self.built({'type': stream.get('type', DEFAULT_NEURON), **value}, 'neuron', where)
        else:
            self.built(value, block, where)

    def built(self, block: Any, kind: Kind, where: str) -> None:
        """Check ``{type: NAME, ...}`` against what NAME takes."""
        names = known(kind)
        if not isinstance(block, Mapping) or 'type' not in block:
            self.mistakes.append(f'{where} must be a block with a `type:`, one of {", ".join(sorted(names))}.')
        elif kind == 'feature_loss' and block['type'] in NO_SINGLE_TERM:
            self.mistakes.append(f'{where}: type is {block["type"]}, which does not compare two pictures or features '
                                 f'by one number; write one of {", ".join(sorted(names))}.')
        elif self.choice(block['type'], f'{where}: type', names):
            before = len(self.mistakes)
            self.block(block, block_of(kind, block['type']), where)
            refused = refusal(kind, block) if len(self.mistakes) == before and not self.parsed else None
            if refused:
                self.mistakes.append(f'{where}: {refused}')

    def plain(self, value: Any, annotation: Any, where: str, default: Any = None) -> None:
        """Check a value that is no block."""
        try:
            msgspec.convert(value, annotation)
            if _is_finite(value):
                return
        except (msgspec.ValidationError, RecursionError):
            pass
        plain, meta = dissect(annotation)
        if get_origin(plain) is Literal:
            self.choice(value, where, get_args(plain))
            return
        example = meta.examples[0] if meta.examples else default
        key = where.rsplit(': ', 1)[-1]
        instead = '.' if example in (None, msgspec.NODEFAULT) else f'; write {key}: {typed(example)}.'
        if plain is str and not (isinstance(value, str) and meta.pattern):
            self.mistakes.append(f'{where} is {shown(value)}, which is of another kind than it must be{instead}')
        else:
            self.mistakes.append(f'{where} is {shown(value)}, but must be {wanted(annotation)}{instead}')


def _is_finite(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
