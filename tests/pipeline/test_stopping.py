"""Signals before the first iteration, trainings that lose pictures or disk, processes that lose each other."""
from __future__ import annotations

import errno
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from trainings import log_of, train, training

from basicsr_snn.cli import main as cli
from basicsr_snn.compat.replacing import replaced
from basicsr_snn.errors import DataError, MachineError, UserError
from basicsr_snn.models.snn_model import SNNModel
from basicsr_snn.pipeline import processes
from basicsr_snn.pipeline.machine_errors import errors_of_machine_in_sentences
from basicsr_snn.pipeline.processes import LEFT, ProcessWatch


def raising(error):
    def work(*_args, **_kwargs):
        raise error
    return work


def test_a_signal_before_the_model_is_built_ends_at_once(work, monkeypatch, capsys):
    monkeypatch.setattr('basicsr.train.build_model', lambda opt: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit, match='143'):
        train(training())
    assert 'nothing to save' in capsys.readouterr().err
    assert not list(Path('experiments').rglob('*.state'))


def test_pictures_that_go_missing_leave_a_checkpoint(work):
    options = training()
    options['datasets']['train'].update(cache=False)
    options['logger']['save_checkpoint_freq'] = 100
    step = SNNModel.optimize_parameters

    def lose_pictures(model, current_iter):
        step(model, current_iter)
        if current_iter == 3:
            for file in Path('pictures').iterdir():
                file.unlink()

    with (replaced('optimize_parameters', lose_pictures, 'basicsr_snn.models.snn_model:SNNModel'),
          pytest.raises(DataError, match=r'pictures/.\.png cannot be read')):
        train(options)
    state = torch.load('experiments/tiny/training_states/3.state', weights_only=True)
    assert state['iter'] == 3


def test_a_longer_training_goes_on_where_a_shorter_one_ended(work):
    options = training()
    options['logger']['save_checkpoint_freq'] = 3
    train(options)
    assert sorted(file.name for file in Path('experiments/tiny/training_states').iterdir()) == ['3.state', '4.state']
    options['train']['total_iter'] = 6
    train(options, '--auto_resume')
    assert ', iter: 4.' in log_of('tiny')  # where it was resumed
    assert Path('experiments/tiny/models/net_g_6.pth').exists()


@pytest.mark.parametrize(('error', 'kind', 'sentence'), [
    (OSError(errno.ENOSPC, 'No space left on device', 'x.log'), MachineError, r'x\.log could not be written .* MB are'),
    (OSError(errno.EROFS, 'Read-only file system', 'experiments'), UserError, 'start from a folder that you may write'),
    (OSError(errno.EIO, 'Input/output error', 'x.log'), MachineError, r'x\.log could not be read or written'),
    (RuntimeError('[gloo/pair.cc:553] Connection closed by peer'), MachineError, 'Another process of this training'),
    (MemoryError(), MachineError, r'The memory did not suffice \(MemoryError\)'),
])
def test_errors_of_the_machine_are_one_sentence(error, kind, sentence):
    with pytest.raises(kind, match=sentence), errors_of_machine_in_sentences():
        raise error


@pytest.mark.parametrize('error', [RuntimeError('sizes do not match'), OSError('a mistake'), TypeError('a mistake')])
def test_mistakes_of_a_program_keep_their_traceback(error):
    with pytest.raises(type(error), match=str(error)), errors_of_machine_in_sentences():
        raise error


def test_a_full_disk_ends_with_one_sentence_and_keeps_the_last_checkpoint(work, monkeypatch):
    write = torch.save

    def fill_disk(content, stream):
        if content.get('iter') == 4:
            raise OSError(errno.ENOSPC, 'No space left on device')
        write(content, stream)

    monkeypatch.setattr(torch, 'save', fill_disk)
    monkeypatch.setattr('time.sleep', lambda seconds: None)
    with pytest.raises(MachineError, match=r'checkpoint .*4\.state could not be saved .*No space left.*--auto_resume'):
        train(training())
    assert [file.name for file in Path('experiments/tiny/training_states').iterdir()] == ['2.state']


@pytest.mark.parametrize(('error', 'code'), [(MachineError('The disk is full.'), 1), (UserError('Wrong.'), 2),
                                             (KeyboardInterrupt(), 130)])
def test_exit_codes(monkeypatch, capsys, error, code):
    monkeypatch.setattr(cli, '_verb', lambda name: SimpleNamespace(add_parser=raising(error)))
    assert cli.main(['list']) == code
    assert capsys.readouterr().err.count('\n') == 1


class Store(dict):
    """The store of a process group, in one process."""

    def set(self, key, value):
        self[key] = value.encode()

    def get(self, key):
        return self[key]

    def check(self, keys):
        return all(key in self for key in keys)

    def add(self, key, amount):
        self[key] = super().get(key, 0) + amount
        return self[key]


@pytest.fixture
def watch(monkeypatch):
    """Makes the watch of a process, whose rounds the tests do; the signals that it sends to itself."""
    store, signals = Store(), []
    monkeypatch.setattr(processes, 'connect', lambda: store)
    monkeypatch.setattr(threading.Thread, 'start', lambda thread: None)
    monkeypatch.setattr(processes.os, 'kill', lambda pid, number: signals.append(number))
    monkeypatch.setattr(processes, 'END_AFTER_S', 0)
    monkeypatch.setattr(processes, 'end_at_once', lambda code, sentence: signals.append(code))
    return lambda rank, world_size=2: ProcessWatch(rank, world_size), store, signals


def test_a_process_that_misses_its_beats_ends_all(watch, capsys):
    make, store, signals = watch
    first, second = make(0, 3), make(2, 3)
    make(1, 3)
    for _ in range(processes.LOST_AFTER_BEATS + 1):
        store.add('beats of 1', 1)
        first._read()
    assert signals == [signal.SIGTERM, 1]
    assert 'Process 2 (pid' in (told := capsys.readouterr().err)
    assert '--auto_resume' in told
    second._read()
    assert signals == [signal.SIGTERM, 1] * 2


def test_a_silent_store_ends_its_reader_and_one_that_answers_does_not(watch, monkeypatch):
    make, _, signals = watch
    reader = make(1)
    rounds = iter([False] * (processes.LOST_AFTER_BEATS - 1) + [True])
    monkeypatch.setattr(reader.left, 'wait', lambda seconds: next(rounds))
    reader._notice_silence()
    assert signals == []
    rounds = iter([False, False, True])
    reader._notice_silence()
    assert signals == [signal.SIGTERM, 1]


def test_a_process_that_came_to_its_end_is_not_missed(watch):
    make, store, signals = watch
    first, second = make(0), make(1)
    second.leave()
    for _ in range(3 * processes.LOST_AFTER_BEATS):
        first._read()
    first.leave()
    assert signals == []
    assert store['beats of 0'] >= LEFT


@pytest.mark.parametrize(('work', 'code'), [(lambda: None, None), (raising(SystemExit(143)), 143)])
def test_the_others_wait_for_what_the_first_does_and_end_with_it(watch, monkeypatch, work, code):
    make, _, _ = watch
    first, second = make(0), make(1)
    codes = []

    def do(process, its_work):
        try:
            process.wait_for_first(its_work)
            codes.append(None)
        except SystemExit as stop:
            codes.append(stop.code)

    waited = []
    monkeypatch.setattr(processes.time, 'sleep', lambda seconds: (waited.append(seconds), do(first, work)))
    do(second, lambda: None)
    assert len(waited) == 1
    assert codes == [code, code]
