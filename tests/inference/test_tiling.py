"""Tiles against the whole picture."""
from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import Restorer, as_restorer
from basicsr_snn.inference.tiling import tile_spans, tiled_forward

STRIDED_RADIUS = 8


class Strided(Restorer):
    """Half size by a strided convolution, a quarter by pixel_unshuffle, and back: outputs reach 7 pixels far."""

    in_ch = 3
    multiple_of = 4

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.inner = nn.Conv2d(16, 48, 3, padding=1)
        self.shapes: list[tuple[int, int]] = []
        self.batches: list[int] = []

    def forward(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[-2:]
        self.shapes.append((height, width))
        self.batches.append(len(picture))
        x = F.pad(picture, (0, -width % 4, 0, -height % 4), mode='replicate')
        x = self.inner(F.pixel_unshuffle(self.down(x), 2).tanh())
        return picture + F.pixel_shuffle(x, 4)[..., :height, :width]


class Told(Restorer):
    """Adds the noise level that it is told."""

    in_ch = 1
    takes_sigma = True

    def forward(self, picture: Tensor, sigma: Tensor | float | None = None) -> Tensor:
        return picture + torch.as_tensor(sigma, dtype=torch.float32).reshape(-1, 1, 1, 1)


@pytest.fixture(scope='module')
def strided() -> Strided:
    torch.manual_seed(0)
    return Strided()


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 60), width=st.integers(1, 60), tile=st.integers(1, 24), batch=st.integers(1, 5),
       count=st.integers(1, 2))
def test_tiles_give_the_answer_of_the_whole_picture(strided, height, width, tile, batch, count):
    picture = torch.rand(count, 3, height, width)
    with torch.no_grad():
        whole = strided(picture)
    strided.shapes.clear()
    tiled = tiled_forward(strided, picture, tile, STRIDED_RADIUS, batch)
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=0)
    assert len(set(strided.shapes)) <= 4


def test_too_small_an_overlap_shows():
    torch.manual_seed(0)
    net = Strided()
    picture = torch.rand(1, 3, 40, 40)
    assert (tiled_forward(net, picture, 8, 0) - net(picture)).abs().max() > 1e-3


def test_tiles_of_a_large_picture_have_one_shape_and_go_in_batches():
    net = Strided()
    tiled_forward(net, torch.rand(1, 3, 80, 80), tile=16, tile_pad=8, batch=3)
    assert set(net.shapes) == {(32, 32)}
    assert net.batches == [3, 1] * 4


def test_border_tiles_keep_their_size():
    net = Strided()
    tiled_forward(net, torch.rand(1, 3, 50, 100), tile=16, tile_pad=8)
    # 3 tiles of 12 cover the 34 rows within the overlaps, 6 tiles of 16 the 84 columns
    assert {height for height, _ in net.shapes} == {28, 30}
    assert {width for _, width in net.shapes} == {32}


@given(length=st.integers(1, 400), tile=st.integers(1, 60), pad=st.integers(0, 30), multiple=st.sampled_from([1, 2, 4]),
       compiles=st.booleans())
def test_tiles_cover_a_side_once_and_are_even(length, tile, pad, multiple, compiles):
    net = as_restorer(nn.Identity())
    net.multiple_of, net.compiles_sizes = multiple, compiles
    spans = tile_spans(net, length, tile, pad)
    assert [pixel for span in spans for pixel in range(span.keep_start, span.keep_stop)] == list(range(length))
    for span in spans:
        assert span.start % multiple == 0
        assert span.start == 0 or span.keep_start - span.start >= pad
        assert span.stop == length or span.stop - span.keep_stop >= pad
    lengths = [span.stop - span.start for span in spans]
    assert len(set(lengths[:-1])) <= 1
    longest = -(-tile // multiple) * multiple + 2 * -(-pad // multiple) * multiple + multiple - 1
    assert lengths[0] <= lengths[-1] <= min(lengths[0] + multiple - 1, longest)
    if compiles and len(spans) > 1:
        assert lengths[0] == longest - multiple + 1


def test_spiking_student_has_no_seam():
    torch.manual_seed(0)
    net = SpikerIR(channels=(4, 8), blocks=(1, 1), T=2).eval()
    picture = torch.rand(1, 3, 61, 75)
    with torch.no_grad():
        whole = net(picture)
    # a sum rounded otherwise may tip a single spike, hence not all pixels
    agreeing = ((tiled_forward(net, picture, 16, 16) - whole).abs() < 1e-5).float().mean()
    assert agreeing > 0.99


def test_each_picture_keeps_its_noise_level():
    picture = torch.zeros(2, 1, 30, 20)
    tiled = tiled_forward(Told(), picture, 8, 2, batch=3, sigma=torch.tensor([15.0, 50.0]))
    torch.testing.assert_close(tiled, torch.tensor([15.0, 50.0]).view(2, 1, 1, 1).expand_as(picture))


def test_one_noise_level_serves_all_tiles():
    torch.testing.assert_close(tiled_forward(Told(), torch.zeros(1, 1, 30, 20), 8, 2, batch=3, sigma=25.0),
                               torch.full((1, 1, 30, 20), 25.0))


def test_noise_level_is_not_told_to_a_blind_network():
    picture = torch.rand(1, 3, 20, 20)
    torch.testing.assert_close(tiled_forward(as_restorer(nn.Identity()), picture, 8, 2, sigma=25.0), picture)


def test_no_gradient_is_kept():
    assert not tiled_forward(as_restorer(nn.Conv2d(3, 3, 1)), torch.rand(1, 3, 20, 20), 8, 2).requires_grad


@pytest.mark.parametrize(('sizes', 'sentence'), [
    ({'tile': 0, 'tile_pad': 4}, 'tile: 0 was given'),
    ({'tile': -8, 'tile_pad': 4}, 'tile: -8 was given'),
    ({'tile': 8, 'tile_pad': -1}, 'tile_pad: -1 was given'),
    ({'tile': 8.5, 'tile_pad': 1}, 'tile: 8.5 was given'),
    ({'tile': 8, 'tile_pad': 1, 'batch': 0}, 'batch: 0 was given'),
])
def test_impossible_sizes_are_refused(sizes, sentence):
    with pytest.raises(UserError, match=sentence):
        tiled_forward(as_restorer(nn.Identity()), torch.rand(1, 3, 16, 16), **sizes)
