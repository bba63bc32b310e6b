"""Option files of BasicSR's own models and of other plugins: what BasicSR's pipeline reads is declared, and so checked.

Of the blocks that a model reads itself, keys are known where the model is BasicSR's: they stand in its source. What
other plugins read is theirs to judge.
"""
from __future__ import annotations

import difflib
import functools
import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from basicsr_snn.pipeline.block_check import BlockCheck
from basicsr_snn.pipeline.option_blocks import OptionFile
from basicsr_snn.pipeline.option_blocks.base import Block
from basicsr_snn.pipeline.option_blocks.path import Path
from basicsr_snn.pipeline.option_blocks.training import StockTrain
from basicsr_snn.pipeline.option_blocks.validation import StockVal

READ_BY_THE_PARSER = ('name', 'num_gpu', 'datasets', 'path')
"""Keys without which BasicSR's parser breaks."""

READ_BY_BASICSR = (*READ_BY_THE_PARSER, 'scale', 'manual_seed', 'max_megapixels', 'import', 'logger',
                   'dist_params', 'find_unused_parameters')
"""Keys whose blocks and values are the same for every model, as our models declare them."""

ALIKE = 0.8
"""From this likeness on, an unknown key at the top is a mistyped one; others may be another plugin's."""


def check_other_model(check: BlockCheck, options: Mapping[str, Any], model: type | None) -> None:
    """Check the options of a model that is none of ours; ``model`` is its class, None: it is not known."""
    check.required_keys(options, 'The option file', READ_BY_THE_PARSER)
    declared = {field.name: field for field in msgspec.structs.fields(OptionFile)}
    own = _keys_in_source(model) if model and model.__module__.startswith('basicsr.') else None
    for key in READ_BY_BASICSR:
        if key in options and key != 'path' and not (options[key] is None and key in READ_BY_THE_PARSER):
            check.value(options[key], declared[key].type, key, options, declared[key].default)
    for key, block in options.items():
        if key.startswith('network_') and own is not None:
            check.built(block, 'network', key)
    _check_block(check, options, 'path', Path, own)
    _check_block(check, options, 'train', StockTrain, own)
    _check_block(check, options, 'val', StockVal, own)
    if own is not None:
        _refuse_mistyped(check, options, {*declared, *OptionFile.added_by_parser, *own})


def _check_block(check: BlockCheck, options: Mapping[str, Any], key: str, declared: type[Block],
                 own: frozenset[str] | None) -> None:
    """Check a block that the model reads, if it is known what it reads beside what is declared."""
    block = options.get(key)
    if own is not None and block is not None:
        also = [name for name in block if name in own] if isinstance(block, Mapping) else ()
        check.block(block, declared, key, also)
    elif block is not None and not isinstance(block, Mapping):
        check.mistakes.append(f'{key} is {block!r}, but must be a block of keys.')


def _refuse_mistyped(check: BlockCheck, options: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in options:
        near = difflib.get_close_matches(key, known, 1, ALIKE) if key not in known else []
        if near and not key.startswith('network_'):
            check.mistakes.append(f'The option file has an unknown key "{key}"; did you mean {near[0]}?')


@functools.cache
def _keys_in_source(model: type) -> frozenset[str]:
    """Words that stand as keys in the source of a model and of the classes that it inherits from."""
    sources = [inspect.getsource(sys.modules[kind.__module__]) for kind in model.__mro__
               if kind.__module__.startswith('basicsr.')]
    return frozenset(re.findall(r"""(?:\[|get\(|pop\(|^ *if )['"](\w+)['"]""", '\n'.join(sources), re.MULTILINE))
