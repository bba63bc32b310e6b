"""What the command tells of itself, of its arguments and of option files waits for nothing: torch is not imported."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from basicsr_snn import asked
from basicsr_snn.cli.main import VERBS, main

HERE = str(Path(asked.__file__).parents[1])
HEAVY = ('torch', 'numpy', 'basicsr', 'PIL', 'cv2', 'rich', 'spikingjelly', 'matplotlib')


@pytest.mark.parametrize('arguments', [('--help',), ('--version',), ('denoise', '-h')])
def test_help_and_version_import_nothing_heavy(arguments):
    done = subprocess.run([sys.executable, '-X', 'importtime', '-m', 'basicsr_snn', *arguments], capture_output=True,
                          text=True, check=True, timeout=60)
    imported = {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}
    assert 'argparse' in imported
    assert imported.isdisjoint(HEAVY)
    assert 'basicsr-snn' in done.stdout


BOMB = 'a: &a [1, 2]\n' + ''.join(f'{b}: &{b} [{", ".join(9 * ["*" + a])}]\n' for a, b in pairwise('abcdef'))


@pytest.mark.parametrize(('option_file', 'sentence'), [
    ("name: !!python/object/apply:os.system ['touch made']", 'line 1 has the tag'),
    (BOMB, 'more than 5,000 keys and values'),
    ('name: a\nname: b', 'twice'),
    (None, 'does not exist'),
])
def test_what_is_wrong_with_an_option_file_is_told_before_torch_is_imported(tmp_path, option_file, sentence):
    file = tmp_path / 'a.yml'
    if option_file:
        file.write_text(option_file)
    done = subprocess.run([sys.executable, '-X', 'importtime', '-m', 'basicsr_snn', 'check', '-opt', str(file)],
                          capture_output=True, text=True, timeout=60, cwd=tmp_path,
                          env={**os.environ, 'PYTHONPATH': HERE})
    assert done.returncode == 2
    assert sentence in done.stderr.splitlines()[-1]
    assert not any(re.search(r'\| +(torch|basicsr)$', line) for line in done.stderr.splitlines())
    assert not (tmp_path / 'made').exists()


@pytest.mark.parametrize(('argv', 'original', 'light'), [
    (['/bin/basicsr-snn', '--help'], ['python', '/bin/basicsr-snn', '--help'], True),
    (['/bin/basicsr-snn', 'list'], ['python', '/bin/basicsr-snn', 'list'], True),
    (['-m', 'list'], ['python', '-m', 'basicsr_snn', 'list'], True),
    (['-m', '--help'], ['python', '-m', 'basicsr_snn.train', '--help'], False),
    (['mine.py', '--help'], ['python', 'mine.py', '--help'], False),
    (['/bin/basicsr-snn', 'train'], ['python', '-c', 'import multiprocessing.spawn'], False),
])
def test_only_the_command_waits(monkeypatch, argv, original, light):
    monkeypatch.setattr(sys, 'argv', argv)
    monkeypatch.setattr(sys, 'orig_argv', original)
    assert asked.waits() is light


def test_what_is_used_after_all_is_registered():
    code = ("import sys; sys.argv = ['basicsr-snn', '--help']; sys.orig_argv = ['python', *sys.argv]; "
            "import basicsr_snn; assert 'torch' not in sys.modules; net = basicsr_snn.load('spikerir_tiny_color25'); "
            "from basicsr.utils.registry import ARCH_REGISTRY; assert 'SpikerIR' in ARCH_REGISTRY")
    subprocess.run([sys.executable, '-c', code], check=True, timeout=120)


@pytest.mark.parametrize('shell', ['bash', 'zsh'])
def test_completion_knows_verbs_and_options(shell, capsys):
    pytest.importorskip('shtab')
    with pytest.raises(SystemExit) as stop:
        main(['--print-completion', shell])
    assert stop.value.code == 0
    script = capsys.readouterr().out
    assert all(word in script for word in (*VERBS, '--skip-existing', '--auto_resume'))
    if shell == 'bash':
        subprocess.run(['bash', '-n'], input=script, text=True, check=True)


def test_completion_without_its_package_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'shtab', None)
    assert main(['--print-completion', 'bash']) == 2
    assert 'type `pip install shtab`' in capsys.readouterr().err
    assert main(['--print-completion', 'fish']) == 2
