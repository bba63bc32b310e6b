"""The studies on real noise: noisy pictures without a truth, and which network a named level takes."""
from __future__ import annotations

import named_levels
import numpy as np
import pytest
import without_truth
from conftest import REPOSITORY

from basicsr_snn import zoo
from basicsr_snn.engines.placing import place
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.zoo.trained_network import named_network


@pytest.mark.parametrize('arm', without_truth.ARMS)
def test_arms_differ_in_pictures_and_teacher_only(arm, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    truth, own = (read_options(without_truth.OPTIONS / f'{name}.yml') for name in ('truth', arm))
    changed = {key for key in {*truth, *own} if truth.get(key) != own.get(key)} - {'name'}
    assert changed <= {'model_type', 'datasets', 'distill'}
    truth['datasets'].pop('train')
    assert own['datasets'].pop('train')['batch_size_per_gpu'] == 8
    assert own['datasets'] == truth['datasets']
    options = without_truth.options_of(arm, 1, 300)
    assert (options['train']['total_iter'], options['train']['scheduler']['periods']) == (300, [300])
    assert options['manual_seed'] == 1
    assert options['name'] == f'without_truth_{arm}_seed1_300'


def test_runs_that_are_done_are_not_trained_again(tmp_path, monkeypatch):
    trained = []
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(without_truth, 'TABLE', tmp_path / 'table.csv')
    monkeypatch.setattr(without_truth, 'train', lambda options: trained.append(options['name']) or tmp_path)
    monkeypatch.setattr(without_truth, 'scored', lambda options, folder: {'polyu_psnr': '37.0', 'camera_psnr': '36.0'})
    for _ in range(2):
        without_truth.main(['--arms', 'truth', 'both', '--seeds', '0', '--steps', '30'])
    assert trained == ['without_truth_truth_seed0_30', 'without_truth_both_seed0_30']
    assert [(row['arm'], row['polyu_psnr']) for row in without_truth.read_rows()] == [('truth', '37.0'),
                                                                                     ('both', '37.0')]


def test_the_table_of_named_levels_shows_the_best_of_each():
    names = named_levels.NAMES[1]
    found = [{'channels': 1, 'sigma': '25', 'network': name, 'psnr': psnr}
             for name, psnr in zip(names, ('9.50', '10.10'), strict=True)]
    assert named_levels.table(found, 1).splitlines()[2:] == ['| 25 | 9.50 | **10.10** |']


def test_a_network_is_given_noise_of_the_strength_that_it_knows():
    net = place(named_network('spikerir_small_gray25'), 'torch').net
    clean = np.tile(np.linspace(40, 200, 48), (40, 1))[..., None].round().astype(np.uint8)
    scores = [named_levels.mean_psnr(net, zoo.row('spikerir_small_gray25').contrast_for(level), [clean], 50)
              for level in (25, 50)]
    assert scores[1] > scores[0] + 3
