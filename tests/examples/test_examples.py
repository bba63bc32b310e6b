"""The examples run as their first lines say, and do what they say."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from conftest import REPOSITORY

from basicsr_snn.images.scoring import psnr

EXAMPLES = REPOSITORY / 'examples'


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder that looks like the repository's root and may be written to."""
    for name in ('options', 'datasets'):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(name: str, *arguments: str) -> str:
    ran = subprocess.run([sys.executable, EXAMPLES / name, *arguments], capture_output=True, text=True, check=False,
                         env={**os.environ, 'PYTHONPATH': str(REPOSITORY)})
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


def test_every_example_is_run_here():
    assert {file.name for file in EXAMPLES.glob('*.py')} == {'denoise.py', 'train.py', 'own_architecture.py'}


def test_denoise(root):
    clean = cv2.imread(str(REPOSITORY / 'datasets/demo/val/dogs.png'))[:96, :120]
    noisy = cv2.add(clean, cv2.randn(clean.astype('int16'), 0, 15), dtype=cv2.CV_8U)
    cv2.imwrite('photo.png', noisy)
    told = run('denoise.py', 'photo.png', 'clean.png')
    restored = cv2.imread('clean.png')
    assert psnr(restored, clean) > psnr(noisy, clean) + 4
    assert re.fullmatch(r'clean\.png: [\d,]+ accumulations and [\d.]+ nJ a pixel\n', told)


@pytest.mark.slow
def test_train(root):
    told = run('train.py', '4')
    assert re.search(r'dogs\.png: 20\.\d\d dB before, [\d.]+ dB after', told)
    assert Path('experiments/example/models/net_g_latest.pth').exists()


@pytest.mark.slow
def test_own_architecture(root):
    run('own_architecture.py', '4')
    log = next(Path('experiments/own_architecture').glob('*.log')).read_text()
    assert 'energy: ' in log
    assert 'PlainStudent' in log
