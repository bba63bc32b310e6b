"""Trainings that are told twice to stop, while they wait for something that no first signal interrupts."""
from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random
from typing import Any

import torch
from fault import fault
from process_faults import make_pictures
from signal_faults import endless, members, saved_iterations, started
from trainings import write

PLACES = {'step': 'compute_losses', 'validation': 'test', 'checkpoint': 'save'}
"""What hangs, and the method of the model in which it does."""

SAVED = {'step': [], 'validation': [2], 'checkpoint': [2]}
"""Checkpoints that are there by then: one after each second iteration, and the validation comes after the third."""

AT_ONCE_S = 60.0
"""Seconds from the first signal to the end, on a machine with much other work to do; what hangs, hangs for ever."""


def hang() -> None:
    """Wait for ever, as for a disk that does not answer: no handler of Python's runs."""
    Path('hangs').touch()
    libc, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(lock)
    libc.pthread_mutex_lock(lock)


def train_until_it_hangs(options: dict[str, Any], place: str) -> None:
    """A training in a process group of its own that hangs at its second visit to ``place``; output in ``output``."""
    from basicsr_snn import train
    from basicsr_snn.compat.replacing import replaced
    from basicsr_snn.models.snn_model import SNNModel

    os.setsid()
    torch.set_num_threads(1)
    method = getattr(SNNModel, PLACES[place])
    visits: list[None] = []

    def visit(*arguments: Any, **more: Any) -> Any:
        visits.append(None)
        if len(visits) == 2:
            hang()
        return method(*arguments, **more)

    with (open('output', 'w') as output, redirect_stdout(output), redirect_stderr(output),
          replaced(PLACES[place], visit, 'basicsr_snn.models.snn_model:SNNModel')):
        os.dup2(output.fileno(), 2)
        train.main(['-opt', write(options)])


def end_by_second_signal(place: str, number: int, workers: int) -> None:
    """Tell a training that hangs to stop, again and again, until it has ended; check that the second time sufficed."""
    options = endless('twice', workers)
    options['logger']['save_checkpoint_freq'] = 2
    options['val']['val_freq'] = 3
    process = started(train_until_it_hangs, options, place)
    assert process.pid is not None
    try:
        while not Path('hangs').exists():
            assert process.is_alive(), Path('output').read_text()[-2000:]
            process.join(0.01)
        began = time.monotonic()
        while process.is_alive():  # within a third of a second a signal is the echo of the first
            os.killpg(process.pid, number)
            process.join(0.05)
            assert time.monotonic() - began < AT_ONCE_S, f'hangs in its {place} after many signals'
        assert process.exitcode == 128 + number
        assert 'Stopped at once, by a second signal' in Path('output').read_text()
        while left := members(process.pid):  # its workers are dead, but the system may still be clearing them away
            assert time.monotonic() - began < AT_ONCE_S, left
    finally:
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
            process.join()


@fault('the second signal ends it at once, whatever it is doing: 143 or 130, no process left, checkpoints whole')
def training_hangs_and_is_told_twice_to_stop(random: Random, folder: Path) -> None:
    make_pictures(random)
    for place in PLACES:
        end_by_second_signal(place, random.choice([signal.SIGINT, signal.SIGTERM]), random.randint(0, 1))
        assert saved_iterations('twice') == SAVED[place]
        Path('hangs').unlink()
