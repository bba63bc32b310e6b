"""DnCNN and FFDNet against a formulation of their own, and against published scores."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.archs import build_network
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio
from torch.nn import functional as F

from basicsr_snn import load
from basicsr_snn.archs.dncnn_arch import DnCNN
from basicsr_snn.archs.ffdnet_arch import FFDNet
from basicsr_snn.errors import UserError
from basicsr_snn.zoo import FOLDER

FIRST_TEN_OF_CBSD68 = 31.254
"""Mean PSNR in dB of FFDNet at sigma 25, measured with ``reference_ffdnet``; all 68 give 31.20 (paper: 31.21)."""


def chain(x: torch.Tensor, weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """Convolutions 0, 2, 4, ... of a state dict with ReLU between them."""
    count = len(weights) // 2
    for index in range(count):
        x = F.conv2d(x, weights[f'model.{2 * index}.weight'], weights[f'model.{2 * index}.bias'], padding=1)
        x = x.clamp(min=0) if index < count - 1 else x
    return x


def reference_ffdnet(picture: torch.Tensor, sigmas: list[float], weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """Sub-pixels sorted by hand, in the order channel, row, column."""
    count, channels, height, width = picture.shape
    even = picture.new_zeros(count, channels, height + height % 2, width + width % 2)
    even[..., :height, :width] = picture
    even[..., height:, :width] = picture[..., -1:, :]
    even[..., width:] = even[..., width - 1:width]
    phases = [(c, y, x) for c in range(channels) for y in range(2) for x in range(2)]
    planes = [even[:, c, y::2, x::2] for c, y, x in phases]
    level = torch.stack([torch.full_like(planes[0][0], sigma / 255) for sigma in sigmas])
    answer = chain(torch.stack([*planes, level], dim=1), weights)
    restored = torch.empty_like(even)
    for plane, (c, y, x) in enumerate(phases):
        restored[:, c, y::2, x::2] = answer[:, plane]
    return restored[..., :height, :width]


@pytest.fixture(scope='module')
def ffdnet_weights() -> dict[str, torch.Tensor]:
    return torch.load(FOLDER / 'ffdnet_color.pth', weights_only=True)


@pytest.mark.parametrize('size', [(1, 1), (1, 6), (7, 5), (12, 16), (9, 2)])
def test_shipped_dncnn_equals_its_formula(size):
    weights = torch.load(FOLDER / 'dncnn_color_blind.pth', weights_only=True)
    picture = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(load('dncnn_color_blind')(picture), picture - chain(picture, weights),
                               atol=1e-5, rtol=0)


@pytest.mark.parametrize('size', [(1, 1), (1, 6), (7, 5), (12, 16), (9, 2)])
def test_shipped_ffdnet_equals_its_formula(size, ffdnet_weights):
    picture = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(load('ffdnet_color')(picture, sigma=50),
                               reference_ffdnet(picture, [50, 50], ffdnet_weights), atol=1e-5, rtol=0)


def test_ffdnet_takes_one_noise_level_for_each_picture(ffdnet_weights):
    picture = torch.rand(3, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    restored = load('ffdnet_color')(picture, sigma=torch.tensor([5.0, 25.0, 75.0]))
    torch.testing.assert_close(restored, reference_ffdnet(picture, [5, 25, 75], ffdnet_weights), atol=1e-5, rtol=0)


def test_ffdnet_without_noise_level_uses_that_of_its_options():
    torch.manual_seed(0)
    net = FFDNet(nc=4, nb=2, sigma=40)
    picture = torch.rand(1, 3, 6, 6)
    torch.testing.assert_close(net(picture), net(picture, sigma=40.0))
    assert not torch.equal(net(picture), net(picture, sigma=25.0))


def test_ffdnet_refuses_a_wrong_number_of_noise_levels():
    with pytest.raises(UserError, match='2 noise levels were given for 3 pictures'):
        FFDNet(nc=4, nb=2)(torch.rand(3, 3, 4, 4), sigma=torch.tensor([15.0, 25.0]))


@pytest.mark.parametrize('file', ['dncnn_15', 'dncnn_gray_blind', 'cdncnn_s_25', 'ffdnet_gray'])
def test_other_weight_files_load_unchanged(file, shared_data):
    weights = torch.load(shared_data / 'weights' / f'{file}.pth', weights_only=True)
    channels = 3 if file.startswith('cdncnn') else 1
    depth = len(weights) // 2
    build = FFDNet if file.startswith('ffdnet') else DnCNN
    net = build(in_nc=channels, out_nc=channels, nc=64, nb=depth)
    net.load_state_dict(weights)
    picture = torch.rand(1, channels, 7, 9, generator=torch.Generator().manual_seed(0))
    expected = (reference_ffdnet(picture, [25], weights) if build is FFDNet else picture - chain(picture, weights))
    with torch.no_grad():
        torch.testing.assert_close(net(picture), expected, atol=1e-5, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), st.sampled_from([DnCNN, FFDNet]))
def test_any_size_is_kept(height, width, channels, build):
    net = build(in_nc=channels, out_nc=channels, nc=2, nb=2)
    assert net(torch.rand(2, channels, height, width)).shape == (2, channels, height, width)


@pytest.mark.parametrize('build', [DnCNN, FFDNet])
def test_hooked_outputs_are_not_changed_by_later_layers(build):
    torch.manual_seed(0)
    net = build(nc=4, nb=3)
    seen = []
    net.get_submodule('model.2').register_forward_hook(lambda module, inputs, output: seen.append(output))
    net(torch.rand(1, 3, 8, 8))
    assert (seen[0] < 0).any()


@pytest.mark.parametrize('build', [DnCNN, FFDNet])
def test_yaml_of_the_docstring_builds_the_network(build):
    snippet = build.__doc__.split('.. code-block:: yaml')[1]
    options = yaml.safe_load(snippet)['network_g']
    assert isinstance(build_network(options), build)


@pytest.mark.parametrize(('options', 'sentence'), [
    ({'in_nc': 3, 'out_nc': 1}, 'write out_nc: 3'),
    ({'nb': 1}, 'write nb: 2 or more'),
])
def test_dncnn_refuses_impossible_options(options, sentence):
    with pytest.raises(UserError, match=sentence):
        DnCNN(**options)


@pytest.mark.slow
def test_ffdnet_reaches_its_published_score(shared_data: Path):
    net = load('ffdnet_color')
    scores = []
    for path in sorted((shared_data / 'CBSD68').glob('*.png'))[:10]:
        clean = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        noise = np.random.RandomState(0).normal(0, 25 / 255, clean.shape)
        noisy = torch.from_numpy((clean / 255 + noise).astype(np.float32)).permute(2, 0, 1)[None]
        with torch.no_grad():
            restored = net(noisy, sigma=25)[0].permute(1, 2, 0).clamp(0, 1).mul(255).round().byte().numpy()
        scores.append(peak_signal_noise_ratio(clean, restored))
    assert np.mean(scores) == pytest.approx(FIRST_TEN_OF_CBSD68, abs=0.001)
