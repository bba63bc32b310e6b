"""Noise levels and the noise itself."""
from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from basicsr_snn.errors import UserError
from basicsr_snn.images import noise
from basicsr_snn.images.noise import NoiseLevel, NoiseStream, add_gaussian_noise, add_training_noise


def test_test_noise_leaves_the_global_state_alone() -> None:
    np.random.seed(3)
    expected = np.random.normal(size=4)
    np.random.seed(3)
    add_gaussian_noise(np.zeros((4, 4, 3), np.float32), 25)
    np.testing.assert_array_equal(np.random.normal(size=4), expected)


@settings(max_examples=50, deadline=None)
@given(pieces=st.lists(st.integers(1, 7), min_size=1, max_size=6), width=st.integers(1, 5),
       channels=st.sampled_from([1, 3]), seed=st.integers(0, 2**32 - 1), sigma=st.sampled_from([0.0, 25.0, 50.0]))
def test_pieces_are_bit_for_bit_one_draw(pieces: list[int], width: int, channels: int, seed: int, sigma: float) -> None:
    height = sum(pieces)
    pixels = np.random.default_rng(0).random((height, width, channels), dtype=np.float32)
    protocol = pixels.copy()
    protocol += np.random.RandomState(seed).normal(0, sigma / 255, (height, width, channels))
    stream = NoiseStream(sigma, seed)
    found = [stream.add_to(rows) for rows in np.split(pixels, np.cumsum(pieces)[:-1])]
    np.testing.assert_array_equal(np.concatenate(found), protocol)


@pytest.mark.parametrize('drawn_at_once', [1, 15, 16, 50, 10**6])
def test_noise_of_a_large_picture_is_drawn_in_pieces(monkeypatch: pytest.MonkeyPatch, drawn_at_once: int) -> None:
    monkeypatch.setattr(noise, '_DRAWN_AT_ONCE', drawn_at_once)
    pixels = np.zeros((7, 5, 3), np.float32)
    expected = np.random.RandomState(4).normal(0, 15 / 255, (7, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(add_gaussian_noise(pixels, 15, 4), expected)


def test_noise_is_not_clipped() -> None:
    noisy = add_gaussian_noise(np.ones((32, 32, 3), np.float32), 50)
    assert noisy.max() > 1.3
    assert add_training_noise(torch.zeros(3, 32, 32), 50.0).min() < -0.3


@pytest.mark.parametrize(('options', 'message'), [
    ({}, 'no noise level given, exactly one is allowed'),
    ({'sigma': 25, 'sigma_range': [0, 55]}, '`sigma` and `sigma_range` together given'),
    ({'sigma': -1}, '-1 in `sigma` is no noise level: give a number from 0 to 255'),
    ({'sigma': 256}, '256 in `sigma`'),
    ({'sigma': True}, 'True in `sigma`'),
    ({'sigma': '1e1'}, "'1e1' in `sigma`"),
    ({'sigma': float('nan')}, 'nan in `sigma`'),
    ({'sigma': [25]}, '[25] in `sigma`'),
    ({'sigma_range': [55, 0]}, '`sigma_range: [55, 0]` is no range'),
    ({'sigma_range': [1, 2, 3]}, '`sigma_range: [1, 2, 3]` is no range'),
    ({'sigma_range': 25}, '`sigma_range: 25` is no list'),
    ({'sigma_list': []}, '`sigma_list: []` is no list'),
    ({'sigma_list': '15'}, '`sigma_list: 15` is no list'),
    ({'sigma_list': [15, 300]}, '300 in `sigma_list`'),
])
def test_noise_mistakes_are_named(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        NoiseLevel.from_options(options, 'BSD432')
    assert str(caught.value).startswith('BSD432: ')


@pytest.mark.parametrize(('options', 'fixed'), [
    ({'sigma': 25}, True), ({'sigma_range': [5, 5]}, True), ({'sigma_range': [0, 55]}, False),
    ({'sigma_list': [15, 25]}, False)])
def test_fixed_level(options: dict, fixed: bool) -> None:
    assert NoiseLevel.from_options(options).fixed is fixed
