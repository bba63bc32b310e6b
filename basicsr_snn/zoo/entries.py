"""Which tensors of a weight file are the weights, by the names and in the kinds that a network takes.

One rule for all commands. The entry is the one that ``param_key_g`` names, which option files of BasicSR leave at
``params``. Where no option file speaks, or the file lacks that entry, it is the first of :data:`PREFERRED_KEYS` that
the file has, else its only entry with tensors, else the whole file. The log says which it was.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, strided

from basicsr_snn.errors import UserError, near_matches, some
from basicsr_snn.weight_files.card import KEYS

PREFERRED_KEYS = ('params_ema', 'params', 'state_dict')
"""The running average comes first, since validation reads it; ``state_dict`` is what other projects' trainers write."""

WRAPPERS = ('module', '_orig_mod')
"""Parts of names that torch's wrappers for several devices and for compiling add."""


class MissingEntryError(UserError):
    """A weight file without the entry that ``param_key`` names."""


def select_entry(content: Mapping[str, Any], path: Path, param_key: str | None) -> tuple[str | None, dict[str, Tensor]]:
    """The entry that holds the weights, None for the whole file, and its tensors by name.

    Raises:
        UserError: Several entries may be meant, or there are no tensors.
        MissingEntryError: There is no entry ``param_key``.
    """
    entries = {key: value for key, value in content.items() if isinstance(value, Mapping) and key not in KEYS}
    if param_key is None:
        param_key = _preferred(content, entries, path)
    elif param_key not in entries:
        allowed = f'it has {", ".join(map(str, entries))}' if entries else 'it is a plain state dict'
        instead = f'param_key: {near_matches(param_key, entries)[0]}' if entries else 'param_key: ~'
        raise MissingEntryError(f'{path} has no entry "{param_key}": {allowed}; write {instead}.')
    weights = content if param_key is None else entries[param_key]
    tensors = _tensors_of(weights)
    if not tensors:
        held = f'no tensors, only {some(map(str, weights))}' if weights else 'nothing'
        raise UserError(f'{path} holds {held}; give the entry that holds the weights as param_key, or another file.')
    if nested := [name for name, tensor in tensors.items() if tensor.is_nested]:
        raise UserError(f'{path} holds {some(nested)} as a list of tensors of several shapes (a nested tensor), which '
                        'no layer takes; give weights that were saved from net.state_dict().')
    return param_key, tensors


def named(entry: str | None) -> str:
    """An entry in words."""
    return 'all' if entry is None else f'entry {entry}'


def also(content: Mapping[str, Any], entry: str | None) -> str:
    """In words, which other entries of a file hold tensors than the one that was chosen."""
    others = [str(key) for key, value in content.items()
              if isinstance(value, Mapping) and key not in (entry, *KEYS) and _tensors_of(value)]
    return f' (it also has {some(others)})' if others else ''


def _preferred(content: Mapping[str, Any], entries: Mapping[str, Any], path: Path) -> str | None:
    if preferred := [key for key in PREFERRED_KEYS if key in entries]:
        return preferred[0]
    holding = [key for key, value in entries.items() if _tensors_of(value)]
    if _tensors_of(content) or not holding:
        return None
    if len(holding) > 1:
        raise UserError(f'{path} has several entries with tensors, {some(map(str, holding))}; write which holds the '
                        f'weights in an option file, such as path: {{param_key_g: {holding[0]}}}.')
    return holding[0]


def _tensors_of(weights: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if isinstance(name, str) and isinstance(value, Tensor)}


def named_as(own: Iterable[str], weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Weights under the names of a network, without what wrappers added to them: ``module.``, ``_orig_mod.``, and a
    first part that all names share and the network does not know (``net_g.``, ``generator.``).

    Args:
        own: Names that the network knows.
        weights: Tensors by the names in the file.
        path: The file, for messages.
    """
    own = set(own)
    renamed: dict[str, str] = {name: name if name in own else _unwrapped(name) for name in weights}
    while not own.intersection(renamed.values()) and len({_first(name) for name in renamed.values()}) == 1 \
            and all('.' in name for name in renamed.values()):
        renamed = {name: new.partition('.')[2] for name, new in renamed.items()}
    if not own.intersection(renamed.values()):  # nothing fits: speak of the names in the file
        renamed = {name: _unwrapped(name) for name in weights}
    if len(set(renamed.values())) < len(renamed):
        twice = [name for name, new in renamed.items() if list(renamed.values()).count(new) > 1]
        raise UserError(f'{path} holds one layer under several names, {some(twice)}; save net.state_dict() of the '
                        'network inside the wrapper.')
    return {renamed[name]: value for name, value in weights.items()}


def _first(name: str) -> str:
    return name.partition('.')[0]


def _unwrapped(name: str) -> str:
    return '.'.join(part for part in name.split('.') if part not in WRAPPERS)


def as_kind_of(expected: Tensor, given: Tensor, name: str, path: Path) -> Tensor:
    """A tensor in the form in which a network holds it: dense, of plain numbers, of its type.

    Args:
        expected: The network's own, of the same shape.
        given: That of the file.
        name, path: What it is called, and where it is, for messages.

    Raises:
        UserError: Its numbers are of another kind, or it has none.
    """
    if given.is_meta:
        raise UserError(f'{path} holds {name} without its numbers (a meta tensor); save the network from a device that '
                        'has them.')
    if given.is_quantized:
        given = given.dequantize()
    if given.layout != strided:
        given = given.to_dense()
    if given.is_complex() or given.is_floating_point() != expected.is_floating_point():
        raise UserError(f'{path} holds {name} as {_kind(given)}, but the network has {_kind(expected)} there; give '
                        'weights that were not converted to another kind of number.')
    return given.detach().to(expected.dtype)


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix('torch.')
