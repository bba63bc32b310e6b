"""The one reader of YAML: nothing runs, nothing is without measure, and each refusal names its line."""
from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from basicsr.utils import options as basicsr_options

from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.yaml_files import DEEPEST, LARGEST_FILE, MOST_VALUES, read_yaml, read_yaml_file

REPOSITORY = Path(__file__).resolve().parents[1]
LAUGHS = 'a: &a [x, x, x, x, x, x, x, x, x]\n' + ''.join(
    f'{name}: &{name} [{",".join(["*" + before] * 9)}]\n' for before, name in zip('abcdefgh', 'bcdefghi', strict=True))

HOSTILE = {
    'runs a command': ("a: 1\nname: !!python/object/apply:os.system ['touch made_by_yaml']", 2, 'has the tag .*os'),
    'names a function': ('name: !!python/name:os.system ', 1, 'has the tag'),
    'makes an object': ('name: !!python/object/new:os.system [touch made_by_yaml]', 1, 'has the tag'),
    'names its tag in full': ('name: !<tag:yaml.org,2002:python/name:os.system> ""', 1, 'has the tag'),
    'declares a tag': ('%TAG ! tag:yaml.org,2002:python/\n---\nname: !name:os.system ""', 3, 'has the tag'),
    'is bytes': ('name: !!binary "aGk="', 1, 'has the tag tag:yaml.org,2002:binary'),
    'has a tag of another kind': ('name: !!map [1]', 1, 'has the tag'),
    'laughs a billion times': (LAUGHS, 4, f'brings the file to more than {MOST_VALUES:,d} keys'),
    'holds itself': ('a: 1\ntrain: &t {x: *t}', 2, r'puts \*t inside itself'),
    'holds itself in a list': ('channels: &c [1, *c]', 1, r'puts \*c inside itself'),
    'merges': ('a: &a {x: 1}\nb:\n  <<: *a', 3, 'merges another block by <<'),
    'is deep': ('a: ' + '[' * 5000, 1, f'is more than {DEEPEST} blocks and lists deep'),
    'is deep in lines': ('- ' * 5000 + 'a', 1, f'is more than {DEEPEST} blocks and lists deep'),
    'has many values': ('a: [' + '1,' * 60_000 + ']', 1, f'more than {MOST_VALUES:,d} keys and values'),
    'is large': ('#' + 'x' * LARGEST_FILE, None, 'is larger than an option file can be, 256 kB'),
    'has a long number': ('seed: ' + '9' * 5000, 1, 'has a number of 5000 characters'),
    'has a long number of base 16': ('seed: 0x' + 'f' * 5000, 1, 'has a number of 5002 characters'),
    'has a long number of base 60': ('seed: 1' + ':59' * 200, 1, 'has a number of 601 characters'),
    'has more than 64 bits': ('seed: 99999999999999999999', 1, 'takes more than 64 bits'),
    'has a number of base 8': ('seed: 010', 1, "has 010, which YAML reads as 8; write 8 if you mean that, or '010' in"),
    'has a number of base 60': ('a: 1\nseed: -1:30', 2, 'has -1:30, which YAML reads as -90; write -90'),
    'has a fraction of base 60': ('seed: 1:30.5', 1, 'has 1:30.5, which YAML reads as 90.5'),
    'has a date': ('a: 1\nname: 2020-01-01', 2, "has a date, 2020-01-01; write it in quotes: '2020-01-01'"),
    'has a NUL': (b'a: 1\nb: \x00', 2, r"has the control character '\\x00'"),
    'has a NUL behind an escape': ('path: "a\\0b"', 1, 'has an escaped control character'),
    'has half a character': ('path: "\\ud800"', 1, 'has an escaped control character'),
    'has an escape of no character': ('path: "\\U00110000"', 1, 'an escape that is no character'),
    'is UTF-16': ('name: x'.encode('utf-16'), 1, r'is in another encoding \(UTF-16\); save the file as UTF-8'),
    'is UTF-32': ('name: x'.encode('utf-32'), 1, 'in another encoding|control character'),
    'is Latin-1': ('a: 1\nname: höhe'.encode('latin-1'), 2, 'is in another encoding'),
    'has two documents': ('a: 1\n---\nb: 2', 2, 'says nothing that can be read .*another document'),
    'has a number as key': ('1: 2', 1, "has the key 1, which is no word; write a word, or put it in quotes: '1'"),
    'has an empty key': ('~: 2', 1, 'has the key ~'),
    'asks for a number': ('a: !!int "abc"', 1, 'has abc, which is no value of its kind'),
    'has an equals sign': ('a: =', 1, 'which is no value of its kind'),
    'has a tab': ('\ta: 1', 1, 'says nothing that can be read'),
    'has no such anchor': ('a: *nothing', 1, 'says nothing that can be read'),
}


