"""TensorBoard as a user starts it: it opens what a training writes, and where it cannot start, that is said."""
from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest
from torch.utils.tensorboard import SummaryWriter
from trainings import log_of, train, training

from basicsr_snn.cli.main import main
from basicsr_snn.compat.tensorboard import REPAIR, why_tensorboard_cannot_start

SECONDS_TO_START = 90
without_proxy = build_opener(ProxyHandler({}))


@pytest.fixture
def logs(tmp_path) -> Path:
    with SummaryWriter(str(tmp_path / 'tb_logger' / 'demo')) as writer:
        for iteration in range(3):
            writer.add_scalar('losses/l_pix', 0.5 / (iteration + 1), iteration)
    return tmp_path / 'tb_logger'


@pytest.fixture
def address(logs, tmp_path) -> Iterator[str]:
    """Address of a running TensorBoard that shows ``logs``."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    command = [sys.executable, '-m', 'tensorboard.main', '--logdir', logs, '--host', '127.0.0.1', '--port', str(port)]
    with open(tmp_path / 'said.txt', 'w') as said:
        program = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    try:
        yield f'http://127.0.0.1:{port}'
    finally:
        program.kill()
        program.wait()


def fetch(url: str, said: Path) -> list:
    """What the program answers, asked until it does; an ``AssertionError`` tells what it said instead."""
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end:
        try:
            if answer := json.load(without_proxy.open(url, timeout=5)):  # empty until it has read the files
                return answer
        except (URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.3)
    raise AssertionError(f'{url} gave nothing; TensorBoard said: {said.read_text()}')


def test_tensorboard_opens_what_a_training_writes(address, tmp_path):
    assert why_tensorboard_cannot_start() is None
    said = tmp_path / 'said.txt'
    assert fetch(f'{address}/data/runs', said) == ['demo']
    points = fetch(f'{address}/data/plugin/scalars/scalars?run=demo&tag=losses/l_pix', said)
    assert [(step, value) for _, step, value in points] == [(0, 0.5), (1, 0.25), (2, pytest.approx(0.5 / 3))]


@pytest.fixture
def two_owners(tmp_path, monkeypatch):
    """An environment in which pip installed both packages, as their metadata say it."""
    for name in ('tensorboard', 'tb_nightly'):
        folder = tmp_path / 'site' / f'{name}-2.21.0.dist-info'
        folder.mkdir(parents=True)
        (folder / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name.replace("_", "-")}\nVersion: 2.21.0\n')
        (folder / 'entry_points.txt').write_text('[tensorboard_plugins]\nprojector = tensorboard.plugins:Projector\n')
    monkeypatch.syspath_prepend(str(tmp_path / 'site'))


def test_two_owners_of_the_same_files_are_told_with_the_command_that_helps(two_owners):
    sentence = why_tensorboard_cannot_start()
    assert 'tb-nightly and tensorboard' in sentence
    assert sentence.endswith(f'type: {REPAIR}')


@pytest.mark.parametrize('wanted', [True, False])
def test_training_and_check_tell_it_where_tensorboard_is_wanted(wanted, work, two_owners, capsys):
    options = training('run')
    options['logger']['use_tb_logger'] = wanted
    train(options)
    assert (REPAIR in log_of('run')) == wanted
    assert main(['check', '-opt', 'options.yml']) == 0
    assert (REPAIR in capsys.readouterr().out) == wanted
