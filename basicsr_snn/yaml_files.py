"""The one reader of YAML: a file from a stranger is text, numbers, lists and blocks, and never anything that runs.

Refused with the line, before anything is built: tags, blocks that contain themselves, aliases that multiply, numbers
and nesting without measure, other encodings than UTF-8, a key that stands twice.
"""
from __future__ import annotations

import copy
import io
import re
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any, NoReturn

import yaml

from basicsr_snn.errors import UserError

LARGEST_FILE = 256 * 1024
"""Bytes. The longest option file of this project and of BasicSR has less than 10,000."""

MOST_VALUES = 5_000
"""Keys and values of one file, those behind its aliases counted each time."""

DEEPEST = 32
"""Blocks and lists inside each other."""

LONGEST_NUMBER = 40
"""Characters."""

INTEGERS = 2 ** 63
"""Integers of 64 bits lie on both sides of 0 below this one."""

TEXT_TAG = 'tag:yaml.org,2002:str'
NUMBER_TAGS = ('tag:yaml.org,2002:int', 'tag:yaml.org,2002:float')
PLAIN_TAGS = (TEXT_TAG, *NUMBER_TAGS, 'tag:yaml.org,2002:bool', 'tag:yaml.org,2002:null')
OTHER_BASE = re.compile(r'[-+]?0[0-7_]*[0-7][0-7_]*$|.*:')
"""Numbers that YAML reads to the base of 8 or 60 though they do not look like it: 010 as 8, 1:30 as 90."""

DATE_TAG = 'tag:yaml.org,2002:timestamp'
NUMBER_WITH_EXPONENT = re.compile(r'^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$')
UNPRINTABLE = re.compile('[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')
OTHER_ENCODINGS = {b'\xff\xfe': 'UTF-16', b'\xfe\xff': 'UTF-16', b'\x00\x00\xfe\xff': 'UTF-32'}


def read_yaml_file(path: str | Path) -> Any:
    """What a YAML file holds; a ``UserError`` names the line that is not plain UTF-8, or no plain YAML."""
    try:
        with open(path, 'rb') as stream:
            return read_yaml(stream)
    except OSError as error:
        raise UserError(f'{path} cannot be read ({error}); give the path of an option file (YAML).') from error


def read_yaml(source: str | bytes | IO) -> Any:
    """What a YAML text or an open file holds; a ``UserError`` names the line that is no plain YAML."""
    return OptionLoader(source).get_single_data()


