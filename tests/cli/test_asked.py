"""What the command tells of itself waits for nothing: help, version, completion."""
from __future__ import annotations

import subprocess
import sys

import pytest

from basicsr_snn import asked
from basicsr_snn.cli.main import VERBS, main

HEAVY = ('torch', 'numpy', 'basicsr', 'PIL', 'cv2', 'rich', 'spikingjelly', 'matplotlib')


@pytest.mark.parametrize('arguments', [('--help',), ('--version',), ('denoise', '-h')])
def test_help_and_version_import_nothing_heavy(arguments):
    done = subprocess.run([sys.executable, '-X', 'importtime', '-m', 'basicsr_snn', *arguments], capture_output=True,
                          text=True, check=True, timeout=60)
    imported = {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}
    assert 'argparse' in imported
    assert imported.isdisjoint(HEAVY)
    assert 'basicsr-snn' in done.stdout


@pytest.mark.parametrize(('argv', 'original', 'light'), [
    (['/bin/basicsr-snn', '--help'], ['python', '/bin/basicsr-snn', '--help'], True),
    (['/bin/basicsr-snn', 'list'], ['python', '/bin/basicsr-snn', 'list'], False),
    (['-m', '--help'], ['python', '-m', 'basicsr_snn', '--help'], True),
    (['-m', '--help'], ['python', '-m', 'basicsr_snn.train', '--help'], False),
    (['mine.py', '--help'], ['python', 'mine.py', '--help'], False),
    (['/bin/basicsr-snn', '--print-completion=zsh'], ['python', '/bin/basicsr-snn', '--print-completion=zsh'], True),
])
def test_only_the_command_waits(monkeypatch, argv, original, light):
    monkeypatch.setattr(sys, 'argv', argv)
    monkeypatch.setattr(sys, 'orig_argv', original)
    assert asked.only_about_itself() is light


def test_what_is_used_after_all_is_registered():
    code = ("import sys; sys.argv = ['basicsr-snn', '--help']; import basicsr_snn; assert 'torch' not in sys.modules; "
            "net = basicsr_snn.load('spikerir_tiny_color25'); from basicsr.utils.registry import ARCH_REGISTRY; "
            "assert 'SpikerIR' in ARCH_REGISTRY")
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
