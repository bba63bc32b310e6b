"""Repairs of how BasicSR reads option files and ``--force_yml``."""
from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from basicsr_snn.compat.replacing import replaces
from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.yaml_files import LONGEST_NUMBER, OptionLoader, read_yaml, read_yaml_file

INTEGER = re.compile(r'[-+]?\d+')
NUMBER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?')
FORCED_KEYS = re.compile(r'[\w:.-]+')


@replaces('ordered_yaml', 'basicsr.utils.options')
def read_plain_yaml(upstream: Callable[[], tuple[type, type]]) -> tuple[type, type]:
    """BasicSR's loader ran code that stood in an option file, and read `lr: 1e-3` as a string (yaml/pyyaml#173)."""
    return OptionLoader, upstream()[1]


@replaces('_postprocess_yml_value', 'basicsr.utils.options')
def read_forced_numbers(upstream: Callable[[str], Any], value: str) -> Any:
    """`--force_yml a:b=1e-4` and `=-1` stayed strings, and lists went through `eval`."""
    if len(value) > LONGEST_NUMBER and NUMBER.fullmatch(value):
        raise UserError(f'--force_yml got a number of {len(value)} characters; write it with at most {LONGEST_NUMBER}.')
    if INTEGER.fullmatch(value):
        return int(value)
    if NUMBER.fullmatch(value):
        return float(value)
    if value.startswith('['):
        return _forced_list(value)
    try:
        return upstream(value)
    except ValueError as error:
        raise UserError(f'--force_yml got {value}, but behind !!float stands a number; write it alone, as 1e-3.'
                        ) from error


def _forced_list(value: str) -> list[Any]:
    """A list of Python or of YAML, whose words need no quotes."""
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        pass
    try:
        return read_yaml(value)
    except UserError as error:
        raise UserError(f'--force_yml got {value}, which is no list; a list is [1, 2] or [a, b]: type it so, in quotes '
                        'for the shell.') from error


@replaces('parse_options', 'basicsr.utils.options', 'basicsr.train', 'basicsr.test')
def refuse_unknown_forced_blocks(upstream: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A mistyped block in `--force_yml` ended in a bare KeyError out of an `exec`."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('-opt')
    parser.add_argument('--force_yml', nargs='+')
    given = parser.parse_known_args()[0]
    if given.opt is not None and not Path(given.opt).is_file():
        raise UserError(f'-opt got {given.opt}, but there is no such file; give the path of an option file (YAML).')
    if given.opt is not None and given.force_yml:
        options = read_yaml_file(given.opt)
        for entry in given.force_yml:
            _check_forced_block(options, entry)
    return upstream(*args, **kwargs)


def _check_forced_block(options: Mapping[str, Any], entry: str) -> None:
    keys, _, value = entry.partition('=')
    if entry.count('=') != 1 or not FORCED_KEYS.fullmatch(keys.strip()) or not value:
        raise UserError(f'--force_yml got {entry}, but an entry is key:key=value; type e.g. train:total_iter=1000.')
    block = options
    for key in keys.strip().split(':')[:-1]:
        if not isinstance(block.get(key), Mapping):
            blocks = [name for name, content in block.items() if isinstance(content, Mapping)]
            instead = f'type {" or ".join(near_matches(key, blocks))}' if blocks else 'there are no blocks inside it'
            raise UserError(f'--force_yml got {entry}, but the option file has no block "{key}" there; allowed are its '
                            f'own blocks ({", ".join(blocks) or "none"}): {instead}.')
        block = block[key]
