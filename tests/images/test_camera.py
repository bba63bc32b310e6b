"""The camera model: how noise depends on brightness, neighbours and colours, and the way to linear light and back."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from basicsr_snn.images.camera import (
    BLUE_GAIN,
    RED_GAIN,
    Sensor,
    demosaic,
    develop,
    draw_sensor,
    mosaic,
    photograph,
    scaled,
    shot_and_read_noise,
    smooth_noise,
    to_sensor,
)
from basicsr_snn.images.jpeg import stored_as_jpeg

SHOT = (0.0001, 0.012)


def sensor(seed: int = 0, **changes: object) -> Sensor:
    return replace(draw_sensor(np.random.default_rng(seed), SHOT), **changes)


def flat(brightness: float, side: int = 128) -> np.ndarray:
    return np.full((side, side, 3), brightness, np.float32)


def noise_of(picture: np.ndarray, camera: Sensor, seed: int = 0) -> np.ndarray:
    return photograph(picture, camera, np.random.default_rng(seed)) - picture


def correlation(noise: np.ndarray, axis: int) -> float:
    """Of each pixel with its neighbour, the mean over the channels."""
    first, second = np.delete(noise, -1, axis), np.delete(noise, 0, axis)
    return float(np.mean([np.corrcoef(first[..., c].ravel(), second[..., c].ravel())[0, 1] for c in range(3)]))


def test_variance_grows_with_light_along_the_line_of_shot_and_read_noise():
    camera = sensor(shot=0.01, read=0.0004)
    light = np.linspace(0, 1, 11, dtype=np.float32)[:, None].repeat(40_000, 1)
    variance = shot_and_read_noise(light, camera, np.random.default_rng(1)).var(1)
    np.testing.assert_allclose(variance, 0.01 * light[:, 0] + 0.0004, rtol=0.05)
    slope, offset = np.polyfit(light[:, 0], variance, 1)
    assert slope == pytest.approx(0.01, rel=0.03)
    assert offset == pytest.approx(0.0004, abs=0.0001)


@pytest.mark.parametrize('seed', range(4))
def test_a_photograph_of_a_grey_wall_has_the_noise_of_its_light(seed):
    """Green at the places where the sensor sees green, developed by hand."""
    camera = sensor(seed, shot=0.001, read=0.00001, matrix=np.eye(3, dtype=np.float32))
    picture = flat(0.5, 256)
    light = to_sensor(picture, camera)
    slope = (develop(light + 1e-3, camera) - develop(light - 1e-3, camera))[0, 0, 1] / 2e-3
    green = noise_of(picture, camera, seed)[::2, 1::2, 1]
    assert green.std() == pytest.approx(slope * np.sqrt(0.001 * light[0, 0, 1] + 0.00001), rel=0.03)
    assert abs(green.mean()) < 0.1 * green.std()


def test_white_balance_colours_and_tone_curve_there_and_back():
    rng = np.random.default_rng(0)
    for seed in range(20):
        camera = sensor(seed)
        muted = 0.5 + 0.1 * rng.standard_normal((32, 32, 3)).clip(-1, 1).astype(np.float32)
        light = to_sensor(muted, camera)
        assert light.dtype == np.float32
        assert light.min() > 0
        np.testing.assert_allclose(develop(light, camera), muted, atol=1e-4)
        np.testing.assert_allclose(develop(to_sensor(flat(1.0, 2), camera), camera), 1, atol=1e-3)
        np.testing.assert_allclose(develop(to_sensor(flat(0.0, 2), camera), camera), 0, atol=1e-3)
        grey = to_sensor(flat(0.4, 2), camera)[0, 0] * camera.gains
        np.testing.assert_allclose(grey, grey[1], rtol=1e-4)  # grey needs no matrix


def test_any_colour_can_be_photographed():
    corners = np.array([[[r, g, b] for b in (0, 1)] for r in (0, 1) for g in (0, 1)], np.float32)
    for seed in range(5):
        noisy = photograph(corners, sensor(seed), np.random.default_rng(0))
        assert np.isfinite(noisy).all()
        assert np.abs(noisy - corners).max() < 1
    for shape in ((1, 1, 3), (1, 7, 3), (2, 2, 3)):
        assert photograph(np.zeros(shape, np.float32), sensor(), np.random.default_rng(0)).shape == shape


def test_cameras_are_drawn_from_their_ranges():
    rng = np.random.default_rng(0)
    drawn = [draw_sensor(rng, SHOT) for _ in range(1000)]
    shot, read = np.array([[one.shot, one.read] for one in drawn]).T
    assert shot.min() >= SHOT[0]
    assert shot.max() <= SHOT[1]
    assert np.median(shot) == pytest.approx(np.sqrt(SHOT[0] * SHOT[1]), rel=0.3)
    assert np.std(np.log(read) - 2.18 * np.log(shot) - 1.2) == pytest.approx(0.26, abs=0.03)
    gains = np.array([one.gains for one in drawn])
    for channel, (lowest, highest) in ((0, RED_GAIN), (2, BLUE_GAIN)):
        assert lowest <= gains[:, channel].min() <= gains[:, channel].max() <= highest
    np.testing.assert_allclose([one.matrix.sum(1) for one in drawn], 1, atol=1e-6)


def test_demosaicking_keeps_flat_colours_and_what_the_sensor_saw():
    colours = np.random.default_rng(0).random((1, 1, 3), np.float32).repeat(9, 0).repeat(8, 1)
    np.testing.assert_allclose(demosaic(mosaic(colours)), colours, rtol=1e-6)
    seen = np.random.default_rng(1).random((6, 8), np.float32)
    np.testing.assert_allclose(mosaic(demosaic(seen)), seen, rtol=1e-6)


def test_neighbours_are_correlated_by_demosaicking_and_smoothing_and_not_before():
    camera, picture = sensor(shot=0.001, read=0.0001), flat(0.5)
    white = shot_and_read_noise(picture, camera, np.random.default_rng(0))
    noise = noise_of(picture, camera)
    smooth = smooth_noise(picture, picture + noise, 0.9, 3.0) - picture
    for axis in (0, 1):
        assert abs(correlation(white, axis)) < 0.03
        assert correlation(noise, axis) > 0.3
        assert correlation(smooth, axis) > correlation(noise, axis) + 0.2
    assert smooth.std() < noise.std()


def test_smoothing_by_nothing_changes_nothing_and_colours_are_smoothed_alone():
    picture, noise = flat(0.5), np.random.default_rng(0).normal(0, 0.05, (128, 128, 3)).astype(np.float32)
    np.testing.assert_allclose(smooth_noise(picture, picture + noise, 0, 0), picture + noise, atol=1e-6)
    grey = noise[..., :1].repeat(3, 2)
    np.testing.assert_allclose(smooth_noise(picture, picture + grey, 0, 5), picture + grey, atol=1e-6)


def test_jpeg_is_closer_at_higher_quality_and_keeps_the_order_of_colours():
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert np.abs(stored_as_jpeg(red, 95).astype(int) - red).max() < 6
    picture = np.random.default_rng(0).integers(0, 256, (33, 20, 3), np.uint8)
    errors = [np.abs(stored_as_jpeg(picture, quality).astype(int) - picture).mean() for quality in (20, 60, 95)]
    assert errors[0] > errors[1] > errors[2] > 0
    assert stored_as_jpeg(picture, 50).shape == picture.shape


def test_a_smaller_picture_is_the_mean_of_what_its_pixels_cover():
    picture = np.random.default_rng(0).random((6, 8, 3), np.float32)
    np.testing.assert_allclose(scaled(picture, 3, 4), picture.reshape(3, 2, 4, 2, 3).mean((1, 3)), rtol=1e-5)
    assert scaled(picture, 5, 1).shape == (5, 1, 3)
