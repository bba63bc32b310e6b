"""Repairs of how BasicSR reads option files and ``--force_yml``, and of the folders it makes of them."""
from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from basicsr_snn.compat.replacing import module, replaces
from basicsr_snn.errors import UserError, near_matches

OWN_FOLDERS = ('experiments_root', 'models', 'training_states', 'results_root', 'log', 'visualization')
BLOCK = yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG
INTEGER = re.compile(r'[-+]?\d+')
NUMBER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?')
NUMBER_WITH_EXPONENT = re.compile(r'^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$')


@replaces('ordered_yaml', 'basicsr.utils.options')
def read_exponents_as_numbers(upstream: Callable[[], tuple[type, type]]) -> tuple[type, type]:
    """PyYAML follows YAML 1.1 and reads `lr: 1e-3` as a string (yaml/pyyaml#173); only BasicSR's loader is changed.

    Of a key that stood twice in one block only the last counted, without a word: that is refused.
    """
    upstream_loader, dumper = upstream()
    loader: Any = type('OptionLoader', (upstream_loader,), {})
    loader.add_implicit_resolver('tag:yaml.org,2002:float', NUMBER_WITH_EXPONENT, list('-+.0123456789'))
    make_block = loader.yaml_constructors[BLOCK]

    def make_checked_block(loader: Any, node: yaml.MappingNode) -> Any:
        _refuse_wrong_keys(node)
        return make_block(loader, node)

    loader.add_constructor(BLOCK, make_checked_block)
    return loader, dumper


def _refuse_wrong_keys(block: yaml.MappingNode) -> None:
    lines: dict[str, int] = {}
    for key, _ in block.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise UserError(f'The option file has a list or a block as a key, in line {line}, but a key is one word; '
                            'write `key: value`.')
        if key.value in lines:
            raise UserError(f'The option file has `{key.value}:` twice in one block, in lines {lines[key.value]} and '
                            f'{line}, but a key stands once; take one of them out.')
        lines[key.value] = line


@replaces('_postprocess_yml_value', 'basicsr.utils.options')
def read_forced_numbers(upstream: Callable[[str], Any], value: str) -> Any:
    """`--force_yml a:b=1e-4` and `=-1` stayed strings, and lists went through `eval`."""
    if INTEGER.fullmatch(value):
        return int(value)
    if NUMBER.fullmatch(value):
        return float(value)
    if not value.startswith('['):
        return upstream(value)
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return _list_of_bare_words(value)


def _list_of_bare_words(value: str) -> list[Any]:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
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
        with open(given.opt, encoding='utf-8') as stream:
            options = yaml.load(stream, Loader=module('basicsr.utils.options').ordered_yaml()[0])
        for entry in given.force_yml:
            _check_forced_block(options, entry)
    return upstream(*args, **kwargs)


def _check_forced_block(options: Mapping[str, Any], entry: str) -> None:
    keys, _, value = entry.partition('=')
    if entry.count('=') != 1 or not keys or not value:
        raise UserError(f'--force_yml got {entry}, but an entry is key:key=value; type e.g. train:total_iter=1000.')
    block = options
    for key in keys.strip().split(':')[:-1]:
        if not isinstance(block.get(key), Mapping):
            blocks = [name for name, content in block.items() if isinstance(content, Mapping)]
            instead = f'type {" or ".join(near_matches(key, blocks))}' if blocks else 'there are no blocks inside it'
            raise UserError(f'--force_yml got {entry}, but the option file has no block "{key}" there; allowed are its '
                            f'own blocks ({", ".join(blocks) or "none"}): {instead}.')
        block = block[key]


@replaces('make_exp_dirs', 'basicsr.utils.misc', 'basicsr.utils', 'basicsr.train', 'basicsr.test')
def make_own_folders_only(upstream: Callable[[dict], None], opt: dict[str, Any]) -> None:
    """`make_exp_dirs` made a folder of every unknown `path:` key and died on one without a value."""
    folders = {key: folder for key, folder in opt['path'].items() if key in OWN_FOLDERS and folder is not None}
    upstream({**opt, 'path': folders})
