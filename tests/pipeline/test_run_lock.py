"""Two runs of one name: the second is refused while the first lives, and not a moment longer."""
from __future__ import annotations

import errno
import multiprocessing
import os
import socket
from multiprocessing.connection import Connection

import pytest
from trainings import training, write

from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.pipeline import run_lock
from basicsr_snn.pipeline.run_lock import one_run_of_a_name


def parse(root_path: str, is_train: bool) -> tuple[dict, None]:
    kind = 'experiments' if is_train else 'results'
    return {'path': {f'{kind}_root': f'{root_path}/{kind}/mine'}}, None


@pytest.mark.parametrize('is_train', [True, False])
def test_the_second_is_refused_with_process_and_host_until_the_first_ends(tmp_path, is_train):
    with one_run_of_a_name(parse) as first, one_run_of_a_name(parse) as second:
        first(str(tmp_path), is_train)
        with pytest.raises(UserError, match=f'/mine belongs to a run that goes on .process {os.getpid()} on '
                                            f'{socket.gethostname()}.*write another name:'):
            second(str(tmp_path), is_train)
        second(str(tmp_path), not is_train)
    assert not list(tmp_path.rglob('*.lock'))
    with one_run_of_a_name(parse) as third:
        third(str(tmp_path), is_train)


@pytest.mark.parametrize('arguments', [[], ['--auto_resume']], ids=str)
def test_the_command_is_refused(work, capsys, arguments):
    with one_run_of_a_name(lambda *_: ({'path': {'experiments_root': 'experiments/tiny'}}, None)) as running:
        running('.', True)
        assert main(['train', '-opt', write(training()), *arguments]) == 2
    assert 'experiments/tiny belongs to a run that goes on' in capsys.readouterr().err
    assert not (work / 'experiments/tiny').exists()


@pytest.mark.parametrize('linked', ['experiments', 'experiments/mine'])
def test_two_working_folders_whose_experiments_are_one_are_one_name(tmp_path, linked):
    for place in ('one', 'other'):
        link = tmp_path / place / linked
        link.parent.mkdir(parents=True)
        link.symlink_to(tmp_path / 'shared')
    (tmp_path / 'shared').mkdir()
    with one_run_of_a_name(parse) as first, one_run_of_a_name(parse) as second:
        first(str(tmp_path / 'one'), True)
        with pytest.raises(UserError, match='belongs to a run that goes on'):
            second(str(tmp_path / 'other'), True)
    assert not list(tmp_path.rglob('*.lock'))


def test_a_child_does_not_keep_the_lock_of_a_killed_parent(tmp_path):
    """Data workers outlive a killed training for seconds."""
    ours, theirs = multiprocessing.Pipe()
    (tmp_path / 'experiments').mkdir()
    descriptor = run_lock._lock(tmp_path / 'experiments/mine')
    child = multiprocessing.get_context('fork').Process(target=_say_hello_and_wait, args=(theirs,))
    child.start()
    ours.recv()
    run_lock._held.remove(descriptor)
    os.close(descriptor)  # as the kernel does it for a process that is killed
    try:
        with one_run_of_a_name(parse) as again:
            again(str(tmp_path), True)
            with one_run_of_a_name(parse) as another, pytest.raises(UserError, match='goes on'):
                another(str(tmp_path), True)
        assert child.is_alive()
    finally:
        ours.send('end')
        child.join()


def _say_hello_and_wait(pipe: Connection) -> None:
    pipe.send('hello')
    pipe.recv()


def test_a_file_system_without_locks_is_no_hindrance(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(run_lock.fcntl, 'flock', refuse)
    with one_run_of_a_name(parse) as first, one_run_of_a_name(parse) as second:
        first(str(tmp_path), True)
        second(str(tmp_path), True)
