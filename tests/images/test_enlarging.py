"""Bicubic interpolation to larger and smaller pictures, against BasicSR's own, which is MATLAB's."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from basicsr.utils.matlab_functions import imresize

from basicsr_snn.images.enlarging import BicubicEnlargement, enlarged
from basicsr_snn.images.exif import read_directories, with_size
from basicsr_snn.images.shrinking import reach_of, shrunk


def photograph(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, channels), dtype=np.float32)


@pytest.mark.parametrize('scale', [2, 3, 4, 5])
def test_a_larger_picture_is_that_of_basicsr_but_at_its_border(scale):
    given = photograph(13, 18)
    ours, theirs = enlarged(given, scale), imresize(given, scale)
    assert ours.shape == (13 * scale, 18 * scale, 3)
    inner = slice(2 * scale, -2 * scale)  # where the border is repeated and not mirrored
    np.testing.assert_allclose(ours[inner, inner], theirs[inner, inner], atol=1e-5)
    assert np.abs(ours - theirs).max() < 0.2


@pytest.mark.parametrize('scale', [2, 3, 4, 8])
def test_a_smaller_picture_is_that_of_basicsr(scale):
    given = photograph(12 * scale, 15 * scale)
    np.testing.assert_allclose(shrunk(given, scale), imresize(given, 1 / scale), atol=1e-5)


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_a_smaller_pixel_depends_on_nothing_beyond_its_reach(scale):
    given = photograph(20 * scale, 8 * scale)
    changed = given.copy()
    row = 10 * scale
    changed[row:] = 0
    before, after = shrunk(given, scale), shrunk(changed, scale)
    untouched = (row - reach_of(scale)) // scale
    assert np.array_equal(before[:untouched], after[:untouched])


def test_tiny_pictures_become_smaller_too():
    assert shrunk(photograph(2, 4), 2).shape == (1, 2, 3)
    assert enlarged(photograph(1, 1), 4).shape == (4, 4, 3)
    assert np.allclose(enlarged(np.full((1, 2, 1), 0.3, np.float32), 3), 0.3)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_integers_stay_integers(dtype):
    given = np.full((3, 4, 1), np.iinfo(dtype).max, dtype)
    assert np.array_equal(enlarged(given, 2), np.full((6, 8, 1), np.iinfo(dtype).max, dtype))
    assert enlarged(given, 1) is given


def test_turned_pictures_are_enlarged_alike():
    given, net = torch.rand(2, 3, 7, 9), BicubicEnlargement(3)
    assert torch.allclose(net(given.rot90(1, (2, 3))), net(given).rot90(1, (2, 3)), atol=1e-6)
    assert torch.allclose(net(given.double()).float(), net(given), atol=1e-5)


@pytest.mark.parametrize('order', ['<', '>'])
def test_exif_tells_the_new_size_where_it_told_the_old(order):
    import struct

    head = (b'II*\0' if order == '<' else b'MM\0*') + struct.pack(order + 'I', 8)
    below = 8 + 2 + 3 * 12 + 4
    main = struct.pack(order + 'H', 3) + b''.join(
        struct.pack(order + 'HHI', *tag) + value for tag, value in (
            ((256, 3, 1), struct.pack(order + 'HH', 12, 0)), ((257, 4, 1), struct.pack(order + 'I', 9)),
            ((0x8769, 4, 1), struct.pack(order + 'I', below)))) + bytes(4)
    fields = struct.pack(order + 'H', 2) + b''.join(
        struct.pack(order + 'HHI', tag, 4, 1) + struct.pack(order + 'I', side)
        for tag, side in ((0xa002, 12), (0xa003, 9))) + bytes(4)
    changed = read_directories(with_size(head + main + fields, 24, 18))
    assert changed.entries[256].value == struct.pack(order + 'H', 24)
    assert changed.entries[257].value == struct.pack(order + 'I', 18)
    inner = changed.below[0x8769].entries
    assert [inner[tag].value for tag in (0xa002, 0xa003)] == [struct.pack(order + 'I', side) for side in (24, 18)]
    damaged = head + main  # the directory below is cut off
    assert len(with_size(damaged, 24, 18)) == len(damaged)
