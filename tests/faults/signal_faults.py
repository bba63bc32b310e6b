"""Trainings that are told to stop, and trainings that lose a picture, a data worker or half an lmdb."""
from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from fault import fault
from process_faults import PATIENCE_S, make_pictures, start_training, wait_for
from trainings import training

from basicsr_snn.cli.main import main
from basicsr_snn.data.gaussian_denoising_dataset import GaussianDenoisingDataset
from basicsr_snn.errors import UserError


def endless(name: str, workers: int, **train_data) -> dict:
    """A training that does not end by itself and saves only where it is told to stop."""
    options = training(name=name)
    options['datasets']['train'] |= {'num_worker_per_gpu': workers, 'persistent_workers': workers > 0,
                                     'dataset_enlarge_ratio': 10000, **train_data}
    options['train']['total_iter'] = 10**6
    options['train']['scheduler']['periods'] = [10**6]
    options['val'] |= {'val_freq': 7, 'energy': 0}
    options['logger'] |= {'save_checkpoint_freq': 10**6, 'print_freq': 1, 'use_tb_logger': False}
    return options


def started(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A process of a server that has imported everything: it starts seconds sooner than Python does."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['basicsr_snn.train'])
    process = context.Process(target=target, args=arguments)
    process.start()
    return process


def ended(process: subprocess.Popen, seconds: float = PATIENCE_S) -> tuple[int, str]:
    """Exit code and output; nothing of its process group is left."""
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f'did not end within {seconds} s') from None
    assert members(process.pid) == [], output[-2000:]
    return process.returncode, output


def members(group: int) -> list[str]:
    """The processes of a group that still run."""
    listed = subprocess.run(['ps', '-eo', 'pgid=,pid=,stat=,args='], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=3) for line in listed.splitlines()]
    return [' '.join(row) for row in rows if int(row[0]) == group and not row[2].startswith('Z')]


def saved_iterations(name: str) -> list[int]:
    """Iterations of the checkpoints, each of which can be read."""
    states = sorted(Path('experiments', name, 'training_states').glob('*.state'))
    return [torch.load(file, weights_only=True)['iter'] for file in states]


@fault('a checkpoint where an iteration was finished, 143 or 130, no process left')
def stop_signal_to_the_process_group(random: Random, folder: Path) -> None:
    make_pictures(random)
    process = start_training(endless('told', workers=random.randint(0, 2)))
    wait_for('experiments/told/*.log', process)
    log = next(Path('experiments/told').glob('*.log'))
    wanted = random.choice(['Start training', *['iter:       3'] * 3])
    while wanted not in log.read_text():
        assert process.poll() is None, process.communicate()[0][-2000:]
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.5))
    number = random.choice([signal.SIGINT, signal.SIGTERM])
    os.killpg(process.pid, number)
    code, output = ended(process)
    assert code == 128 + number, output[-2000:]
    assert 'Traceback' not in output, output[-2000:]
    logged = output.count('l_pix')  # the signal comes before the line of its iteration, or in a validation after it
    assert saved_iterations('told') in ([[logged], [logged + 1]] if logged else [[], [1]]), output[-2000:]


@fault('one sentence, exit code 1 or 2, a checkpoint of the last iteration, no process left')
def training_loses_a_picture_or_a_worker(random: Random, folder: Path) -> None:
    make_pictures(random)
    process = start_training(endless('lost', workers=random.randint(1, 2), cache=False))
    wait_for('experiments/lost/*.log', process)
    log = next(Path('experiments/lost').glob('*.log'))
    while 'iter:       3' not in log.read_text():
        assert process.poll() is None, process.communicate()[0][-2000:]
        time.sleep(0.01)
    what = random.choice(['deleted', 'cut', 'shrunk', 'worker'])
    picture = Path(random.choice(sorted(map(str, Path('pictures').glob('*.png')))))
    if what == 'deleted':
        picture.unlink()
    elif what == 'cut':
        picture.write_bytes(picture.read_bytes()[:random.randint(0, 200)])
    elif what == 'shrunk':
        cv2.imwrite(str(picture), np.zeros((8, 8, 3), np.uint8))
    else:
        workers = [int(row.split()[1]) for row in members(process.pid) if int(row.split()[1]) != process.pid]
        os.kill(random.choice(workers), random.choice([signal.SIGKILL, signal.SIGSEGV]))
    code, output = ended(process)
    assert code == (1 if what == 'worker' else 2), output[-2000:]
    assert ('A data worker' if what == 'worker' else picture.name) in output.strip().splitlines()[-1]
    assert 'Traceback' not in output, output[-2000:]
    assert saved_iterations('lost') == [output.count('l_pix')], output[-2000:]


@fault('refused in a sentence that names it, whatever is cut off', tries=5)
def lmdb_is_cut(random: Random, folder: Path) -> None:
    make_pictures(random)
    assert main(['prepare', '-i', 'pictures', '-o', 'cut.lmdb', '--lmdb']) == 0
    data = Path('cut.lmdb/data.mdb')
    data.write_bytes(data.read_bytes()[:random.randrange(data.stat().st_size)])
    dataset = GaussianDenoisingDataset({'name': 'C', 'phase': 'val', 'dataroot_gt': 'cut.lmdb', 'sigma': 25})
    with pytest.raises(UserError, match=r'cut\.lmdb'):
        dataset[random.randrange(len(dataset))]
