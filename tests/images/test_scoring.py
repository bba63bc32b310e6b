"""Scores in bands against whole-picture references."""
from __future__ import annotations

import math

import numpy as np
import pytest
from basicsr.metrics import calculate_psnr, calculate_ssim
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from basicsr_snn.images import scoring


def noisy_pair(height: int, width: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    ramp = np.linspace(40, 200, width)[None, :, None]
    clean = np.rint(ramp + rng.normal(0, 5, (height, width, channels))).astype(np.uint8)
    return clean, np.rint(clean + rng.normal(0, 15, clean.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('band_pixels', [1, 300, 777, 10**6])
def test_bands_give_the_numbers_of_basicsr(monkeypatch, channels, band_pixels):
    monkeypatch.setattr(scoring, '_BAND_PIXELS', band_pixels)
    clean, noisy = noisy_pair(41, 30, channels)
    assert scoring.psnr(noisy, clean) == pytest.approx(calculate_psnr(noisy, clean, crop_border=0), abs=1e-9)
    assert scoring.ssim(noisy, clean) == pytest.approx(calculate_ssim(noisy, clean, crop_border=0), abs=1e-9)


def test_score_puts_each_number_in_its_place():
    clean, noisy = noisy_pair(24, 32, 3)
    restored = clean.copy()
    restored[5, 7] += 3
    found = scoring.score(clean, noisy, restored)
    ours = found.noisy_psnr, found.psnr, found.noisy_ssim, found.ssim
    ssim = [structural_similarity(clean, other, channel_axis=2, gaussian_weights=True, sigma=1.5,
                                  use_sample_covariance=False) for other in (noisy, restored)]
    expected = *(peak_signal_noise_ratio(clean, other) for other in (noisy, restored)), *ssim
    assert ours == pytest.approx(expected, abs=2e-3)  # scikit-image cuts its window off at other weights
    assert ours[:2] == pytest.approx(expected[:2], abs=1e-9)


def test_one_grey_level_everywhere_is_48_db():
    clean = np.full((12, 12, 3), 7, np.uint8)
    assert scoring.psnr(clean + 1, clean) == pytest.approx(20 * math.log10(255))
    assert scoring.psnr(clean, clean + 1) == pytest.approx(20 * math.log10(255))  # no wrap-around of uint8


def test_equal_pictures():
    clean, _ = noisy_pair(12, 20, 1)
    assert math.isinf(scoring.psnr(clean, clean))
    assert scoring.ssim(clean, clean) == pytest.approx(1)


@pytest.mark.parametrize('shape', [(10, 40, 3), (40, 10, 3)])
def test_no_ssim_below_its_window(shape):
    assert math.isnan(scoring.ssim(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)))
