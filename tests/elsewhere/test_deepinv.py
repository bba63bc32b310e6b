"""Denoisers for plug-and-play: levels that are told, kept and refused; deblurring by hand and by deepinv."""
from __future__ import annotations

import importlib
import sys

import pytest
import torch
from conftest import REPOSITORY
from own_zoo import weights

from basicsr_snn import load
from basicsr_snn.elsewhere.denoiser_by_level import DenoiserByLevel
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import read_picture, to_float, to_tensor

SIGMA = 0.01
"""Of the noise on the blurred picture."""


@pytest.fixture(scope='module')
def dogs() -> torch.Tensor:
    stored = read_picture(REPOSITORY / 'datasets/demo/val/dogs.png').stored
    return to_tensor(to_float(stored))[None, :, 60:156, 80:176].contiguous()


def psnr(restored: torch.Tensor, clean: torch.Tensor) -> float:
    return -10 * (restored.clamp(0, 1) - clean).square().mean().log10().item()


def with_noise(clean: torch.Tensor, sigma: float) -> torch.Tensor:
    return clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('level', [25, 60])
def test_what_a_network_knows_is_what_it_is_given(level, dogs):
    """A network for noise of 25 answers at that level as it is, and at another one at a contrast about mid-grey."""
    noisy, denoiser, net = with_noise(dogs, level / 255), DenoiserByLevel('spikerir_tiny_color25'), load(
        'spikerir_tiny_color25')
    expected = (net((noisy - 0.5) * 25 / level + 0.5) - 0.5) * level / 25 + 0.5
    torch.testing.assert_close(denoiser(noisy, level / 255), expected, atol=1e-4, rtol=0)


def test_a_network_that_is_told_the_level_is_told_it(dogs):
    noisy, denoiser, net = with_noise(dogs, 0.1), DenoiserByLevel('ffdnet_color'), load('ffdnet_color')
    torch.testing.assert_close(denoiser(noisy, 0.1), net(noisy, sigma=25.5), atol=1e-4, rtol=0)
    above = (net((noisy - 0.5) * 0.75 + 0.5, sigma=75.0) - 0.5) / 0.75 + 0.5
    torch.testing.assert_close(denoiser(noisy, 100 / 255), above, atol=1e-4, rtol=0)


@pytest.mark.parametrize('name', ['spikerir_tiny_color25', 'ffdnet_color'])
def test_each_picture_of_a_batch_has_its_level(name, dogs):
    denoiser = DenoiserByLevel(name)
    pair = torch.cat([with_noise(dogs, 0.05), with_noise(dogs, 0.15)])
    levels = torch.tensor([0.05, 0.15])
    for told in (levels, levels.view(2, 1, 1, 1)):
        together = denoiser(pair, told)
        alone = torch.cat([denoiser(pair[:1], 0.05), denoiser(pair[1:], torch.tensor(0.15))])
        assert (together - alone).abs().mean() < 1e-3
    assert psnr(denoiser(pair, levels), dogs) > psnr(pair, dogs) + 5


@pytest.mark.parametrize('level', [0, 1e-6, 0.002, 0.01])
def test_the_lowest_levels_change_next_to_nothing(level, dogs):
    assert psnr(DenoiserByLevel('spikerir_tiny_color25')(dogs, level), dogs) > 40


def test_grey_pictures_and_grey_networks(dogs):
    grey = with_noise(dogs.mean(1, keepdim=True), 0.1)
    by_colour = DenoiserByLevel('spikerir_tiny_color25')(grey, 0.1)
    assert by_colour.shape == grey.shape
    assert psnr(by_colour, dogs.mean(1, keepdim=True)) > psnr(grey, dogs.mean(1, keepdim=True)) + 3
    assert DenoiserByLevel('spikerir_small_gray25')(with_noise(dogs, 0.1), 0.1).shape == dogs.shape


