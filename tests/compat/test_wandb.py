"""A training that copies its log to Weights & Biases: with today's wandb, offline, and without an account."""
from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec

import pytest
from trainings import log_of, train, training

from basicsr_snn.compat import wandb as repair
from basicsr_snn.errors import UserError


def copied(name: str) -> dict:
    options = training(name)
    options['logger']['wandb'] = {'project': 'basicsr_snn'}
    return options


class WandbError(Exception):
    """What wandb's errors inherit from."""


@pytest.fixture
def todays(monkeypatch) -> types.SimpleNamespace:
    """A wandb whose ``util`` has no ``generate_id``; ``runs`` are those that began."""
    fake = types.SimpleNamespace(util=types.ModuleType('wandb.util'), Error=WandbError, runs=[],
                                 __spec__=ModuleSpec('wandb', None, origin='here'))
    fake.init = lambda **run: fake.runs.append(run)
    monkeypatch.setitem(sys.modules, 'wandb', fake)
    return fake


def test_a_training_begins_a_run_with_an_id(work, todays):
    train(copied('tracked'))
    run, = todays.runs
    assert (run['name'], run['project'], run['sync_tensorboard'], run['resume']) == (
        'tracked', 'basicsr_snn', True, 'never')
    assert len(run['id']) == 8
    assert f'Use wandb logger with id={run["id"]}' in log_of('tracked')


def test_an_id_that_wandb_makes_itself_is_kept(work, todays):
    todays.util.generate_id = lambda: 'its own'
    train(copied('tracked'))
    assert todays.runs[0]['id'] == 'its own'


def test_two_runs_have_two_ids():
    assert len({repair._new_id() for _ in range(20)}) == 20


def test_no_account_is_one_sentence(work, todays):
    def refuse(**run):
        raise WandbError('api_key not configured (no-tty). call wandb.login')

    todays.init = refuse
    with pytest.raises(UserError, match=r'no run can begin there \(api_key not configured.*WANDB_MODE=offline'):
        train(copied('tracked'))


def test_todays_wandb_takes_a_training_offline(work, monkeypatch):
    pytest.importorskip('wandb', reason='the package wandb is not installed')
    monkeypatch.setenv('WANDB_MODE', 'offline')
    train(copied('tracked'))
    import wandb

    wandb.finish()
    assert list(work.glob('wandb/offline-run-*/*.wandb'))
