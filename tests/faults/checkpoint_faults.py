"""Checkpoints that are broken, trainings that diverge, are interrupted, or are started twice."""
from __future__ import annotations

import multiprocessing
import os
import re
import signal
import struct
import warnings
import zipfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import torch
from basicsr.archs import build_network
from fault import fault
from interruption import assert_resumes_exactly, drawn_training
from process_faults import make_pictures
from trainings import TEACHER, distilling, log_of, set_values, train, training

from basicsr_snn.compat.checkpoints import save_atomically
from basicsr_snn.errors import UserError
from basicsr_snn.finite import not_finite_in
from basicsr_snn.pipeline.run_lock import one_run_of_a_name


def make_data(random: Random) -> None:
    make_pictures(random)
    torch.save(build_network(dict(TEACHER)).state_dict(), 'teacher.pth')


@fault('resumes bit for bit, whatever its losses and options')
def training_of_any_options_is_interrupted(random: Random, folder: Path) -> None:
    make_data(random)
    assert_resumes_exactly(drawn_training(random), at=random.randint(1, 3))


def cut(file: Path, random: Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:random.randrange(len(content))])


def flip_a_bit(file: Path, random: Random) -> None:
    """Of the content of an entry; between them there is room that nobody reads."""
    with zipfile.ZipFile(file) as archive:
        entry = random.choice([one for one in archive.infolist() if one.file_size])
    content = bytearray(file.read_bytes())
    lengths = struct.unpack_from('<HH', content, entry.header_offset + 26)  # of its name and of what stands beside it
    begin = entry.header_offset + 30 + sum(lengths)
    content[random.randrange(begin, begin + entry.file_size)] ^= 1 << random.randrange(8)
    file.write_bytes(content)


def remove(file: Path, random: Random) -> None:
    file.unlink()


def put_infinity(file: Path, random: Random) -> None:
    content = torch.load(file, weights_only=True)
    tensors = [tensor for tensor in _tensors(content) if tensor.is_floating_point() and tensor.numel()]
    tensor = random.choice(tensors)
    tensor[(0,) * tensor.dim()] = random.choice([float('nan'), float('inf')])
    save_atomically(content, file)


def forget_an_entry(file: Path, random: Random) -> None:
    content = torch.load(file, weights_only=True)
    del content[random.choice(['epoch', 'iter', 'optimizers', 'schedulers'] if file.suffix == '.state' else ['params'])]
    save_atomically(content, file)


def _tensors(content: object) -> list[torch.Tensor]:
    if isinstance(content, torch.Tensor):
        return [content]
    values = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return [tensor for value in values for tensor in _tensors(value)]


HARM: list[Callable[[Path, Random], None]] = [cut, flip_a_bit, remove, put_infinity, forget_an_entry]


@fault('resumes from the newest that is complete and finite, and says so')
def newest_checkpoint_is_harmed(random: Random, folder: Path) -> None:
    make_data(random)
    options = set_values(distilling('harmed'), {'logger.save_checkpoint_freq': 1, 'logger.use_tb_logger': False,
                                                'val.energy': 0, 'train.total_iter': 3}, '.')
    train(options)
    folder = Path('experiments/harmed')
    file = random.choice([*folder.glob('models/net_*_3.pth'), folder / 'training_states/3.state'])
    random.choice(HARM)(file, random)
    there = Path(folder, 'training_states/3.state').is_file()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        train(options, '--auto_resume')
    assert any('Checkpoint 3 in' in str(warning.message) for warning in told) == there
    assert 'Resuming training from epoch: 0, iter: 2' in log_of('harmed')
    for kept in folder.rglob('*_3.pth'):
        assert not_finite_in(torch.load(kept, weights_only=True)) == []


@fault('saves nothing that is not finite, and its advice works')
def training_diverges(random: Random, folder: Path) -> None:
    make_data(random)
    options = training('diverging')
    optimizer = {'type': random.choice(['SGD', 'AdamW', 'RMSprop']), 'lr': 10.0 ** random.randint(20, 38)}
    set_values(options, {'logger.save_checkpoint_freq': random.choice([1, 2, 5]), 'train.grad_clip': None,
                         'logger.print_freq': random.choice([1, 3, 100]), 'val.val_freq': random.choice([1, 2, 100]),
                         'logger.use_tb_logger': False, 'val.energy': 0, 'train.optim_g': optimizer,
                         'train.warmup_iter': random.choice([-1, 3])}, '.')
    told = ''
    try:
        train(options)
    except UserError as error:
        told = str(error)
        assert 'NaN or infinity' in told or 'not finite any more' in told
    for file in Path('experiments/diverging').rglob('*.*'):
        if file.suffix in ('.pth', '.state'):
            assert not_finite_in(torch.load(file, weights_only=True)) == [], file
    _take_the_advice(told, options)


def _take_the_advice(told: str, options: dict[str, Any]) -> None:
    """Train with a lower rate, from where the sentence of a training that diverged says."""
    options['train']['optim_g']['lr'] = 1e-5
    named = re.search(r'path: resume_state: (\S+\.state)', told)
    if named:
        options['path']['resume_state'] = named[1]
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        train(options, *(['--auto_resume'] if 'with --auto_resume' in told else []))
    if kept := re.search(r'go on from checkpoint (\d+)', told):
        assert f'Resuming training from epoch: 0, iter: {kept[1]}' in log_of('diverging')


def _hold(name: str, answer: Connection) -> None:
    def parse(root_path: str, is_train: bool) -> tuple[dict, None]:
        return {'path': {'experiments_root': f'experiments/{name}'}}, None

    with one_run_of_a_name(parse) as lock:
        try:
            lock('.', True)
            answer.send(os.getpid())
        except UserError as error:
            answer.send(str(error))
            return
        answer.poll(60)


@fault('one of them runs, the others are refused with its process; killed, it leaves no lock', tries=3)
def trainings_of_one_name_begin_at_once(random: Random, folder: Path) -> None:
    context = multiprocessing.get_context('fork')
    for _ in range(2):
        pipes = [context.Pipe() for _ in range(random.randint(2, 6))]
        processes = [context.Process(target=_hold, args=('one', theirs)) for _, theirs in pipes]
        for process in processes:
            process.start()
        answers = [ours.recv() for ours, _ in pipes]
        holders = [answer for answer in answers if isinstance(answer, int)]
        assert len(holders) == 1, answers
        assert all(f'(process {holders[0]} on ' in answer for answer in answers if isinstance(answer, str)), answers
        if random.random() < 0.5:
            os.kill(holders[0], signal.SIGKILL)
        for (ours, _), process in zip(pipes, processes, strict=True):
            ours.send('end')
            process.join()
