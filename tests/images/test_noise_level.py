"""The estimate of a noise level."""
from __future__ import annotations

import cv2
import numpy as np
import pytest

from basicsr_snn.images.noise_level import LARGEST_PART, estimate_noise_level


@pytest.mark.parametrize('sigma', [2, 15, 50])
@pytest.mark.parametrize('channels', [1, 3])
def test_noise_on_a_smooth_picture_is_found(sigma: float, channels: int) -> None:
    random = np.random.default_rng(0)
    smooth = cv2.resize(random.random((5, 6)), (300, 200))[:, :, None].repeat(channels, 2)
    noisy = (smooth + random.normal(0, sigma / 255, smooth.shape)).astype(np.float32)
    assert estimate_noise_level(noisy) == pytest.approx(sigma, rel=0.05)


def test_half_a_picture_of_texture_or_of_a_flat_border_changes_little() -> None:
    random = np.random.default_rng(0)
    noisy = random.normal(0.5, 20 / 255, (256, 256, 1)).astype(np.float32)
    noisy[:, :128] += random.random((256, 128, 1)).astype(np.float32)
    assert estimate_noise_level(noisy) == pytest.approx(20, rel=0.15)
    noisy[:, :128] = 0
    assert estimate_noise_level(noisy) == pytest.approx(20, rel=0.15)


@pytest.mark.parametrize('shape', [(1, 1, 3), (1, 40, 1), (17, 16, 3), (33, 5, 1)])
def test_any_size_has_a_level(shape: tuple[int, ...]) -> None:
    assert estimate_noise_level(np.zeros(shape, np.float32)) == 0
    assert np.isfinite(estimate_noise_level(np.random.default_rng(0).random(shape, dtype=np.float32)))


def test_of_a_large_picture_the_middle_is_looked_at() -> None:
    wide = np.zeros((8, 3 * LARGEST_PART, 1), np.float32)
    wide[:, LARGEST_PART:2 * LARGEST_PART] = np.random.default_rng(0).normal(0, 0.1, (8, LARGEST_PART, 1))
    assert estimate_noise_level(wide) == pytest.approx(25.5, rel=0.25)
