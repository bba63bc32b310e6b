"""How much of its change a photograph gets."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import basicsr_snn
from basicsr_snn.cli.main import main
from basicsr_snn.images.files import Picture, read_picture, write_picture
from basicsr_snn.images.noise import NoiseStream
from basicsr_snn.inference.denoising import Denoiser, restore_picture
from basicsr_snn.inference.found_noise import ENOUGH, LEAST, LITTLE, found_strength
from basicsr_snn.restoring.choice import usual_strength

CLEAN = Path(__file__).parents[2] / 'datasets/demo/val/pagoda.png'


def change(level: float, shape: tuple[int, int, int] = (96, 128, 3)) -> np.ndarray:
    """Noise of a level on the 0..255 scale."""
    return np.random.default_rng(0).normal(0, level / 255, shape).astype(np.float32)


@pytest.fixture(scope='module')
def clean() -> np.ndarray:
    return read_picture(CLEAN).stored


@pytest.fixture(scope='module')
def noisy(clean: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(clean + 255 * change(6, clean.shape), 0, 255)).astype(np.uint8)


@pytest.mark.parametrize(('level', 'strength'), [(0, LEAST), (0.3, LEAST), (4, 1)])
def test_noise_everywhere_is_taken_out_and_next_to_none_is_left(level, strength):
    assert found_strength(change(level)) == strength


def test_between_the_strength_grows_with_the_noise():
    halfway = found_strength(change((LITTLE + ENOUGH) / 2 * 1.04))  # a fifth of the blocks have less than the average
    assert LEAST < halfway < 1
    assert halfway == pytest.approx(0.5, abs=0.1)


def test_texture_in_a_part_of_a_picture_is_no_noise():
    in_a_part = change(8)
    in_a_part[:, :64] = 0
    assert found_strength(in_a_part) == LEAST


@pytest.mark.parametrize('shape', [(1, 1, 3), (5, 40, 1), (17, 33, 3)])
def test_pictures_of_any_size_have_one(shape):
    assert LEAST <= found_strength(change(2, shape)) <= 1


def test_only_networks_for_the_noise_of_cameras_look_for_it():
    assert usual_strength('camera') is None
    assert [usual_strength(noise) for noise in (25, [5, 55], None)] == [1, 1, 1]


def test_denoise_spares_a_clean_photograph_and_restores_a_noisy_one(clean, noisy):
    def changed(picture: np.ndarray, **told: float) -> float:
        return np.abs(basicsr_snn.denoise(picture, **told).astype(int) - picture).mean()

    assert changed(clean) < 0.4 * changed(clean, strength=1)
    assert changed(noisy) == changed(noisy, strength=1) == changed(noisy, strength='auto')


def test_a_large_picture_is_judged_by_one_tile_of_it(monkeypatch, clean):
    monkeypatch.setattr('basicsr_snn.inference.denoising.AUTO_TILE', 128)
    net = basicsr_snn.load('spikerir_small_colorreal')
    picture = Picture(clean, None, CLEAN)
    tiled, _, strength = restore_picture(Denoiser(net, 3, tile=128, strength=None), picture)
    assert LEAST <= strength < 1
    monkeypatch.setattr(torch.Tensor, 'new_empty', lambda like, *size, **told: like.new_full(size, torch.nan, **told))
    again = restore_picture(Denoiser(net, 3, tile=128, strength=None), picture)
    assert again.strength == strength  # and not from room that no tile filled
    whole = restore_picture(Denoiser(net, 3, tile=0, strength=strength), picture).pixels
    assert (np.abs(tiled.astype(int) - whole) <= 1).mean() > 0.999  # a sum rounded otherwise may tip a single spike


def test_the_command_says_why_little_is_changed(inside, capsys, clean, noisy):
    for name, pixels in (('clean', clean), ('noisy', noisy)):
        write_picture(inside / 'in' / f'{name}.png', pixels)
    assert main(['denoise', '-i', 'in', '-o', 'out', '--engine', 'torch', '--json']) == 0
    caught = capsys.readouterr()
    assert f'clean.png: little noise, so that {LEAST} of the change was made (--strength 1: all).' in caught.err
    assert 'noisy.png: little' not in caught.err
    assert f'"strength": {LEAST}' in caught.out
    assert '"strength": 1.0' in caught.out
    for name in ('clean', 'clean_2'):
        write_picture(inside / 'two' / f'{name}.png', clean)
    assert main(['denoise', '-i', 'two', '-o', 'out', '--engine', 'torch', '--overwrite']) == 0
    assert '2 pictures have little noise, so that less of the change was made' in capsys.readouterr().err


def test_the_look_at_the_middle_draws_no_noise_of_the_picture(noisy, monkeypatch):
    """The strength of a large picture is that of its middle, whose noise is not that of the whole picture's begin."""
    monkeypatch.setattr('basicsr_snn.inference.denoising.AUTO_TILE', 24)
    net = basicsr_snn.load('spikerir_tiny_color25')
    picture = Picture(noisy[:96, :96], None, CLEAN)
    given = [np.concatenate([band.given for band in Denoiser(net, 3, 24, 8, strength=strength).bands(
        picture, NoiseStream(25, 0))]) for strength in (None, 1.0)]
    np.testing.assert_array_equal(*given)
