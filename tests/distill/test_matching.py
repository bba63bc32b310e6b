"""Taps chosen by measurement: which features of a student tell of which features of a teacher."""
from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from trainings import distilling, train, training, write

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.distill.matching import Taps, match, pictures_as_taps, stages, taps_of
from basicsr_snn.errors import UserError
from basicsr_snn.pipeline.hint_matching import hint_matches


def taps(cell: int, **features: torch.Tensor) -> Taps:
    return Taps(features, dict.fromkeys(features, Fraction(cell)))


def test_what_a_feature_tells_beyond_the_picture_is_found_and_nothing_else():
    torch.manual_seed(0)
    noisy, hidden = torch.randn(8, 3, 16, 16), torch.randn(8, 4, 16, 16)
    unshuffled = F.pixel_unshuffle(hidden, 2)
    half = nn.Conv2d(16, 5, 1)(unshuffled).detach() + 3 * F.avg_pool2d(noisy, 2)[:, :1]
    found = match(taps(1, telling=hidden, silent=torch.randn(8, 4, 16, 16)), taps(2, half=half), noisy)
    assert found.pairs['half', 'telling'] > 0.99
    assert abs(found.pairs['half', 'silent'] - found.alone['half']) < 0.05
    assert 0.2 < found.alone['half'] < 0.95


def test_maps_without_a_common_grid_are_left_out():
    noisy = torch.randn(4, 3, 24, 24)
    found = match(taps(2, two=torch.randn(4, 2, 12, 12)), taps(3, three=torch.randn(4, 2, 8, 8)), noisy)
    assert found.pairs == {}
    assert set(found.alone) == {'three'}


def test_stages_are_what_containers_hold():
    assert list(stages(SpikerIR(channels=[4, 4], blocks=[2, 1]))) == [
        'stem', 'encoder.0', 'encoder.0.0', 'encoder.0.1', 'down.0', 'middle', 'middle.0', 'up.0', 'decoder.0',
        'decoder.0.0', 'decoder.0.1', 'head']


def test_each_feature_is_listed_once_and_time_is_averaged():
    net = SpikerIR(channels=[4, 4], blocks=[1, 1], T=3, neuron={'type': 'LIFNode'}).eval()
    found = taps_of(net, 'student', torch.rand(2, 3, 16, 16))
    assert list(found.features) == ['stem', 'encoder.0', 'down.0', 'middle', 'up.0', 'decoder.0', 'head']
    assert found.features['middle'].shape == (2, 4, 8, 8)
    assert found.cells['middle'] == 2


def test_pictures_of_a_teacher_stand_beside_its_modules():
    noisy = torch.rand(2, 3, 8, 8)
    assert list(pictures_as_taps(noisy / 2, noisy).features) == ['picture', 'residual']
    enlarged = pictures_as_taps(torch.rand(2, 3, 16, 16), noisy)
    assert enlarged.cells == {'picture': Fraction(1, 2)}


def test_all_pairs_of_an_option_file_are_measured_with_the_weights_that_are_given(work):
    train(training(network_g={'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]}))
    options = distilling(network_g={'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]})
    options['distill']['hints'] = [{'name': 'wrong', 'teacher': 'nowhere', 'student': 'nowhere'}]
    file = write(options)
    (title, rows), = hint_matches(file, 'experiments/tiny/models/net_g_latest.pth').items()
    assert title == 'teacher DnCNN, student SpikerIR'
    assert rows[0][:3] == ['teacher', 'picture alone', 'stem']
    assert [row[0] for row in rows[1:]] == ['model', *(f'model.{layer}' for layer in range(4)), 'picture', 'residual']
    assert all(float(cell) <= 1 for row in rows[1:] for cell in row[1:])
    assert hint_matches(file, 'experiments/tiny/models/net_g_latest.pth')[title] == rows
    assert list(hint_matches(file)) == ['teacher DnCNN, student SpikerIR (untrained)']


@pytest.mark.parametrize(('options', 'sentence'), [
    (training(), 'has no training with a distill: block; write one'),
    ({**distilling(), 'distill': {'teacher': {'network': training()['network_g'], 'trainable': True},
                                  'output': {'type': 'MSELoss'}}}, 'trained along, so that its features are not there'),
])
def test_files_without_a_trained_teacher_are_refused(work, options, sentence):
    with pytest.raises(UserError, match=sentence):
        hint_matches(write(options))
