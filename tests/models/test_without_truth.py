"""Trainings on pictures of which nobody knows what they show without noise."""
from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest
import torch
from trainings import batch, built, distilling, log_of, train, training, write

from basicsr_snn.cli.main import main
from basicsr_snn.data.batch import Batch
from basicsr_snn.errors import UserError

FFDNET = {'network': {'type': 'FFDNet', 'nc': 4, 'nb': 3}, 'path': 'ffdnet.pth'}


def without_truth(options: dict, *more: str) -> dict:
    """The same training on noisy pictures, or beside them on others."""
    block = {'type': 'NoisyPicturesDataset', 'dataroot_lq': 'pictures'}
    loader = {key: options['datasets']['train'][key]
              for key in ('name', 'gt_size', 'batch_size_per_gpu', 'num_worker_per_gpu', 'dataset_enlarge_ratio')}
    pairs = [{'type': 'RealPairsDataset', 'dataroot_gt': folder} for folder in more]
    mixed = {'type': 'MixedDataset', 'sets': [block, *pairs]}
    options['datasets']['train'] = {**loader, **(mixed if more else block)}
    return options


@pytest.fixture
def pairs(work: Path) -> str:
    """A folder of the pictures, each with itself as its truth."""
    Path('pairs').mkdir()
    for file in Path('pictures').iterdir():
        for mark in ('_mean', '_real'):
            shutil.copy(file, f'pairs/{file.stem}{mark}.png')
    return 'pairs'


def test_a_teacher_trains_a_student_on_noisy_pictures_alone(work):
    options = without_truth(distilling())
    train(options)
    assert 'l_kd' in log_of('distilled')
    assert main(['check', '-opt', write(options)]) == 0


def test_noisy_pictures_stand_beside_pairs(pairs):
    options = without_truth(distilling(), pairs)
    options['datasets']['train']['batch_size_per_gpu'] = 4
    train({**options, 'train': {**options['train'], 'micro_batches': 2}})
    assert 'l_kd' in log_of('distilled')
    assert 'nan' not in log_of('distilled').lower()
    assert main(['check', '-opt', write(options)]) == 0


def test_losses_are_those_of_the_pictures_whose_truth_is_known(work):
    model = built(distilling())
    given = batch()
    whole = {**given, 'has_truth': torch.tensor([True, True])}
    one = {**given, 'gt': torch.where(torch.tensor([True, False]).view(2, 1, 1, 1), given['gt'], torch.nan),
           'has_truth': torch.tensor([True, False])}
    terms = []
    for data in (whole, one):
        model.feed_data(copy.deepcopy(data))
        torch.manual_seed(0)
        terms.append(model.compute_losses(model.batch, 1))
    known = (model.restorer(given['lq'])[0] - given['gt'][0]).abs().mean()
    assert terms[1]['l_pix'].item() == pytest.approx(known.item() / 2, rel=1e-4)
    assert terms[0]['l_kd'].item() == pytest.approx(terms[1]['l_kd'].item(), rel=1e-5), 'a teacher teaches all'
    assert torch.isfinite(sum(terms[1].values()))


def test_hints_tails_and_a_twin_do_without_truth(work):
    twin = {'network': {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]}, 'trainable': True}
    tail = {'name': 'mid', 'teacher': 'model.2', 'student': 'decoder.0', 'loss': {'type': 'L1Loss'}}
    for distill in ({'teacher': twin, 'output': {'type': 'MSELoss'}},
                    {'teacher': distilling()['distill']['teacher'], 'tails': [tail], 'output': {'type': 'L1Loss'}}):
        model = built({**distilling(), 'distill': distill})
        model.feed_data({'lq': batch()['lq'], 'sigma': batch()['sigma']})
        model.optimize_parameters(1)
        assert all(torch.isfinite(term) for term in model.loss_terms.values()), model.loss_terms
        assert model.loss_terms['l_kd'] > 0


def test_a_teacher_is_told_the_level_of_its_block(work):
    from basicsr.archs import build_network

    torch.save(build_network(dict(FFDNET['network'])).state_dict(), 'ffdnet.pth')
    terms = {}
    for level in (None, 10, 25):
        distill = {'teacher': {**FFDNET, 'level': level}, 'output': {'type': 'L1Loss'}}
        torch.manual_seed(0)  # of the student
        model = built({**distilling(), 'distill': distill})
        model.feed_data(batch())
        terms[level] = model.compute_losses(model.batch, 1)['l_kd'].item()
    assert terms[None] == pytest.approx(terms[25]), 'the level of the pictures'
    assert terms[10] != pytest.approx(terms[25], rel=1e-6)
    distill['teacher'] = {**distilling()['distill']['teacher'], 'level': 10}
    with pytest.raises(UserError, match='the teacher DnCNN has level: 10, but takes no noise level; leave it out'):
        built({**distilling(), 'distill': distill})


@pytest.mark.parametrize('more', [(), ('pairs',)])
def test_without_a_teacher_such_a_training_is_refused(pairs, capsys, more):
    options = without_truth(training(), *more)
    assert main(['train', '-opt', write(options)]) == 2
    place = 'train: sets: 0' if more else 'train'
    assert f'datasets: {place} is a NoisyPicturesDataset, whose pictures only a teacher can' in capsys.readouterr().err
    options = without_truth(distilling(), *more)
    options['distill']['until'] = 2
    assert main(['train', '-opt', write(options)]) == 2
    assert f'distill: until is 2, but nothing teaches the pictures of datasets: {place}' in capsys.readouterr().err
    options['distill'].update(until=None, every=4)
    assert main(['train', '-opt', write(options)]) == 2
    assert f'every is 4, but nothing teaches the pictures of datasets: {place}' in capsys.readouterr().err
    options['distill'] = {'output': {'type': 'L1Loss'}, 'teacher': {
        'network': {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]}, 'trainable': True}}
    assert main(['train', '-opt', write(options)]) == 2
    assert f'is no teacher of the pictures of datasets: {place}' in capsys.readouterr().err


def test_a_batch_without_truth_is_refused_where_nothing_teaches_it(work):
    model = built(training())
    with pytest.raises(UserError, match='pictures without a truth are trained on, but nothing else teaches'):
        model.compute_losses(Batch(batch()['lq'], sigma=batch()['sigma']), 1)
