"""Loaders whose workers die, freeze, run out of memory or meet a bad picture."""
from __future__ import annotations

import os
import signal

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from basicsr_snn.compat.replacing import replaced
from basicsr_snn.data import watched_loader
from basicsr_snn.data.watched_loader import watch_loader
from basicsr_snn.data.workers import end_workers, worker_context
from basicsr_snn.errors import DataError, UserError, WorkerError


class Items(Dataset):
    """Four items, of which the last is made by ``last``."""

    def __init__(self, last):
        self.last = last

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.zeros(1) if index < 3 else self.last()


def raising(error):
    def last():
        raise error
    return last


def read(last, workers=1):
    loader = DataLoader(Items(last), num_workers=workers)
    if workers:
        loader.multiprocessing_context = worker_context(beside_process_group=False)
    quickly = replaced('LOOK_EVERY_S', 0.5, watched_loader.__name__)
    with quickly, replaced('FROZEN_AFTER_S', 1, watched_loader.__name__):
        watch_loader(loader)
        try:
            return list(loader)
        finally:
            end_workers()


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize(('error', 'kind', 'sentence'), [
    (UserError('p.png is no readable picture: remove it.'), DataError, r'^p\.png is no readable picture: remove it\.$'),
    (FileNotFoundError(2, 'No such file', 'p.png'), DataError, r"^A picture could not be read \(.*'p\.png'\); mend"),
    (ValueError('LQ is smaller than the crop. Please remove p.png.'), DataError, r'^A picture .* remove p\.png'),
    (MemoryError('all is full'), WorkerError, r'^The memory did not suffice .* smaller'),
    (RuntimeError('unable to allocate shared memory(shm) for file </torch_1_2>: No space left'), WorkerError,
     r'is too small for the batches .*--shm-size'),
])
def test_errors_are_one_sentence(workers, error, kind, sentence):
    with pytest.raises(kind, match=sentence) as told:
        read(raising(error), workers)
    assert '\n' not in str(told.value)


@pytest.mark.parametrize('workers', [0, 1])
def test_mistakes_of_a_program_keep_their_traceback(workers):
    with pytest.raises(TypeError):
        read(raising(TypeError('a mistake')), workers)


@pytest.fixture
def no_handler_of_other_loaders():
    """What torch's plain loaders of other tests leave behind: a handler that raises wherever the process is."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.parametrize(('number', 'sentence'), [
    (signal.SIGKILL, r'A data worker \(pid \d+\) died \(SIGKILL\): somebody killed it'),
    (signal.SIGBUS, r'died \(SIGBUS\): either /dev/shm .* is too small .* or an lmdb was cut'),
    (signal.SIGSTOP, r'The data workers \(pid \d+\) did not work for 1 s'),
])
def test_a_lost_worker_is_told(number, sentence, no_handler_of_other_loaders):
    handler = signal.getsignal(signal.SIGCHLD)
    with pytest.raises(WorkerError, match=sentence):
        read(lambda: (signal.signal(number, signal.SIG_DFL) if number == signal.SIGBUS else None,
                      os.kill(os.getpid(), number)))
    assert signal.getsignal(signal.SIGCHLD) == handler, 'torch would raise in the middle of a step'


def test_workers_that_work_are_waited_for():
    def slow():
        total = sum(range(10**7))
        while os.times().user < 1.2:  # longer than FROZEN_AFTER_S
            total += sum(range(10**5))
        return torch.zeros(1)

    assert len(read(slow)) == 4


def test_workers_leave_stop_signals_to_the_main_process():
    def told_to_stop():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        return torch.ones(1)

    assert read(told_to_stop)[-1].item() == 1
