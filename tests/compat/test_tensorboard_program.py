"""TensorBoard as a user starts it: it opens what a training writes, and where it cannot start, that is said."""
from __future__ import annotations

import json
import os
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

import basicsr_snn
from basicsr_snn.cli.main import main
from basicsr_snn.compat import tensorboard
from basicsr_snn.compat.tensorboard import ONE_OWNER, SETUPTOOLS, why_tensorboard_cannot_start

SECONDS_TO_START = 90
OWNERS = ('tensorboard', 'tb_nightly')
without_proxy = build_opener(ProxyHandler({}))


@pytest.fixture
def logs(tmp_path) -> Path:
    with SummaryWriter(str(tmp_path / 'tb_logger' / 'demo')) as writer:
        for iteration in range(3):
            writer.add_scalar('losses/l_pix', 0.5 / (iteration + 1), iteration)
    return tmp_path / 'tb_logger'


def announce(folder: Path, name: str, plugin: str) -> None:
    """Metadata of an installed package that announces a plugin to TensorBoard."""
    metadata = folder / f'{name}-2.21.0.dist-info'
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name.replace("_", "-")}\nVersion: 2.21.0\n')
    (metadata / 'entry_points.txt').write_text(f'[tensorboard_plugins]\n{plugin}\n')


@pytest.fixture
def site(tmp_path) -> Path:
    """What pip leaves of two packages that own TensorBoard's files."""
    for name in OWNERS:
        announce(tmp_path / 'site', name, 'projector = tensorboard.plugins.projector.projector_plugin:ProjectorPlugin')
    return tmp_path / 'site'


@pytest.fixture
def ours_too(site) -> Path:
    """The same with this package beside them, as pip installs it."""
    announce(site, 'basicsr_snn', 'basicsr_snn = basicsr_snn.tensorboard_start:NothingToShow')
    return site


@pytest.fixture
def two_owners(site, monkeypatch):
    """An environment with both packages, and without what this one brings for TensorBoard."""
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(tensorboard, '_one_plugin_of_each_is_kept', lambda: False)


@pytest.fixture(params=[None, 'ours_too'], ids=['one owner', 'two owners'])
def address(logs, tmp_path, request) -> Iterator[str]:
    """Address of a running TensorBoard that shows ``logs``, alone or in an environment with two owners of its files."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    added = [str(Path(basicsr_snn.__file__).parents[1])]
    added += [str(request.getfixturevalue(request.param))] if request.param else []
    command = [sys.executable, '-m', 'tensorboard.main', '--logdir', logs, '--host', '127.0.0.1', '--port', str(port)]
    with open(tmp_path / 'said.txt', 'w') as said:
        program = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT,
                                   env={**os.environ, 'PYTHONPATH': os.pathsep.join(added)})
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
        if 'Traceback' in said.read_text():
            break
        time.sleep(0.3)
    raise AssertionError(f'{url} gave nothing; TensorBoard said: {said.read_text()}')


def test_tensorboard_opens_what_a_training_writes(address, tmp_path):
    assert why_tensorboard_cannot_start() is None
    said = tmp_path / 'said.txt'
    assert fetch(f'{address}/data/runs', said) == ['demo']
    points = fetch(f'{address}/data/plugin/scalars/scalars?run=demo&tag=losses/l_pix', said)
    assert [(step, value) for _, step, value in points] == [(0, 0.5), (1, 0.25), (2, pytest.approx(0.5 / 3))]


def test_what_tensorboard_imports_of_this_package_needs_no_torch():
    code = ('import sys; sys.argv = ["/bin/tensorboard"]; import basicsr_snn.tensorboard_start; '
            'print("torch" in sys.modules, "basicsr" in sys.modules)')
    environment = {**os.environ, 'PYTHONPATH': str(Path(basicsr_snn.__file__).parents[1])}
    shown = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout == 'False False\n'


def test_two_owners_of_the_same_files_are_told_with_the_command_that_helps(two_owners):
    sentence = why_tensorboard_cannot_start()
    assert 'tb-nightly and tensorboard' in sentence
    assert sentence.endswith(f'type: {ONE_OWNER}')


def test_two_owners_are_no_hindrance_where_this_package_is_installed(ours_too, monkeypatch):
    monkeypatch.syspath_prepend(str(ours_too))
    assert tensorboard.owners_of_tensorboard() == ['tb-nightly', 'tensorboard']
    assert why_tensorboard_cannot_start() is None


@pytest.mark.parametrize(('missing', 'command'), [('pkg_resources', SETUPTOOLS), ('tensorboard', ONE_OWNER)])
def test_what_the_program_cannot_import_is_told_with_the_command_that_helps(missing, command, monkeypatch):
    def refuse(name):
        raise ModuleNotFoundError(f"No module named '{missing}'", name=missing)

    monkeypatch.setattr(tensorboard, 'module', refuse)
    assert why_tensorboard_cannot_start() == (
        f"tensorboard cannot start (No module named '{missing}'); type: {command}")


@pytest.mark.parametrize('wanted', [True, False])
def test_training_and_check_tell_it_where_tensorboard_is_wanted(wanted, work, two_owners, capsys):
    options = training('run')
    options['logger']['use_tb_logger'] = wanted
    train(options)
    assert (ONE_OWNER in log_of('run')) == wanted
    assert main(['check', '-opt', 'options.yml']) == 0
    assert (ONE_OWNER in capsys.readouterr().out) == wanted
