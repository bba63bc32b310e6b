"""The search under a budget: what is left out before a training, how it goes on, the best as an option file."""
from __future__ import annotations

import itertools

import page
import pytest
import within_budget
from conftest import REPOSITORY

from basicsr_snn import zoo
from basicsr_snn.errors import UserError
from basicsr_snn.pipeline.option_files import read_options

optuna = pytest.importorskip('optuna')


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Runs the command with trainings that take no time; returns the options of those that it began."""
    begun: list[dict] = []
    scores, untrained = itertools.count(30), itertools.cycle([10.0, 90.0, 15.0])
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(within_budget, 'SEARCH', tmp_path / 'results.csv')
    monkeypatch.setattr(page, 'SEARCH', tmp_path / 'results.csv')
    monkeypatch.setattr(within_budget, 'write_pages', lambda scores: None)
    monkeypatch.setattr(within_budget, 'train_to_the_end', lambda options, *_: begun.append(options) or tmp_path)
    monkeypatch.setattr(within_budget, 'mean_psnr', lambda *_: next(scores))
    monkeypatch.setattr(within_budget.TrainedNetwork, 'build', lambda self: None)
    monkeypatch.setattr(within_budget, 'EvaluationSet', lambda *_: None)
    monkeypatch.setattr(within_budget, 'MOST_PARAMETERS', 10**7)
    monkeypatch.setattr(within_budget, 'cost', lambda candidate, pictures: (
        next(untrained) if candidate.name == 'untrained' else 20.2, 1.1))

    def run(*arguments: str) -> list[dict]:
        within_budget.main(['--budget', '20', '--steps', '100', '--db', str(tmp_path / 'x.db'), *arguments])
        return begun

    return run


def test_networks_are_counted_before_they_are_trained_and_held_to_the_budget(search, tmp_path):
    begun = search('--trials', '3')
    rows = within_budget.read(tmp_path / 'results.csv')
    assert [row['state'] for row in rows] == ['trained', 'left out', 'trained']
    assert len(begun) == 2
    assert begun[0]['train']['rate_opt'] == {'type': 'SpikeRateLoss', 'target': round((20 - 1.1) * 1000 / 0.9)}
    assert begun[0]['train']['total_iter'] == 100
    assert rows[0]['val_psnr'] == '30.000'
    assert page.table('search', []).splitlines()[2].startswith('| control, 20 nJ/px, 100 steps, seed 0 | 2 |')
    search('--trials', '1')
    assert [row['trial'] for row in within_budget.read(tmp_path / 'results.csv')] == ['0', '1', '2', '3']


def test_a_trial_that_was_stopped_is_tried_again_from_its_checkpoint(search, tmp_path, monkeypatch):
    real, names = within_budget.train_to_the_end, []

    def killed(options, *_):
        names.append(options['name'])
        raise SystemExit('killed')

    monkeypatch.setattr(within_budget, 'train_to_the_end', killed)
    with pytest.raises(SystemExit):
        search('--trials', '1')
    monkeypatch.setattr(within_budget, 'cost', lambda candidate, pictures: (10.0, 1.1))
    monkeypatch.setattr(within_budget, 'train_to_the_end', real)
    begun = search('--trials', '1')
    assert [options['name'] for options in begun] == names  # the same experiment, which --auto_resume goes on with


def test_the_best_within_the_budget_becomes_an_option_file(search, tmp_path):
    with pytest.raises(UserError, match='no trial keeps the budget yet'):
        search('--write', str(tmp_path / 'best.yml'))
    search('--trials', '3', '--write', str(tmp_path / 'best.yml'))
    best = read_options(tmp_path / 'best.yml')
    row = max(within_budget.read(tmp_path / 'results.csv'), key=lambda row: float(row['val_psnr'] or 0))
    assert str(best['network_g']['channels']) == row['channels']
    assert sum(p.numel() for p in zoo.build(best['network_g']).parameters()) == int(row['params'])


def test_a_searched_student_may_have_a_teacher_by_its_option_file(search):
    begun = search('--trials', '1', '--opt', 'options/train/distillation/kdsnn_response.yml')
    assert begun[0]['model_type'] == 'ANNSNNDistillModel'
    assert begun[0]['distill']['teacher']['network']['type'] == 'FFDNet'


def test_a_training_that_is_too_short_is_refused_in_a_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit, match='2'):
        within_budget.main(['--budget', '20', '--steps', '4', '--db', str(tmp_path / 'x.db')])
    assert '--steps 4 was given; allowed are 20 and more' in capsys.readouterr().err