class OptionLoader(yaml.SafeLoader):
    """A loader of PyYAML, ``yaml.load(stream, Loader=OptionLoader)``, that reads plain values only.

    Args:
        source: Text, bytes or an open file. The bytes below a text file are read, whatever the encoding in which it
            was opened: option files are UTF-8 on every machine.
    """

    def __init__(self, source: str | bytes | IO) -> None:
        self._source = 'The option file' if isinstance(source, str | bytes) else str(source.name)
        self._values = self._depth = 0
        self._open_anchors: set[str] = set()
        self._sizes: dict[str, int] = {}
        super().__init__(self._text_of(source))

    def get_single_data(self) -> Any:
        try:
            return super().get_single_data()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._refuse(mark.line + 1 if mark else 1, f'says nothing that can be read ({error.problem})',
                         'mend that line')
        except UserError:
            raise
        except ValueError:  # the number of no character, behind a backslash
            self._refuse(self.line + 1, 'has an escape that is no character', 'mend that line')

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event, before = self.peek_event(), self._values
        line, anchor = event.start_mark.line + 1, event.anchor
        if isinstance(event, yaml.AliasEvent):
            return self._compose_alias(parent, index, anchor, line)
        self._count(1, line)
        if event.tag is not None and not (isinstance(event, yaml.ScalarEvent) and event.tag in PLAIN_TAGS):
            self._refuse(line, f'has the tag {_shortened(event.tag)}', 'write the value without it')
        if anchor is not None:
            self._open_anchors.add(anchor)
        self._depth += 1
        if self._depth > DEEPEST:
            self._refuse(line, f'is more than {DEEPEST} blocks and lists deep', 'take some of them apart')
        node = super().compose_node(parent, index)
        self._depth -= 1
        if anchor is not None:
            self._open_anchors.discard(anchor)
            self._sizes[anchor] = self._values - before
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        line = node.start_mark.line + 1
        if node.tag == DATE_TAG:
            self._refuse(line, f'has a date, {node.value}', f"write it in quotes: '{node.value}'")
        if node.tag in NUMBER_TAGS and len(node.value) > LONGEST_NUMBER:
            self._refuse(line, f'has a number of {len(node.value)} characters',
                         f'write it with at most {LONGEST_NUMBER}')
        try:
            value = super().construct_object(node, deep)
        except UserError:
            raise
        except (ValueError, KeyError, yaml.constructor.ConstructorError):
            self._refuse(line, f'has {_shortened(str(node.value))}, which is no value of its kind', 'write another')
        if node.tag in NUMBER_TAGS and OTHER_BASE.match(node.value):
            self._refuse(line, f'has {node.value}, which YAML reads as {value}',
                         f"write {value} if you mean that, or '{node.value}' in quotes")
        if isinstance(value, int) and abs(value) >= INTEGERS:
            self._refuse(line, f'has {value}, which takes more than 64 bits', 'write a smaller number')
        if isinstance(value, str) and UNPRINTABLE.search(value):
            self._refuse(line, f'has an escaped control character in {_shortened(repr(value))}', 'take it out')
        return value

    def construct_block(self, node: yaml.MappingNode) -> OrderedDict[str, Any]:
        """A block of keys, in their order, as BasicSR's loader gives it."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(f'{self._source} has a list or a block as a key, in line {line}, but a key is one '
                                'word; write `key: value`.')
            if key.value in lines:
                raise UserError(f'{self._source} has `{key.value}:` twice in one block, in lines {lines[key.value]} '
                                f'and {line}, but a key stands once; take one of them out.')
            if key.value == '<<':
                self._refuse(line, 'merges another block by <<, which is not read', 'write its keys out')
            if key.tag != TEXT_TAG:
                self._refuse(line, f'has the key {_shortened(key.value)}, which is no word',
                             f"write a word, or put it in quotes: '{_shortened(key.value)}'")
            lines[key.value] = line
        return OrderedDict(self.construct_pairs(node, deep=True))

    def _text_of(self, source: str | bytes | IO) -> str:
        """The text, when it is UTF-8 of a bearable size without control characters."""
        if isinstance(source, io.TextIOWrapper):
            source = source.buffer
        content: str | bytes = source if isinstance(source, str | bytes) else source.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise UserError(f'{self._source} is larger than an option file can be, {LARGEST_FILE // 1024} kB; give '
                            'the path of an option file (YAML).')
        text = content if isinstance(content, str) else self._decoded(content)
        control = UNPRINTABLE.search(text)
        if control:
            self._refuse(text.count('\n', 0, control.start()) + 1, f'has the control character {control.group()!r}',
                         'take it out')
        return text

    def _decoded(self, content: bytes) -> str:
        try:
            return content.decode('utf-8-sig')
        except UnicodeDecodeError as error:
            encoding = next((name for mark, name in OTHER_ENCODINGS.items() if content.startswith(mark)), 'not UTF-8')
            self._refuse(content.count(b'\n', 0, error.start) + 1, f'is in another encoding ({encoding})',
                         'save the file as UTF-8')

    def _compose_alias(self, parent: yaml.Node | None, index: Any, anchor: str, line: int) -> yaml.Node | None:
        """What stands at the anchor, once more, so that a value is never shared by two keys."""
        if anchor in self._open_anchors:
            self._refuse(line, f'puts *{_shortened(anchor)} inside itself', 'write the value out')
        self._count(self._sizes.get(anchor, 0), line)
        return copy.deepcopy(super().compose_node(parent, index))

    def _count(self, values: int, line: int) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            self._refuse(line, f'brings the file to more than {MOST_VALUES:,d} keys and values',
                         'take out what repeats, such as aliases of aliases')

    def _refuse(self, line: int, has: str, instead: str) -> NoReturn:
        raise UserError(f'{self._source} is not valid YAML of options: line {line} {has}; {instead}.')


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f'{text[:60]}...'


OptionLoader.add_implicit_resolver('tag:yaml.org,2002:float', NUMBER_WITH_EXPONENT, list('-+.0123456789'))
OptionLoader.add_constructor('tag:yaml.org,2002:map', OptionLoader.construct_block)