@pytest.mark.parametrize(('content', 'line', 'sentence'), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_with_the_line_at_once(content, line, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / 'options.yml'
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    start = time.process_time()
    with pytest.raises(UserError, match=sentence) as error:
        read_yaml_file(file)
    assert time.process_time() - start < 10  # what multiplies never ends; coverage and a full machine slow all
    assert str(error.value).startswith(str(file))
    assert line is None or f' line {line} ' in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert not Path('made_by_yaml').exists()


def test_honest_values_are_read():
    text = '\ufeffa: {x: &q [1, 2], y: *q, z: 1e-3, w: "ü", n: ~, t: !!str 5}\n'.encode()
    assert read_yaml(text) == {'a': {'x': [1, 2], 'y': [1, 2], 'z': 0.001, 'w': 'ü', 'n': None, 't': '5'}}


def test_numbers_are_what_they_look_like():
    text = 'a: [0, -0, 0.5, 00.5, 10, 0x10, 0b11, 1_000, +7, "010", .5, 1e3]'
    assert read_yaml(text) == {'a': [0, 0, 0.5, 0.5, 10, 16, 3, 1000, 7, '010', 0.5, 1000.0]}


def test_an_alias_shares_no_value():
    read = read_yaml('a: &a {x: [1]}\nb: *a\n')
    read['a']['x'].append(2)
    assert read['b'] == {'x': [1]}


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match='cannot be read .*give the path of an option file'):
        read_yaml_file(tmp_path)


def test_every_loader_of_basicsr_is_this_one(tmp_path, monkeypatch):
    file = tmp_path / 'options.yml'
    file.write_text("name: !!python/object/apply:os.system ['touch made_by_yaml']")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['train', '-opt', str(file)])
    with pytest.raises(UserError, match='has the tag'):
        basicsr_options.parse_options(str(tmp_path))
    with open(file) as stream, pytest.raises(UserError, match='has the tag'):
        yaml.load(stream, Loader=basicsr_options.ordered_yaml()[0])
    assert not Path('made_by_yaml').exists()


@pytest.mark.parametrize('arguments', [
    ['check'], ['train'], ['test'], ['bench'], ['export', '--format', 'safetensors', '-o', 'x.safetensors'],
    ['report', '-i', '.', '--noise', '25', '-o', 'r'], ['denoise', '-i', '.', '-o', 'o'],
    ['start', '--from-twin', 'x.pth'],
], ids=lambda arguments: arguments[0])
def test_no_command_runs_what_an_option_file_holds(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite('picture.png', np.zeros((8, 8, 3), np.uint8))
    demo = (REPOSITORY / 'options/train/demo.yml').read_text()
    Path('evil.yml').write_text(demo.replace(
        'name: demo\n', "name: !!python/object/apply:os.system ['touch made_by_yaml']\n", 1))
    assert main([*arguments, '-opt', 'evil.yml']) == 2
    assert 'has the tag' in capsys.readouterr().err
    assert not Path('made_by_yaml').exists()


def test_option_files_are_utf_8_whatever_the_locale(tmp_path):
    file = tmp_path / 'options.yml'
    file.write_bytes('name: höhe\n'.encode())
    for encoding in ('ascii', 'latin-1', 'utf-16'):
        with open(file, encoding=encoding) as stream:  # as BasicSR opens it, in the encoding of the locale
            assert yaml.load(stream, Loader=basicsr_options.ordered_yaml()[0]) == {'name': 'höhe'}
