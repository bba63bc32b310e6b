"""``basicsr-snn start`` from arguments to the file that the training of the option file reads."""
from __future__ import annotations

import pytest
import torch
import yaml
from trainings import training

from basicsr_snn.bench.evaluation_set import training_crops
from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.zoo import build
from basicsr_snn.zoo.weights import read_card

SHAPE = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]}
TWIN = {**SHAPE, 'neuron': {'type': 'linear'}, 'hidden': {'type': 'relu'}}
BINARY = {**SHAPE, 'T': 4, 'neuron': {'type': 'SignedILIF', 'D': 1, 'lowest': 0, 'decay': 1.0}}
COUNTING = {**SHAPE, 'neuron': {'type': 'SignedILIF', 'D': 4, 'lowest': 0}}
DEEPER = {**SHAPE, 'blocks': [2, 1]}


def write_training(network: dict, start: str | None = 'experiments/start.pth') -> None:
    """An option file student.yml in the current folder."""
    options = training(network_g=network, path={'pretrain_network_g': start, 'resume_state': None})
    with open('student.yml', 'w', encoding='utf-8') as file:
        yaml.safe_dump(options, file)


def write_weights(network: dict, file: str) -> None:
    torch.manual_seed(0)
    torch.save({'params': build(network).state_dict()}, file)


@pytest.mark.parametrize(('source', 'trained', 'student'), [
    ('--from-twin', TWIN, SHAPE), ('--from-counts', COUNTING, BINARY), ('--from-smaller', SHAPE, DEEPER)])
def test_a_training_begins_with_the_file_that_start_wrote(work, capsys, source, trained, student):
    write_weights(trained, 'trained.pth')
    write_training(student)
    assert main(['start', '-opt', 'student.yml', source, 'trained.pth']) == 0
    told = capsys.readouterr().out
    assert told == 'start weights in experiments/start.pth; next: basicsr-snn train -opt student.yml\n'
    written = torch.load('experiments/start.pth', weights_only=True)['params']
    source_weights = torch.load('trained.pth', weights_only=True)['params']
    assert all(torch.equal(written[name], value) for name, value in source_weights.items() if 'log_' not in name)
    assert read_card('experiments/start.pth')[0].network_g == student
    assert main(['train', '-opt', 'student.yml']) == 0
    assert read_card('experiments/tiny/models/net_g_latest.pth')[0].network_g == student
    assert (work / 'experiments/tiny/models/net_g_latest.pth').exists()


def test_it_makes_the_same_weights_each_time(work):
    write_weights(SHAPE, 'trained.pth')
    write_training(DEEPER)
    for file in ('a.pth', 'b.pth'):
        assert main(['start', '-opt', 'student.yml', '--from-smaller', 'trained.pth', '-o', file]) == 0
    first, second = (torch.load(file, weights_only=True)['params'] for file in ('a.pth', 'b.pth'))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_crops_are_of_the_training_pictures_with_the_noise_of_validation(work):
    options = training()
    options['datasets']['train']['subset'] = [1, 3]
    options['datasets']['val'].update(dataroot_gt='nowhere', subset=[0, 1], sigma=0)
    assert training_crops(options).shape == (2, 3, 36, 36)
    options['datasets']['val']['sigma'] = 25
    noisy = training_crops(options)
    options['datasets']['val']['sigma'] = 0
    assert (noisy - training_crops(options)).std().item() == pytest.approx(25 / 255, rel=0.05)
    del options['datasets']['val']
    with pytest.raises(UserError, match='has the datasets train, but training crops need train, for the pictures, and'):
        training_crops(options)


