"""The page on one's own modules: every file of it works as written, in one option file and in a script."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY
from trainings import log_of

from basicsr_snn.cli.main import main

PAGE = (REPOSITORY / 'docs/how-to/your-own-architecture.md').read_text(encoding='utf-8')
PYIQA = """
import torch

def create_metric(name, device):
    assert name in ('lpips', 'dists') and device == 'cpu'
    def metric(restored, clean):
        assert restored.shape == clean.shape and restored.shape[1] == 3 and 0 <= restored.min() <= restored.max() <= 1
        return (restored - clean).square().mean()
    return metric
"""
"""Stands in for pyiqa, which is not required and downloads: the call and the pictures are those that it takes."""


def blocks(language: str) -> list[str]:
    found = re.findall(rf'^ *```{language}\n(.*?)^ *```$', PAGE, re.DOTALL | re.MULTILINE)
    return list(map(textwrap.dedent, found))


def merged(options: dict, changes: dict) -> dict:
    return {**options, **{key: merged(options[key], value) if key in ('train', 'val') and key in options else value
                          for key, value in changes.items()}}


@pytest.fixture
def page_folder(work, own_code) -> Path:
    """A folder with all that the page tells to write; pictures are small, and the training is short."""
    for name in ('train', 'val'):
        shutil.copytree('pictures', f'datasets/demo/{name}')
    for code in blocks('python'):
        Path(re.match(r'# (\w+\.py)\n', code)[1]).write_text(code)
    Path('pyiqa.py').write_text(PYIQA)
    demo = yaml.safe_load((REPOSITORY / 'options/train/demo.yml').read_text(encoding='utf-8'))
    del demo['distill']
    own = next(block for block in map(yaml.safe_load, blocks('yaml')) if 'import' in block)
    options = merged(demo, own)
    options['train'].update(total_iter=2, scheduler={**options['train']['scheduler'], 'periods': [2]})
    options['val']['val_freq'] = 2
    Path('my_student.yml').write_text(yaml.safe_dump(options, sort_keys=False))
    return work


def test_all_of_the_page_in_one_option_file(page_folder, capsys):
    assert main(['check', '-opt', 'my_student.yml']) == 0
    told = capsys.readouterr().out
    for registered in ('arch MyStudent', 'dataset MyRain', 'loss EdgeLoss', 'metric lpips, metric dists'):
        assert registered in told
    assert main(['train', '-opt', 'my_student.yml']) == 0
    log = log_of('my_student')
    assert re.search(r'# lpips: 0\.\d+', log)
    assert 'energy: ' in log


@pytest.mark.slow
def test_the_script_of_the_page_checks_and_trains(page_folder):
    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, 'train.py', '-opt', 'my_student.yml', *arguments], text=True,
                              capture_output=True, check=False, env={**os.environ, 'PYTHONPATH': str(REPOSITORY)})

    wrong = run('--force_yml', 'network_g:widht=3')
    assert wrong.returncode == 2
    assert wrong.stderr.endswith('network_g has an unknown key "widht"; did you mean width?\n')
    right = run()
    assert right.returncode == 0, right.stderr[-2000:]
    assert Path('experiments/my_student/models/net_g_latest.pth').exists()
