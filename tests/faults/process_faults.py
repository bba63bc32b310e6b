"""Trainings that end as nobody planned."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import cv2
import numpy as np
import torch
from fault import fault
from trainings import training, write

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, 'OMP_NUM_THREADS': '1', 'GOMP_SPINCOUNT': '0', 'PYTHONPATH': str(REPOSITORY)}

PATIENCE_S = 600.0
"""What has not come by then never does; on an idle machine it takes seconds, with much other work minutes."""


def make_pictures(random: Random, count: int = 4, size: int = 36) -> None:
    """Random pictures ``pictures/0.png`` and so on, in the current folder."""
    Path('pictures').mkdir()
    for index in range(count):
        values = np.random.default_rng(random.getrandbits(32)).integers(0, 256, (size, size, 3), dtype=np.uint8)
        cv2.imwrite(f'pictures/{index}.png', values)


def start_training(options: dict, *arguments: str) -> subprocess.Popen:
    """``python -m basicsr_snn.train`` in a process group of its own, its output in the pipe."""
    command = [sys.executable, '-m', 'basicsr_snn.train', '-opt', write(options), *arguments]
    return subprocess.Popen(command, env=ENVIRONMENT, text=True, start_new_session=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process: subprocess.Popen, seconds: float = PATIENCE_S) -> str:
    """Its output, when it has ended with 0. Its group is killed where it does not end in time."""
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f'did not end within {seconds} s') from None
    assert process.returncode == 0, output[-2000:]
    return output


def wait_for(condition: str, process: subprocess.Popen, seconds: float = PATIENCE_S) -> None:
    """Wait until a file fits the pattern ``condition``."""
    end = time.monotonic() + seconds
    while not list(Path().glob(condition)):
        assert process.poll() is None, process.stdout and process.stdout.read()[-2000:]
        assert time.monotonic() < end, f'no {condition} within {seconds} s'
        time.sleep(0.02)


@fault('resumes from the newest checkpoint that is whole and ends')
def training_is_killed(random: Random, folder: Path) -> None:
    make_pictures(random)
    options = training(name='killed')
    options['train']['total_iter'] = 400
    options['train']['scheduler']['periods'] = [400]
    options['val']['val_freq'] = 1000
    options['logger']['save_checkpoint_freq'] = 1
    process = start_training(options)
    wait_for('experiments/killed/models/net_g_*.pth', process)
    time.sleep(random.uniform(0, 1))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    saved = Path('experiments/killed/models').glob('net_g_[0-9]*.pth')
    options['train']['total_iter'] = max(int(file.stem.removeprefix('net_g_')) for file in saved) + 5
    finish(start_training(options, '--auto_resume'))
    for file in Path('experiments/killed/models').glob('*.pth'):
        torch.load(file, weights_only=True)