@pytest.mark.parametrize(('network', 'start', 'arguments', 'sentence'), [
    (SHAPE, 'start.pth', [], 'one of the arguments --from-twin --from-counts --from-smaller is required'),
    (SHAPE, 'twin.pth', ['--from-twin', 'twin.pth'], 'twin.pth exists and is never overwritten; remove it'),
    (SHAPE, None, ['--from-twin', 'twin.pth'], 'names no file to begin with (path: pretrain_network_g); write one'),
    (SHAPE, 'start.pth', ['--from-twin', 'nothing.pth'], 'weight file nothing.pth does not exist'),
    (SHAPE, 'start.pth', ['--from-twin', 'twin.pth', '--share', '0'], '--share 0.0 was given, but a threshold is'),
    (SHAPE, 'start.pth', ['--from-twin', 'twin.pth', '--head', 'nan'], '--head nan was given, but a threshold'),
    (SHAPE, 'start.pth', ['--from-smaller', 'twin.pth', '--head', '1'], 'was given without --from-twin'),
    (BINARY, 'start.pth', ['--from-counts', 'twin.pth', '--share', '1'], 'was given with --from-counts'),
    ({'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3}, 'start.pth', ['--from-twin', 'twin.pth'], 'trains a EDSR, but'),
])
def test_mistakes_become_one_sentence(work, capsys, network, start, arguments, sentence):
    write_weights(TWIN, 'twin.pth')
    write_training(network, start)
    assert main(['start', '-opt', 'student.yml', *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not (work / 'start.pth').exists()


def mixed(*sets: dict) -> dict:
    """A training on several sets; a set without a place is of ``pictures``."""
    options = training()
    loader = {key: value for key, value in options['datasets']['train'].items() if key not in ('dataroot_gt', 'sigma')}
    options['datasets']['train'] = {**loader, 'type': 'MixedDataset', 'sets': [
        {'dataroot_gt': 'pictures', **one} for one in sets]}
    return options


GAUSSIAN = {'type': 'GaussianDenoisingDataset', 'sigma_range': [0, 55]}
STOCK = {'type': 'PairedImageDataset', 'dataroot_lq': 'pictures', 'io_backend': {'type': 'disk'}, 'use_hflip': True,
         'use_rot': True}


@pytest.mark.parametrize('sets', [
    [GAUSSIAN], [GAUSSIAN, {'type': 'CameraNoiseDataset', 'share': 3}], [STOCK, GAUSSIAN],
    [{'type': 'MixedDataset', 'sets': [{**GAUSSIAN, 'dataroot_gt': 'pictures'}]}],
    [{'type': 'NoisyPicturesDataset', 'dataroot_lq': 'pictures', 'dataroot_gt': None}]])
def test_crops_of_a_mixed_training_are_those_that_it_draws(work, sets):
    options = mixed(*sets)
    for block in options['datasets']['train']['sets']:
        if block['type'] in ('MixedDataset', 'NoisyPicturesDataset'):
            del block['dataroot_gt']
    crops = training_crops(options)
    assert crops.shape == (16, 3, 16, 16)
    assert torch.equal(crops, training_crops(options))
    assert len({crop.numpy().tobytes() for crop in crops}) > 12


@pytest.mark.parametrize(('source', 'trained', 'student'), [('--from-twin', TWIN, SHAPE),
                                                            ('--from-smaller', SHAPE, DEEPER)])
def test_a_mixed_training_begins_with_the_file_that_start_wrote(work, source, trained, student):
    write_weights(trained, 'trained.pth')
    options = {**mixed(GAUSSIAN, {'type': 'CameraNoiseDataset'}), 'network_g': student,
               'path': {'pretrain_network_g': 'start.pth', 'resume_state': None}}
    with open('student.yml', 'w', encoding='utf-8') as file:
        yaml.safe_dump(options, file)
    assert main(['start', '-opt', 'student.yml', source, 'trained.pth']) == 0
    assert main(['train', '-opt', 'student.yml']) == 0


def test_crops_of_other_pictures_than_those_of_validation(work):
    options = training()
    options['datasets']['train'].update(type='CameraNoiseDataset')
    del options['datasets']['train']['sigma']
    assert training_crops(options).shape == (16, 3, 16, 16)


@pytest.mark.parametrize('kind', ['SuperResolutionDataset', 'PairedImageDataset'])
def test_crops_of_pairs_and_of_pictures_made_smaller(work, kind):
    scale = 2 if kind == 'SuperResolutionDataset' else 1
    options = {**training(), 'scale': scale}
    for phase in ('train', 'val'):
        block = {key: value for key, value in options['datasets'][phase].items() if key != 'sigma'}
        pairs = {'dataroot_lq': 'pictures', 'io_backend': {'type': 'disk'}} if scale == 1 else {}
        options['datasets'][phase] = {**block, 'type': kind, **pairs}
    crops = training_crops(options)
    assert crops.shape[1:] == (3, 36 // scale, 36 // scale)


@pytest.mark.parametrize(('path', 'sentence'), [
    ('weights.pth', "path is 'weights.pth', but must be a block of keys"),
    ({'pretrain_network_g': 'start.pth', 'pretrain_netwrk_g': 'x'}, 'pretrain_network_g')])
def test_the_option_file_is_checked(work, capsys, path, sentence):
    write_weights(TWIN, 'twin.pth')
    with open('student.yml', 'w', encoding='utf-8') as file:
        yaml.safe_dump(training(network_g=SHAPE, path=path), file)
    assert main(['start', '-opt', 'student.yml', '--from-twin', 'twin.pth', '-o', 'start.pth']) == 2
    assert sentence in capsys.readouterr().err
    assert not (work / 'start.pth').exists()


def test_a_home_folder_is_that_of_the_user(work, monkeypatch):
    monkeypatch.setenv('HOME', str(work / 'home'))
    write_weights(TWIN, 'twin.pth')
    write_training(SHAPE, '~/start.pth')
    assert main(['start', '-opt', 'student.yml', '--from-twin', 'twin.pth']) == 0
    assert (work / 'home' / 'start.pth').is_file()
