"""Motion blur: paths, what a point of light on them becomes, and pictures."""
from __future__ import annotations

import numpy as np
import pytest

from basicsr_snn.images.motion_blur import STEPS_OF_A_PIXEL, blurred, draw_path, kernel_of


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(('wander', 'jerks'), [(0, 0), (0.5, 0.1), (3, 1)])
@pytest.mark.parametrize('length', [0.3, 7, 30])
def test_a_path_has_its_length_and_no_point_is_far_from_its_mean(length, wander, jerks):
    for seed in range(10):
        path = draw_path(length, wander, jerks, rng(seed))
        steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
        np.testing.assert_allclose(steps, length / len(steps), rtol=1e-6)
        np.testing.assert_allclose(path.mean(0), 0, atol=1e-9)
        assert np.linalg.norm(path, axis=1).max() <= length / 2 + 1 / STEPS_OF_A_PIXEL


def test_a_path_without_disturbances_is_straight():
    path = draw_path(16, 0, 0, rng())
    assert np.linalg.norm(path[-1] - path[0]) == pytest.approx(16, rel=1e-6)
    ends = [draw_path(16, 0, 0, rng(seed))[-1] for seed in range(200)]
    np.testing.assert_allclose(np.mean(ends, 0), 0, atol=1.5)  # all directions alike


def test_wandering_and_jerks_keep_the_path_together():
    def reach(wander: float, jerks: float) -> float:
        paths = [draw_path(30, wander, jerks, rng(seed)) for seed in range(50)]
        return float(np.mean([np.linalg.norm(path[-1] - path[0]) for path in paths]))

    assert reach(0, 0) > 1.3 * reach(0.6, 0) > 1.3 * reach(2, 0)
    assert reach(0, 0) > 1.3 * reach(0, 0.2)


def test_the_same_wandering_at_any_length():
    """Disturbances are told for a pixel of the path: the first half of a long path is like a short one."""
    def turns(length: float, seed: int) -> float:
        steps = np.diff(draw_path(length, 0.5, 0, rng(seed)), axis=0)
        angles = np.unwrap(np.arctan2(*steps.T))
        return float(np.diff(angles[::STEPS_OF_A_PIXEL]).std())

    short, long = (np.mean([turns(length, seed) for seed in range(60)]) for length in (20, 40))
    assert short == pytest.approx(long, rel=0.2)


def test_the_kernel_has_the_light_of_the_point_and_its_centre():
    for seed in range(10):
        path = draw_path(20, 0.5, 0.05, rng(seed))
        kernel = kernel_of(path)
        side = len(kernel)
        assert kernel.shape == (side, side)
        assert side % 2 == 1
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
        assert kernel.min() >= 0
        places = np.arange(side) - side // 2
        assert (kernel.sum(1) * places).sum() == pytest.approx(0, abs=1e-4)
        assert (kernel.sum(0) * places).sum() == pytest.approx(0, abs=1e-4)


def test_a_point_of_light_becomes_its_path():
    path = draw_path(12, 0.4, 0.05, rng(3))
    kernel = kernel_of(path)
    point = np.zeros((41, 41, 3), np.float32)
    point[20, 20] = 1
    radius = len(kernel) // 2
    seen = blurred(point, kernel)[20 - radius:21 + radius, 20 - radius:21 + radius, 1]
    np.testing.assert_allclose(seen, kernel, atol=1e-6)


@pytest.mark.parametrize('shape', [(3, 4, 1), (1, 1, 3), (30, 20, 3)])
def test_even_light_stays_even(shape):
    flat = np.full(shape, 0.3, np.float32)
    np.testing.assert_allclose(blurred(flat, kernel_of(draw_path(9, 0.3, 0, rng()))), flat, atol=1e-6)


def test_no_motion_is_no_blur():
    picture = rng().random((8, 9, 3), np.float32)
    np.testing.assert_allclose(blurred(picture, kernel_of(draw_path(0, 0.5, 0.1, rng()))), picture, atol=1e-6)
