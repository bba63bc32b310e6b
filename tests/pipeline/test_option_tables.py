"""The option files come from the tables of tools/options, and say at their top what they are for."""
from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / 'tools/write_options.py'


@pytest.fixture(scope='module')
def writer():
    return runpy.run_path(str(SCRIPT))


def test_writing_the_option_files_changes_nothing():
    ran = subprocess.run([sys.executable, str(SCRIPT), '--check'], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_check_names_what_would_change_and_writes_nothing(tmp_path, writer, monkeypatch, capsys):
    main = writer['main']
    (tmp_path / 'options/train').mkdir(parents=True)
    stranger = tmp_path / 'options/train/mine.yml'
    stranger.write_text('name: mine\n')
    monkeypatch.setitem(main.__globals__, 'REPOSITORY', tmp_path)
    monkeypatch.setitem(main.__globals__, 'OPTIONS', tmp_path / 'options')
    monkeypatch.setattr(sys, 'argv', ['write_options.py', '--check'])
    assert main() == 1
    printed = capsys.readouterr().out
    assert 'options/train/demo.yml would change.' in printed
    assert 'options/train/mine.yml is in no table' in printed
    assert list(tmp_path.rglob('*.yml')) == [stranger]
    monkeypatch.setattr(sys, 'argv', ['write_options.py'])
    assert main() == 1  # the stranger is still there
    assert (tmp_path / 'options/train/demo.yml').read_text() == (REPOSITORY / 'options/train/demo.yml').read_text()


def test_every_option_file_names_its_schema_and_what_it_is_for():
    for file in (REPOSITORY / 'options').rglob('*.yml'):
        first, second, *_ = file.read_text().splitlines()
        path = first.removeprefix('# yaml-language-server: $schema=')
        assert (file.parent / path).resolve() == REPOSITORY / 'docs/reference/options.schema.json', file
        assert second.startswith('# '), file


def written(writer, **entries) -> tuple[str, dict]:
    text = writer['OptionFile']('train/mine/one', {**writer['read_tables'](), **entries}).text()
    return text, yaml.safe_load(text)


def test_an_entry_sets_replaces_and_takes_out(writer):
    entry = {'about': 'Mine.', 'from': ['train', 'sigma15'], 'without': ['train.rate_opt', 'network_g.stages'],
             'network_g.neuron': {'type': 'relu'}, 'comments': {'network_g.neuron': 'no spikes'}}
    text, options = written(writer, **{'train/mine/one': entry})
    assert text.splitlines()[1:3] == ['# Mine.', 'name: mine_one']
    assert [block['sigma'] for block in options['datasets'].values()] == [15, 15]
    assert options['network_g'] == {'type': 'SpikerIR', 'in_ch': 3, 'size': 'small', 'T': 1,
                                    'neuron': {'type': 'relu'}, 'hidden': {'lowest': 0}}
    assert 'rate_opt' not in options['train']
    assert '  neuron: {type: relu}               # no spikes\n' in text


def test_long_lines_are_wrapped_and_numbers_keep_their_form(writer):
    hint = {'name': 'x' * 60, 'teacher': 'y' * 30, 'student': 'z' * 30, 'weight': 0.5}
    entry = {'about': 'word ' * 40, 'from': ['train'], 'distill.hints': [hint], 'path.resume_state': '1: [x'}
    text, options = written(writer, **{'train/mine/one': entry})
    assert max(map(len, text.splitlines())) <= 120
    assert options['distill']['hints'] == [hint]
    assert options['path']['resume_state'] == '1: [x'
    assert 'lr: 4e-3' in text


@pytest.mark.parametrize(('entry', 'sentence'), [
    ({'from': ['no_such_part']}, 'train/mine/one: from: no_such_part is no entry'),
    ({'from': ['train'], 'without': ['train.lr']}, 'train/mine/one: without: train.lr is not there'),
])
def test_a_wrong_entry_is_named(writer, entry, sentence):
    with pytest.raises(SystemExit, match=sentence):
        written(writer, **{'train/mine/one': {'about': 'Mine.', **entry}})
