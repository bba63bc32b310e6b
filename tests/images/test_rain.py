"""Streaks of rain: how many, which way, how bright."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from basicsr_snn.images.rain import Shower, draw_streaks, with_streaks

SHOWER = Shower(angle=0, spread=0, length=20, width=2, softness=0, coverage=0.05, brightness=0.8)


def light(seed: int = 0, sides: tuple[int, int] = (300, 400), **changes: float) -> np.ndarray:
    return draw_streaks(*sides, replace(SHOWER, **changes), np.random.default_rng(seed))


@pytest.mark.parametrize('coverage', [0.0, 0.02, 0.08])
def test_streaks_cover_their_share(coverage):
    assert (light(coverage=coverage) > 0.2).mean() == pytest.approx(coverage, rel=0.25, abs=1e-9)


def test_as_much_rain_falls_at_the_borders_as_inside():
    rain = np.mean([light(seed, (40, 40), coverage=0.2, angle=30) > 0 for seed in range(300)], 0)
    assert rain[:4].mean() == pytest.approx(rain[18:22].mean(), rel=0.15)
    assert rain[:, -4:].mean() == pytest.approx(rain[:, 18:22].mean(), rel=0.15)


@pytest.mark.parametrize('angle', [-60, -20, 0, 45, 90])
def test_streaks_lie_along_their_angle(angle):
    down, right = np.gradient(light(angle=angle, width=3, length=40, softness=1.5))
    across = 0.5 * np.arctan2(2 * (down * right).mean(), (right**2 - down**2).mean())  # of the structure tensor
    turned = (np.degrees(across) - angle + 90) % 180 - 90
    assert turned == pytest.approx(0, abs=3)


def test_brightness_is_between_half_and_whole():
    rain = light(coverage=0.02, width=6, brightness=0.6)
    values = rain[rain > 0]
    assert values.max() <= 0.602
    assert np.median(values) == pytest.approx(0.45, abs=0.06)


def test_the_same_light_is_added_to_each_channel():
    picture = np.full((8, 9, 3), 0.25, np.float32)
    rainy = with_streaks(picture, np.full((8, 9), 0.5, np.float32))
    assert rainy.dtype == np.float32
    np.testing.assert_array_equal(rainy, 0.75)


@pytest.mark.parametrize('sides', [(1, 1), (1, 30), (64, 3)])
def test_any_size_of_picture(sides):
    assert light(sides=sides, coverage=2, length=200).shape == sides
