"""What a loaded network refuses to restore."""
from __future__ import annotations

import copy
import io
import pickle
import re

import numpy as np
import pytest
import torch

from basicsr_snn import load, zoo
from basicsr_snn.errors import UserError

NAME = 'spikerir_tiny_color25'
PICTURE = torch.rand(1, 3, 12, 14, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope='module')
def net() -> torch.nn.Module:
    return load(NAME)


@pytest.mark.parametrize(('given', 'sentence'), [
    (PICTURE * 255, 'a picture with values from 0.'),
    (PICTURE * 255 - 128, '0..1 is meant; divide it by its white, for example picture / 255'),
    (PICTURE.half() * 65000, '0..1 is meant'),
    (PICTURE.where(PICTURE < 0.99, torch.nan), 'a picture with NaN or infinity was given; give finite values in 0..1'),
    (PICTURE.where(PICTURE < 0.99, torch.inf), 'a picture with NaN or infinity was given'),
    ((PICTURE * 255).byte(), 'a tensor of uint8 was given; give floats in 0..1, for example picture.float() / 255'),
    ((PICTURE * 255).long(), 'a tensor of int64 was given'),
    (PICTURE[0], 'a tensor of shape (3, 12, 14) was given; give pictures as (N, C, H, W), for example picture[None]'),
    (PICTURE[0, 0], 'give pictures as (N, C, H, W).'),
    (PICTURE.permute(0, 2, 3, 1), 'channels come second; give picture.permute(0, 3, 1, 2)'),
    (PICTURE.numpy(), 'a network was given an array of NumPy; give a float tensor (N, C, H, W) in 0..1, or call '
                      'basicsr_snn.denoise(array)'),
])
def test_what_is_no_picture_in_0_to_1_is_refused(net, given, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        net(given)


def test_what_is_told_by_name_is_looked_at_too():
    teacher = load('ffdnet_color')
    with pytest.raises(UserError, match='values from'):
        teacher(x=PICTURE * 255, sigma=25)
    assert torch.equal(teacher(PICTURE, 25), teacher(x=PICTURE, sigma=25))


def test_noise_of_any_strength_is_no_mistake(net):
    noisy = PICTURE + torch.randn(PICTURE.shape) * 255 / 255
    assert torch.isfinite(net(noisy)).all()
    assert torch.isfinite(net((PICTURE - 0.5) * 8 + 0.5)).all(), 'with more contrast'


def test_copies_and_files_of_a_network_refuse_too(net):
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        with pytest.raises(UserError, match='values from'):
            other(PICTURE * 255)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    assert zoo.build(zoo.row(NAME).network)(PICTURE * 255).shape == PICTURE.shape, 'a network in training is told all'


@torch.no_grad()
def test_whoever_follows_the_network_is_not_in_its_way(net):
    teacher = load('ffdnet_color')
    followed = [(net, torch.jit.trace(net, PICTURE)), (net, torch.export.export(net, (PICTURE,)).module()),
                (teacher, torch.compile(teacher, backend='eager', fullgraph=True))]
    for original, other in followed:  # in the student a sum may tip a count over
        torch.testing.assert_close(other(PICTURE), original(PICTURE), atol=2e-2, rtol=0)
    assert torch.func.vmap(teacher)(PICTURE[None]).shape == (1, *PICTURE.shape)
    assert load('ffdnet_color').to('meta')(PICTURE.to('meta')).shape == PICTURE.shape
    assert torch.onnx.export(teacher, (PICTURE,), io.BytesIO(), dynamo=False, opset_version=17) is None


def test_an_array_of_noise_as_strong_as_is_told_is_restored():
    from basicsr_snn import denoise

    noisy = np.clip(np.random.default_rng(0).normal(0.5, 75 / 255, (30, 32, 3)), None, 2.3)
    noisy[0, 0] = 2.3
    assert denoise(noisy, 75).shape == noisy.shape
    with pytest.raises(UserError, match='a float picture with values from'):
        denoise(noisy)