def test_gradients_reach_the_picture(dogs):
    """Unfolded algorithms differentiate through a denoiser."""
    noisy = with_noise(dogs, 0.1)[..., :32, :32].requires_grad_()
    DenoiserByLevel('spikerir_tiny_color25')(noisy, 0.1).sum().backward()
    assert noisy.grad.isfinite().all()
    assert noisy.grad.abs().sum() > 0


@pytest.mark.parametrize(('name', 'sentence'), [
    ('spikerir_small_colorblind', 'finds the level of noise itself'),
    ('dncnn_color_blind', 'finds the level of noise itself'),
    ('spikerir_small_colorreal', 'was trained for the noise of cameras'),
    ('silent.pth', 'for no level of noise that it says'), ('rain.pth', 'was trained for the task derain'),
    ('nothing', 'no shipped network is called "nothing"'),
])
def test_networks_that_are_no_denoisers_of_a_level_are_refused(inside, name, sentence):
    weights(inside / 'silent.pth')
    weights(inside / 'rain.pth', 'derain')
    with pytest.raises(UserError, match=sentence):
        DenoiserByLevel(name)


@pytest.mark.parametrize('sigma', [-0.1, float('nan'), float('inf'), 25 * 255, torch.ones(3) / 10])
def test_levels_that_are_none_are_refused(sigma, dogs):
    with pytest.raises(UserError, match='noise level'):
        DenoiserByLevel('spikerir_tiny_color25')(dogs, sigma)


def blurred(clean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The picture under a Gaussian blur of 1.6 pixels and noise, and the blur in the Fourier domain."""
    height, width = clean.shape[-2:]
    squares = [torch.fft.fftfreq(side, 1 / side).square() for side in (height, width)]
    kernel = torch.exp(-(squares[0][:, None] + squares[1]) / (2 * 1.6 ** 2))
    blur = torch.fft.rfft2(kernel / kernel.sum())
    return with_noise(torch.fft.irfft2(torch.fft.rfft2(clean) * blur, s=(height, width)), SIGMA), blur


def test_half_quadratic_splitting_by_hand_deblurs(dogs):
    given, blur = blurred(dogs)
    denoiser, restored = DenoiserByLevel('spikerir_tiny_color25'), given
    for level in torch.logspace(0, 1, 8).flip(0) * SIGMA:
        weight = 0.23 * SIGMA ** 2 / level ** 2
        wanted = blur.conj() * torch.fft.rfft2(given) + weight * torch.fft.rfft2(restored)
        restored = denoiser(torch.fft.irfft2(wanted / (blur.abs() ** 2 + weight), s=given.shape[-2:]), level)
    assert psnr(restored, dogs) > psnr(given, dogs) + 1.5


def test_deepinv_deblurs(dogs):
    deepinv = pytest.importorskip('deepinv', reason='deepinv is not installed (pip install deepinv)')
    from basicsr_snn.deepinv import Denoiser

    denoiser = Denoiser('spikerir_small_color15')
    assert isinstance(denoiser, deepinv.models.Denoiser)
    physics = deepinv.physics.BlurFFT(
        img_size=dogs.shape[1:], filter=deepinv.physics.blur.gaussian_blur(sigma=(1.6, 1.6)),
        noise_model=deepinv.physics.GaussianNoise(SIGMA, rng=torch.Generator().manual_seed(0)))
    given = physics(dogs)
    with torch.no_grad():
        restored = deepinv.optim.DPIR(sigma=SIGMA, denoiser=denoiser, device='cpu')(given, physics)
    assert psnr(restored, dogs) > psnr(given, dogs) + 1.5


def test_without_deepinv_there_is_one_sentence(monkeypatch):
    monkeypatch.delitem(sys.modules, 'basicsr_snn.deepinv', raising=False)
    monkeypatch.setitem(sys.modules, 'deepinv.models', None)
    monkeypatch.setitem(sys.modules, 'deepinv', None)
    with pytest.raises(UserError, match='needs the package deepinv.*pip install deepinv') as refused:
        importlib.import_module('basicsr_snn.deepinv')
    assert isinstance(refused.value, ImportError)
