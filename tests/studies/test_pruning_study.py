"""The study of pruning: its plan, rows that are not trained again, the table of the page."""
from __future__ import annotations

import page
import prune
import pytest
import torch
from conftest import REPOSITORY
from runs import write

from basicsr_snn.pipeline.option_files import read_options

ROW = {'steps': '3000', 'seconds': '400', 'zeros': '0.7937', 'val_psnr': '30.250', 'cbsd68_psnr': '30.75',
       'acs_per_px': '48000', 'effective_acs_per_px': '9600', 'nj_per_px': '44.7', 'sparse_nj_per_px': '10.1'}


def test_arms_differ_in_what_is_pruned_only(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    whole = read_options(prune.OPTIONS / 'whole.yml')
    for arm in prune.ARMS:
        own = read_options(prune.OPTIONS / f'{arm}.yml')
        assert own['train'].pop('pruning')['sparsity'] == 0.8
        assert {**own, 'name': ''} == {**whole, 'name': ''}


def test_the_plan_has_a_whole_control_for_each_seed(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    runs = prune.planned((prune.WHOLE, *prune.ARMS), prune.SPARSITIES, [0, 1])
    assert len(set(runs)) == 18
    assert runs[:3] == [('whole', 0.0, 0), ('gradient_rewiring', 0.8, 0), ('magnitude', 0.8, 0)]
    options = prune.options_of(('magnitude', 0.9, 1), 1000)
    assert options['train']['pruning'] == {'type': 'MagnitudePruning', 'sparsity': 0.9, 'end_iter': 600,
                                           'keep': ['stem', 'head']}
    assert (options['train']['total_iter'], options['manual_seed']) == (1000, 1)
    assert options['name'] == 'pruning_magnitude_0.9_seed1_1000'


def test_rows_that_are_there_are_not_trained_again(tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    trained, written = [], []
    monkeypatch.setattr(prune, 'PRUNING', tmp_path / 'results.csv')
    monkeypatch.setattr(prune, 'train_to_the_end', lambda options, *_: trained.append(options['name']) or tmp_path)
    monkeypatch.setattr(prune, 'scored', lambda run, folder: {key: ROW[key] for key in prune.COLUMNS[5:]})
    monkeypatch.setattr(prune, 'write_pages', lambda scores: written.append(scores))
    for _ in range(2):
        prune.main(['--arms', 'whole', 'magnitude', '--sparsities', '0.5', '--seeds', '0', '--steps', '30'])
    assert trained == ['pruning_whole_seed0_30', 'pruning_magnitude_0.5_seed0_30']
    assert [(row['arm'], row['sparsity']) for row in prune.read(tmp_path / 'results.csv')] == [
        ('whole', '0.0'), ('magnitude', '0.5')]
    assert len(written) == 2


def test_the_table_has_means_over_seeds_and_the_loss_to_the_control(tmp_path, monkeypatch):
    monkeypatch.setattr(page, 'PRUNING', tmp_path / 'results.csv')
    assert page.table('pruning', []) == 'No run has ended yet.'
    rows = [{**ROW, 'arm': 'whole', 'sparsity': '0.0', 'seed': '0', 'val_psnr': '30.450'},
            *({**ROW, 'arm': 'gradient_rewiring', 'sparsity': '0.8', 'seed': seed} for seed in ('0', '1'))]
    write(tmp_path / 'results.csv', prune.COLUMNS, rows)
    assert page.table('pruning', []).splitlines()[-1] == (
        '| gradient rewiring | 80% | 3,000 | 2 | 79.4 | 30.250 | -0.200 | 30.750 | 48,000 | 9,600 | 44.7 | 10.1 |')


@pytest.mark.parametrize('pruned', [0.0, 0.5])
def test_zeros_are_counted_in_what_is_saved(tmp_path, pruned):
    weights = torch.ones(2, 8)
    weights.view(-1)[:int(16 * pruned)] = 0
    torch.save({'params_ema': {'conv.weight': weights, 'conv.bias': torch.zeros(3)}}, tmp_path / 'net.pth')
    assert prune.share_of_zeros(tmp_path / 'net.pth') == pruned
