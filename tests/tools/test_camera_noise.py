"""The comparison of our noise with that of real photographs."""
from __future__ import annotations

from pathlib import Path

import camera_noise
import numpy as np
import pytest
from PIL import Image


def white(sigma: float, shape: tuple[int, ...] = (200, 200, 3)) -> np.ndarray:
    return np.random.default_rng(0).normal(0, sigma / 255, shape).astype(np.float32)


def test_measures_of_noise_whose_measures_are_known():
    everywhere = np.ones((200, 200), bool)
    found = camera_noise.measure(white(15), everywhere)
    assert found['level'] == pytest.approx(15, rel=0.02)
    assert [found[key] for key in ('neighbours, light', 'neighbours, colour', 'red and green')] == pytest.approx(
        [0, 0, 0], abs=0.03)
    grey = white(15)[..., :1].repeat(3, 2)
    paired = (grey[:, 1:] + grey[:, :-1]) / 2  # beside each other 1/2 in common, below each other nothing
    found = camera_noise.measure(paired + white(1)[:, 1:] / 100, everywhere[:, 1:])
    assert found['neighbours, light'] == pytest.approx(0.25, abs=0.03)
    assert found['red and green'] == pytest.approx(1, abs=0.01)
    assert found['colour to light'] < 0.01


def test_level_by_brightness_sees_where_noise_is():
    clean = np.linspace(0, 0.999, 200, dtype=np.float32)[None, :, None].repeat(200, 0).repeat(3, 2)
    levels = camera_noise.level_by_brightness(clean, white(20) * clean, np.ones((200, 200), bool))
    middles = (np.arange(camera_noise.BINS) + 0.5) / camera_noise.BINS
    expected = 20 * middles * np.linalg.norm(camera_noise.GREY_WEIGHTS)
    np.testing.assert_allclose(levels, expected, atol=0.4)
    few = camera_noise.level_by_brightness(clean[:2], white(20)[:2], np.ones((2, 200), bool))
    assert np.isnan(few).all()


def test_smooth_parts_leave_out_what_varies():
    picture = np.full((40, 41, 3), 0.5, np.float32)
    picture[:, :16] += white(100, (40, 16, 3))
    where = camera_noise.smooth_parts(picture)
    assert where.shape == (40, 41)
    assert not where[:, :16].any()
    assert where[:, 16:40].all()


def test_command_prints_a_table_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, marks in (('real', ('_mean', '_real')), ('clean', ('',))):
        (tmp_path / folder).mkdir()
        for index in range(4):
            for place, mark in enumerate(marks):
                wall = np.full((64, 72, 3), 128) + 255 * place * white(8, (64, 72, 3))
                Image.fromarray(wall.round().astype(np.uint8)).save(tmp_path / folder / f'{index}{mark}.png')
    plot = tmp_path / 'plots/noise.png'
    arguments = ['--real', str(tmp_path / 'real'), '--clean', str(tmp_path / 'clean'), '--plot', str(plot)]
    assert camera_noise.main([*arguments, '--pairs', '4', '--pictures', '4']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '| | real | CameraNoiseDataset | white noise, sigma 15 |'
    assert float(lines[2].split('|')[2].split()[0]) == pytest.approx(8, abs=0.2)
    with Image.open(plot) as drawn:
        assert drawn.width > 800
