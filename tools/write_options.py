"""Write the option files of ``options/`` from the tables in ``tools/options/``.

    python tools/write_options.py            # write all of them
    python tools/write_options.py --check    # say which would change, and exit with 1 if any would

An entry of a table with a slash in its name is an option file (``train/SpikerIR/tiny_color25``); one without is a part
that others take. To add an option file, add an entry with what differs, and run this script:

    train/SpikerIR/mine_color15:
      about: My student, colour, Gaussian noise, sigma 15.   # the header of the file: what it is for
      from: [train, sigma15]                                 # what it begins with, in this order: parts or other files
      without: [train.rate_opt]                              # keys to take out
      name: my_student                                       # left out, it is SpikerIR_mine_color15
      network_g.neuron: {type: SignedILIF, D: 8}             # keys to set; a block is replaced whole; `*` is each block
      comments: {network_g.neuron: eight levels}             # beside a key, where the common comment does not fit

``note`` is a second line of the header, for all that begin with the entry.
"""
from __future__ import annotations

import argparse
import copy
import functools
import json
import sys
import textwrap
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
TABLES = REPOSITORY / 'tools/options'
OPTIONS = REPOSITORY / 'options'
SCHEMA = 'docs/reference/options.schema.json'
WORDS = ('about', 'note', 'from', 'without', 'comments')
"""Keys of an entry that are no options."""

TOP_KEYS = ('name', 'model_type', 'scale', 'num_gpu', 'manual_seed', 'datasets', 'network_g', 'distill', 'path',
            'train', 'val', 'logger', 'dist_params')
KEY_BY_KEY = ('datasets', 'datasets.*', 'network_g', 'distill', 'distill.teacher', 'path', 'train', 'val',
              'val.metrics', 'logger')
"""Blocks with a line for each key; others are written in braces."""

WIDTH, COMMENT_COLUMN = 120, 37

Block = dict[str, Any]


class OptionFile:
    """An option file in the making: entries are applied to it one after the other."""

    def __init__(self, name: str, entries: dict[str, Block]) -> None:
        folder, _, stem = name.rpartition('/')
        self.name, self.entries = name, entries
        self.options: Block = {'name': f'{Path(folder).name}_{stem}'}
        self.comments: dict[str, str] = {}
        self.header: Block = {}
        self.apply(name)

    def apply(self, name: str) -> None:
        """Apply an entry, after those that it begins with."""
        if name not in self.entries:
            raise SystemExit(f'{self.name}: from: {name} is no entry of tools/options/; name one that is.')
        entry = self.entries[name]
        for start in entry.get('from', ()):
            self.apply(start)
        self.header.update({word: entry[word] for word in ('about', 'note') if word in entry})
        self.comments.update(entry.get('comments', {}))
        for key in entry.get('without', ()):
            for block, last in self.places(key):
                if last not in block:
                    raise SystemExit(f'{self.name}: without: {key} is not there; take it out of `without`.')
                del block[last]
        for key in entry:
            if key not in WORDS:
                for block, last in self.places(key):
                    block[last] = copy.deepcopy(entry[key])

    def places(self, dotted: str) -> Iterator[tuple[Block, str]]:
        """The blocks that a dotted key leads to, each with the last part of the key; ``*`` is every block."""
        *parents, last = dotted.split('.')
        blocks = [self.options]
        for parent in parents:
            if parent == '*':
                blocks = [child for block in blocks for child in block.values()]
            else:
                blocks = [block.setdefault(parent, {}) for block in blocks]
        return ((block, last) for block in blocks)

    def text(self) -> str:
        """The file as it is written."""
        up = '../' * len(Path('options', self.name).parent.parts)
        header = [*self.header['about'].splitlines(), *self.header.get('note', '').splitlines()]
        lines = [f'# yaml-language-server: $schema={up}{SCHEMA}',
                 *(f'# {line}' for paragraph in header for line in wrap(paragraph, WIDTH - 2))]
        others = [key for key in self.options if key not in TOP_KEYS]
        for key in [*(key for key in TOP_KEYS if key in self.options), *others]:
            value = self.options[key]
            if isinstance(value, dict):
                lines.append('')
            lines += self.lines(key, value, '', key)
        return '\n'.join(lines) + '\n'

    def lines(self, key: str, value: Any, indent: str, dotted: str) -> Iterator[str]:
        """The lines of ``key: value``, with the comment of the key."""
        start, children = f'{indent}{key}:', []
        if isinstance(value, dict) and is_written_key_by_key(dotted):
            for child, inner in value.items():
                children += self.lines(child, inner, f'{indent}  ', f'{dotted}.{child}')
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for item in value:
                children += wrap(f'{indent}  - {one_line(item)}', WIDTH, f'{indent}     ')
        else:
            *above, start = wrap(f'{start} {one_line(value)}', WIDTH, ' ' * (len(start) + 2))
            yield from above
        comment = self.comments.get(dotted)
        yield f'{start.ljust(COMMENT_COLUMN - 2)}  # {comment}' if comment else start
        yield from children


