"""Pictures through a network band by band, against the whole picture at once."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from basicsr_snn import load
from basicsr_snn.archs.dncnn_arch import DnCNN
from basicsr_snn.errors import NotFiniteError
from basicsr_snn.images.files import Picture
from basicsr_snn.images.noise import NoiseStream
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.inference.denoising import Denoiser, RowReader, restore_picture
from basicsr_snn.inference.tiling import AUTO_TILE, AUTO_TILE_ABOVE, TILE_PAD


class Mean(Restorer):
    """Of unknown receptive field."""

    in_ch = 3

    def forward(self, picture: Tensor) -> Tensor:
        return picture - picture.mean()


class Recording(Restorer):
    """Answers its input; remembers the mode that it ran in."""

    in_ch = 3
    receptive_field = 0
    modes: list[bool]

    def forward(self, picture: Tensor) -> Tensor:
        self.modes.append(torch.is_inference_mode_enabled())
        return picture


def random_picture(*shape: int, bits: int = 8) -> Picture:
    dtype = np.uint8 if bits == 8 else np.uint16
    stored = np.random.default_rng(0).integers(0, 2**bits, shape, dtype=dtype)
    return Picture(stored, None, Path('a.png'))


def small_net(channels: int = 3) -> DnCNN:
    torch.manual_seed(0)
    return DnCNN(channels, channels, nc=4, nb=3).eval()


def protocol_noise(shape: tuple[int, ...], sigma: float, seed: int) -> np.ndarray:
    return np.random.RandomState(seed).normal(0, sigma / 255, shape)


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize(('channels', 'reads'), [(3, 3), (1, 3), (3, 1), (1, 1)])
@torch.no_grad()
def test_tiled_result_is_that_of_the_whole_picture(bits, channels, reads):
    picture, net = random_picture(29, 43, channels, bits=bits), small_net(reads)
    given = picture.pixels.astype(np.float64) + protocol_noise(picture.stored.shape, 25, 3)
    batch = torch.from_numpy(given.astype(np.float32).transpose(2, 0, 1))[None]
    if channels < reads:
        expected = net(batch.repeat(1, 3, 1, 1)).mean(1, keepdim=True)
    else:
        expected = torch.cat([net(part) for part in batch.split(reads, dim=1)], dim=1)
    restored, compared, _ = restore_picture(Denoiser(net, reads, tile=8), picture, NoiseStream(25, 3))
    assert compared is None
    assert restored.dtype == picture.stored.dtype
    whole = expected[0].permute(1, 2, 0).double().clamp(0, 1).mul(2**bits - 1).round().numpy()
    np.testing.assert_allclose(restored.astype(int), whole, atol=1)
    assert (restored == whole).mean() > 0.99  # a half may tip


@pytest.mark.parametrize('bits', [8, 16])
def test_compared_pictures_have_eight_bits(bits):
    picture, net = random_picture(20, 31, 3, bits=bits), small_net()
    restored, compared, _ = restore_picture(Denoiser(net, 3, tile=8), picture, NoiseStream(50, 1), compare=True)

    def eight(pixels: np.ndarray) -> np.ndarray:
        return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)

    given = (picture.pixels + protocol_noise(picture.stored.shape, 50, 1)).astype(np.float32)
    np.testing.assert_array_equal(compared.clean, eight(picture.pixels))
    np.testing.assert_array_equal(compared.noisy, eight(given))
    np.testing.assert_allclose(compared.restored.astype(int), eight(restored / (2**bits - 1)), atol=1)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 40), steps=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=6),
       noisy=st.booleans())
def test_overlapping_rows_are_those_of_the_picture(height, steps, noisy):
    picture = random_picture(height, 5, 3)
    whole = picture.pixels
    if noisy:
        whole = (whole + protocol_noise(whole.shape, 25, 0)).astype(np.float32)
    reader = RowReader(picture.stored, NoiseStream(25) if noisy else None)
    start = stop = 0
    for down, further in steps:
        start, stop = min(start + down, stop), min(stop + further, height)
        np.testing.assert_array_equal(reader.read(slice(start, stop)), whole[start:stop])


def restored_floats(net: nn.Module, picture: Picture, tile: int, tile_pad: int | None = None) -> np.ndarray:
    denoiser = Denoiser(net, 3, tile, tile_pad)
    return np.concatenate([band.restored for band in denoiser.bands(picture, NoiseStream(25))])


@pytest.mark.parametrize('name', ['spikerir_small_color25', 'ffdnet_color'])
def test_shipped_networks_have_no_seam(name):
    net, picture = load(name), random_picture(69, 90, 3)
    whole = restored_floats(net, picture, tile=0)

    def agreeing(tile_pad: int | None) -> float:
        return (np.abs(restored_floats(net, picture, 24, tile_pad) - whole) < 1e-4).mean()

    assert agreeing(None) > 0.999  # a sum rounded otherwise may tip a single spike, hence not all pixels
    assert agreeing(2) < 0.99


def test_runs_in_inference_mode():
    net = Recording()
    net.modes = []
    picture = random_picture(20, 20, 3)
    restored, _, _ = restore_picture(Denoiser(net, 3, tile=16), picture)
    np.testing.assert_array_equal(restored, picture.stored)
    assert net.modes == [True] * 4


@pytest.mark.parametrize('broken', [float('nan'), float('inf'), -float('inf')])
def test_one_broken_value_is_refused(broken):
    class Broken(Restorer):
        in_ch = 3
        receptive_field = 0

        def forward(self, picture: Tensor) -> Tensor:
            answer = picture.clone()
            answer[..., -1, -1] = broken
            return answer

    with pytest.raises(NotFiniteError, match='answers a picture with NaN or infinity, so that nothing is written'):
        restore_picture(Denoiser(Broken(), 3), random_picture(5, 4, 3))


def test_large_pictures_are_tiled_unless_told_otherwise():
    net, width = Mean(), AUTO_TILE_ABOVE // 1000
    assert Denoiser(net, 3).tile_for(1000, width) == 0
    assert Denoiser(net, 3).tile_for(1001, width) == AUTO_TILE
    assert Denoiser(net, 3, tile=0).tile_for(1001, width) == 0
    assert Denoiser(net, 3, tile=64).tile_for(60, 64) == 0
    assert Denoiser(net, 3, tile=64).tile_for(60, 65) == 64


def test_overlap_is_the_reach_where_that_is_known():
    assert Denoiser(small_net(), 3).tile_pad == 3
    assert Denoiser(Mean(), 3).tile_pad == TILE_PAD
    assert Denoiser(small_net(), 3, tile_pad=0).tile_pad == 0
