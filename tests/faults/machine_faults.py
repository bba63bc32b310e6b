"""What the machine does to a training: a full disk, one of several processes that is killed or frozen."""
from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random
from typing import Any

import torch
from fault import fault
from option_faults import status_of
from process_faults import make_pictures
from signal_faults import endless, members, saved_iterations, started
from trainings import training, write

from basicsr_snn.compat import checkpoints
from basicsr_snn.compat.replacing import replaced

FASTER = 10
"""By how much the clock of processes that watch each other is faster here than in a real training."""

LOST_S = 120.0
"""Seconds within which all have noticed on a machine with much other work to do; 12 are enough on an idle one."""


@fault('one sentence with the file, exit code 1, the last checkpoint kept; goes on once there is room')
def disk_is_full(random: Random, folder: Path) -> None:
    """``/dev/full`` takes the place of one file of a checkpoint, at every try to write it."""
    make_pictures(random)
    options = training('full')
    options['logger']['save_checkpoint_freq'] = 1
    iteration = random.randint(1, 4)
    full = random.choice([f'net_g_{iteration}.pth', f'{iteration}.state'])
    save = checkpoints.save_atomically

    def save_unless_full(content: Any, file: Path) -> None:
        if file.name == full:
            Path(f'{file}.partial').symlink_to('/dev/full')
        save(content, file)

    with (replaced('save_atomically', save_unless_full, 'basicsr_snn.compat.checkpoints'),
          replaced('sleep', lambda seconds: None, 'time')):  # between BasicSR's three tries
        status, printed = status_of('train', '-opt', write(options))
    assert status == 1, printed
    assert f'{full} could not be saved' in printed.strip().splitlines()[-1]
    assert 'No space left on device' in printed
    assert saved_iterations('full') == list(range(1, iteration))
    status, printed = status_of('train', '-opt', write(options), '--auto_resume')
    assert status == 0, printed
    assert saved_iterations('full') == [1, 2, 3, 4]


def train_as_one_of_two(rank: int, port: int, options: dict[str, Any]) -> None:
    """What torchrun starts, in a process group of its own, with its output in ``<rank>.out``."""
    from basicsr_snn import train
    from basicsr_snn.pipeline import processes
    from basicsr_snn.pipeline.run import exit_on_user_error

    os.setsid()
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
                      MASTER_PORT=str(port))
    torch.set_num_threads(1)
    processes.BEAT_EVERY_S /= FASTER
    processes.END_AFTER_S /= FASTER
    with open(f'{rank}.out', 'w', buffering=1) as output, redirect_stdout(output), redirect_stderr(output):
        os.dup2(output.fileno(), 2)
        exit_on_user_error(lambda: train.main(['-opt', write(options, f'{rank}.yml'), '--launcher', 'pytorch']))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


@fault('the others say which it was and end, exit code 1; no process is left; checkpoints are whole')
def one_of_several_processes_is_killed_or_frozen(random: Random, folder: Path) -> None:
    make_pictures(random)
    options = endless('two', workers=random.randint(0, 1))
    options['datasets']['train']['batch_size_per_gpu'] = 1
    options['logger']['save_checkpoint_freq'] = 2
    port = free_port()
    processes = [started(train_as_one_of_two, rank, port, options) for rank in range(2)]
    try:
        while not list(Path().glob('experiments/two/training_states/2.state')):
            assert all(process.is_alive() for process in processes), outputs()
            time.sleep(0.02)
        time.sleep(random.uniform(0, 0.3))
        lost = random.randrange(2)
        number = random.choice([signal.SIGKILL, signal.SIGSTOP])
        began = time.monotonic()
        assert processes[lost].pid is not None
        os.kill(processes[lost].pid, number)
        processes[1 - lost].join(LOST_S)
        assert not processes[1 - lost].is_alive(), f'still waits for process {lost} ({number.name}): {outputs()}'
        assert processes[1 - lost].exitcode == 1, outputs()
        told = Path(f'{1 - lost}.out').read_text()
        assert 'Traceback' not in told, told[-2000:]
        assert '--auto_resume' in told, told[-2000:]
        if number == signal.SIGSTOP:  # once it can again, it ends, too
            os.kill(processes[lost].pid, signal.SIGCONT)
        processes[lost].join(LOST_S)
        while left := [row for process in processes for row in members(process.pid or 0)]:
            assert time.monotonic() - began < 2 * LOST_S, left
            time.sleep(0.02)
        assert saved_iterations('two')[0] == 2
    finally:
        for process in processes:
            if process.is_alive() and process.pid:
                os.killpg(process.pid, signal.SIGKILL)
                process.join()


def outputs() -> str:
    """What both have printed last."""
    return '\n'.join(f'{file}: {file.read_text()[-1500:]}' for file in sorted(Path().glob('*.out')))
