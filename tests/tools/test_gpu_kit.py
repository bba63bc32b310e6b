"""The kit for a GPU, on a CPU: its lists, the crops that it draws first, its trainings of other tasks."""
from __future__ import annotations

import sys
from pathlib import Path

import drawn_pairs
import gpu_kit
import kit_training
import numpy as np
import pytest
import torch
import yaml
from conftest import REPOSITORY

from basicsr_snn import load, zoo
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import write_picture
from basicsr_snn.zoo.weights import load_weights

PLANS = [plan for name in ('gpu_trainings.yml', 'gpu_tasks.yml')
         for plan in yaml.safe_load(Path(REPOSITORY / 'tools' / name).read_text(encoding='utf-8'))]


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(3):
        write_picture(tmp_path / 'pictures' / f'{number}.png', rng.integers(0, 256, (48, 40, 3), dtype=np.uint8))
    return tmp_path / 'pictures'


def block(pictures, **more):
    return {'name': 'rain', 'type': 'RainStreaksDataset', 'dataroot_gt': str(pictures), **more}


@pytest.mark.parametrize('plan', PLANS, ids=lambda plan: plan['name'])
def test_networks_of_the_lists_can_be_built_and_begin_from_weights_that_ship(plan, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    net = zoo.build(kit_training.network_of(plan))
    weights = yaml.safe_load(Path(plan['options']).read_text(encoding='utf-8'))['path'] if 'options' in plan else {}
    start = kit_training.start_of(plan, weights.get('pretrain_network_g'))
    if start is not None:
        load_weights(net, start, strict=plan.get('strict', weights.get('strict_load_g', True)))


def test_pairs_are_drawn_as_a_training_draws_them(pictures):
    degraded, clean = drawn_pairs.draw_pairs(block(pictures, gt_size=32), 1, 100, 0, workers=0)
    assert degraded.shape == clean.shape == (100, 3, 32, 32)
    assert degraded.dtype == torch.uint8
    assert (degraded / 255 > clean.float() - 1e-3).all()  # rain adds light
    assert len({crop.numpy().tobytes() for crop in degraded}) == 100
    again, _ = drawn_pairs.draw_pairs(block(pictures, gt_size=32), 1, 100, 0, workers=0)
    others, _ = drawn_pairs.draw_pairs(block(pictures, gt_size=32), 1, 100, 1, workers=0)
    assert torch.equal(again, degraded)
    assert not torch.equal(others, degraded)


def test_values_between_those_of_8_bits_are_refused(pictures):
    noise = {'name': 'noise', 'type': 'GaussianDenoisingDataset', 'dataroot_gt': str(pictures), 'gt_size': 32,
             'sigma': 25}
    with pytest.raises(UserError, match='8 bits'):
        drawn_pairs.draw_pairs(noise, 1, 4, 0, workers=0)


def test_batches_hold_pairs_that_belong_together():
    clean = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 3, 8, 8)
    pairs = drawn_pairs.DrawnPairs((clean + 1, (clean / 255).half()), 64, torch.device('cpu'),
                                   torch.Generator().manual_seed(0))
    degraded, sharp = pairs.draw()
    assert degraded.shape == (64, 3, 8, 8)
    assert torch.allclose(degraded - sharp, torch.full_like(sharp, 1 / 255), atol=1e-4)
    assert len(sharp.unique()) == 10


@pytest.mark.parametrize('scale', [1, 2])
def test_a_task_is_trained_and_scored_by_its_option_file(pictures, tmp_path, scale):
    kind = {'type': 'SuperResolutionDataset'} if scale == 2 else {}
    options = {
        'name': 'task', 'model_type': 'SNNModel', 'scale': scale, 'num_gpu': 0, 'manual_seed': 0,
        'datasets': {'train': block(pictures, **kind, gt_size=32, subset=[0, 700]),
                     'val': block(pictures, **kind, name='val')},
        'network_g': {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'T': 1, 'scale': scale,
                      'neuron': {'type': 'SignedILIF', 'D': 16}},
        'path': {}, 'train': {'rate_opt': {'type': 'SpikeRateLoss', 'target': 100}}}
    file = tmp_path / 'task.yml'
    file.write_text(yaml.safe_dump(options), encoding='utf-8')
    plan = {'name': 'task', 'options': str(file), 'crops': 8, 'lr': 1e-3}
    training = kit_training.TaskTraining(plan, 2, False, 0, workers=0)
    before = [value.clone() for value in training.step.net.parameters()]
    for _ in range(2):
        training.run(0.5, 1.0)
    assert any(not torch.equal(old, new) for old, new in zip(before, training.step.net.parameters(), strict=True))
    assert training.step.read_log()['broken_steps'] == 0
    (psnr,) = training.score(2)
    assert 5 < psnr < 50
    training.save(tmp_path)
    assert load(tmp_path / 'task.pth').scale == scale  # the file knows its network


def test_the_kit_trains_a_list_saves_and_tells_how_it_went(pictures, tmp_path, monkeypatch):
    plans = [{'name': name, 'like': 'spikerir_tiny_color25', 'channels': [4, 4], 'blocks': [1, 1], 'start': None,
              'lr': 1e-3, 'sigma': sigma} for name, sigma in (('one', 25), ('blind', [0, 55]), ('left', 25))]
    (tmp_path / 'list.yml').write_text(yaml.safe_dump(plans), encoding='utf-8')
    out = tmp_path / 'out'
    monkeypatch.setattr(sys, 'argv', [
        'gpu_kit.py', '--minutes', '10', '--list', str(tmp_path / 'list.yml'), '--names', 'one', 'blind',
        '--steps', '8', '--least-steps', '1', '--side', '16', '--batch', '2', '--plain',
        '--data', f'{pictures}:1', '-o', str(out)])
    gpu_kit.main()
    told = (out / 'log.txt').read_text().splitlines()
    assert sorted(file.stem for file in out.glob('*.pth')) == ['blind', 'one']
    assert any('pictures read: [2]' in line for line in told)
    assert any('pictures read: [1]' in line for line in told)  # that is not trained on
    assert len([line for line in told if '] 0.' in line and ' one ' in line]) == gpu_kit.REPORTS - 1
    ends = [line for line in told if '] end ' in line]
    for name, line in zip(('one', 'blind'), ends, strict=True):
        assert f'end {name} 10 steps' in line  # two to see how long a round takes
        assert '"broken_steps": 0.0' in line
    net = load(out / 'one.pth')
    assert net(torch.rand(1, 3, 16, 16)).shape == (1, 3, 16, 16)


def test_the_last_trainings_are_left_out_until_the_others_have_time_enough(monkeypatch):
    class Named:
        def __init__(self, name: str) -> None:
            self.plan = {'name': name}

    monkeypatch.setattr(gpu_kit, 'pace', lambda trainings, rounds: 1.0 * len(trainings))
    told, trainings = [], [Named(name) for name in 'abcd']
    gpu_kit.keep_what_fits(trainings, 100.0, 50, told.append)
    assert [one.plan['name'] for one in trainings] == ['a', 'b']
    assert [line for line in told if 'without' in line] == ['without d', 'without c']
    gpu_kit.keep_what_fits(trainings, 1.0, 50, told.append)
    assert [one.plan['name'] for one in trainings] == ['a']