def is_written_key_by_key(dotted: str) -> bool:
    """Whether the block of this key has a line for each of its keys."""
    return any(fnmatch(dotted, pattern) and dotted.count('.') == pattern.count('.') for pattern in KEY_BY_KEY)


def wrap(line: str, width: int, indent: str = '') -> list[str]:
    """A line in lines of at most ``width`` columns, all but the first indented; a key stays with its value."""
    wrapped = textwrap.wrap(line.replace(': ', ':\0'), width, subsequent_indent=indent, break_long_words=False,
                            break_on_hyphens=False, replace_whitespace=False, drop_whitespace=True)
    return [part.replace('\0', ' ') for part in wrapped]


class Verbatim(str):
    """A number of the tables, as it was typed there: `2.4e-3` is not to become `0.0024`."""


class Loader(yaml.SafeLoader):
    """Reads the tables."""


Loader.add_constructor('tag:yaml.org,2002:float', lambda loader, node: Verbatim(loader.construct_scalar(node)))


def one_line(value: Any) -> str:
    """A value as YAML in one line."""
    if isinstance(value, dict):
        return f'{{{", ".join(f"{key}: {one_line(inner)}" for key, inner in value.items())}}}'
    if isinstance(value, list):
        return f'[{", ".join(map(one_line, value))}]'
    if value is None:
        return '~'
    if isinstance(value, Verbatim):
        return value
    return quote(value) if isinstance(value, str) else json.dumps(value)


@functools.cache
def quote(text: str) -> str:
    """A text as YAML, in quotes only where YAML would read something else."""
    return yaml.safe_dump([text], default_flow_style=True, allow_unicode=True, width=sys.maxsize)[1:-2]


def read_tables() -> dict[str, Block]:
    """All entries by name."""
    entries: dict[str, Block] = {}
    for table in sorted(TABLES.glob('*.yml')):
        for name, entry in yaml.load(table.read_text(encoding='utf-8'), Loader=Loader).items():
            if name in entries:
                raise SystemExit(f'{table}: {name} is there twice; give it another name.')
            entries[name] = entry
    return entries


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='write nothing; say which files would change')
    check = parser.parse_args().check
    entries = read_tables()
    texts = {OPTIONS / f'{name}.yml': OptionFile(name, entries).text() for name in entries if '/' in name}
    strangers = sorted(set(OPTIONS.rglob('*.yml')) - set(texts))
    changes = [file for file, text in texts.items() if not file.exists() or file.read_text(encoding='utf-8') != text]
    for file in strangers:
        print(f'{file.relative_to(REPOSITORY)} is in no table; add it to tools/options/ or delete it.')
    for file in changes:
        print(f'{file.relative_to(REPOSITORY)} {"would change" if check else "is written"}.')
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(texts[file], encoding='utf-8')
    return int(bool(strangers or (check and changes)))


if __name__ == '__main__':
    sys.exit(main())
