"""Option files of a folder that are trained alike: what they may differ in, and that no run is trained twice."""
from __future__ import annotations

import arms
import pytest
from conftest import REPOSITORY

from basicsr_snn.pipeline.option_files import read_options

FOLDER = REPOSITORY / 'options' / 'train'
CONTROLS = {'without_truth': 'truth', 'wider_teacher': 'truth', 'under_edsr': 'truth'}
OPTION_FILES = [file for folder in CONTROLS for file in sorted((FOLDER / folder).glob('*.yml'))]


@pytest.mark.parametrize('file', OPTION_FILES, ids=lambda file: f'{file.parent.name}/{file.stem}')
def test_arms_differ_in_pictures_and_losses_only(file):
    control, own = (read_options(one) for one in (file.with_stem(CONTROLS[file.parent.name]), file))
    changed = {key for key in {*control, *own} if control.get(key) != own.get(key)} - {'name'}
    assert changed <= {'model_type', 'datasets', 'distill', 'train'}
    for one in (control, own):
        one['train'].pop('pixel_opt')
        one['train'].pop('fft_opt', None)
    batches = [one['datasets'].pop('train')['batch_size_per_gpu'] for one in (control, own)]
    assert batches[0] == batches[1]
    assert (own['datasets'], own['train']) == (control['datasets'], control['train'])


def test_a_run_is_named_and_as_long_as_it_is_told():
    options = arms.options_of(FOLDER / 'without_truth' / 'both.yml', 1, 300)
    assert options['name'] == 'without_truth_both_seed1_300'
    assert options['manual_seed'] == 1
    assert (options['train']['total_iter'], options['train']['scheduler']['periods']) == (300, [300])


def test_sets_are_those_of_the_validation_and_further_folders():
    options = {'datasets': {'train': {}, 'val': {'name': 'own', 'type': 'GaussianDenoisingDataset', 'sigma': 15,
                                                 'in_ch': 1, 'dataroot_gt': str(REPOSITORY / 'datasets/demo/val')}}}
    names = [name for name, _ in arms.scored_on(options, [REPOSITORY / 'datasets/demo/val'])]
    assert names == ['own', 'val']


def test_runs_that_are_done_are_not_trained_again(tmp_path, monkeypatch):
    trained: list[str] = []
    monkeypatch.setattr(arms, 'train', lambda options: trained.append(options['name']) or tmp_path)
    monkeypatch.setattr(arms, 'scores', lambda options, folder, also: {'PolyU': '37.0'})
    told = [str(FOLDER / 'without_truth'), '--table', str(tmp_path / 'table.csv'), '--steps', '30', '--seeds', '0']
    for _ in range(2):
        arms.main([*told, '--arms', 'truth', 'both'])
    assert trained == ['without_truth_truth_seed0_30', 'without_truth_both_seed0_30']
    assert [(row['arm'], row['PolyU']) for row in arms.read(tmp_path / 'table.csv')] == [('truth', '37.0'),
                                                                                        ('both', '37.0')]
