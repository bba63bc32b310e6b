"""TIFF files of every layout: read exactly, or refused."""
from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from basicsr_snn.errors import UserError
from basicsr_snn.images.files import read_picture, write_picture
from basicsr_snn.images.reading import decode

ROWS, COLUMNS = 40, 48
KINDS = {
    'grey': ('minisblack', None, 1), 'grey, 0 is white': ('miniswhite', None, 1), 'RGB': ('rgb', None, 3),
    'RGB and alpha': ('rgb', 'unassalpha', 4), 'RGB and more': ('rgb', 'unspecified', 4),
    'RGB times alpha': ('rgb', 'assocalpha', 4), 'grey and alpha': ('minisblack', 'unassalpha', 2),
    'grey times alpha': ('minisblack', 'assocalpha', 2), 'white and alpha': ('miniswhite', 'unassalpha', 2),
}
"""Photometric interpretation, meaning of a further channel, channels."""

LAYOUTS: dict[str, dict] = {
    'strips': {'rowsperstrip': 7}, 'tiles': {'tile': (16, 32)}, 'planes': {'planarconfig': 'separate'},
    'packed planes in tiles': {'planarconfig': 'separate', 'tile': (16, 16), 'compression': 'zlib', 'predictor': True},
    'big-endian': {'byteorder': '>'}, 'big': {'bigtiff': True, 'byteorder': '>'},
    'packed': {'compression': 'zlib', 'predictor': True}, 'turned': {'extratags': [(274, 'H', 1, 6, True)]},
}


def random_values(*shape: int, bits: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**bits, shape).astype(np.uint8 if bits == 8 else np.uint16)


def tiff(values: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('kind', KINDS)
def test_every_layout_is_read_exactly(kind: str, layout: str, bits: int) -> None:
    photometric, extra, channels = KINDS[kind]
    values, peak = random_values(ROWS, COLUMNS, channels, bits=bits), 2**bits - 1
    colours, alpha = (values, None) if extra is None else (values[..., :-1], values[..., -1])
    if extra == 'assocalpha':
        values[..., :-1] = np.rint(colours * (alpha[..., None] / peak))
    stored = values.transpose(2, 0, 1) if 'planes' in layout and channels > 1 else values.squeeze()
    options = {key: value for key, value in LAYOUTS[layout].items() if channels > 1 or key != 'planarconfig'}
    found, found_alpha = decode(tiff(np.ascontiguousarray(stored), photometric=photometric,
                                     extrasamples=[extra] if extra else None, **options), 'x.tif')
    if extra == 'assocalpha':
        colours = np.rint(colours / np.maximum(alpha[..., None], 1) * peak).clip(0, peak)
    expected = peak - colours if photometric == 'miniswhite' else colours
    upright = (lambda picture: np.rot90(picture, -1)) if layout == 'turned' else (lambda picture: picture)
    assert found.dtype == values.dtype
    np.testing.assert_allclose(found.astype(int), upright(expected), atol=int(extra == 'assocalpha'))
    assert (found_alpha is None) == (alpha is None)
    if alpha is not None:
        np.testing.assert_array_equal(found_alpha, upright(alpha))


@pytest.mark.parametrize('compression', [None, 'tiff_lzw', 'packbits', 'tiff_adobe_deflate'])
@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'RGB', 'RGBA'])
def test_what_pillow_writes_is_read_as_the_png_of_it(tmp_path: Path, mode: str, compression: str | None) -> None:
    picture = Image.fromarray(random_values(ROWS, COLUMNS, 3 if mode == 'P' else 4)).convert(mode)
    picture.save(tmp_path / 'a.tif', compression=compression)
    picture.save(tmp_path / 'a.png')
    as_tiff, as_png = (read_picture(tmp_path / f'a.{extension}') for extension in ('tif', 'png'))
    np.testing.assert_array_equal(as_tiff.stored, as_png.stored)
    np.testing.assert_array_equal(as_tiff.alpha, as_png.alpha)


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('channels', [1, 3])
def test_written_alpha_is_called_straight(tmp_path: Path, channels: int, bits: int) -> None:
    colours, alpha = random_values(9, 7, channels, bits=bits), random_values(9, 7, bits=bits, seed=1)
    write_picture(tmp_path / 'a.tif', colours, alpha=alpha)
    with tifffile.TiffFile(tmp_path / 'a.tif') as file:
        assert [kind.name for kind in file.pages.first.extrasamples] == ['UNASSALPHA']
        np.testing.assert_array_equal(file.asarray(), np.dstack([colours, alpha]))


@pytest.mark.parametrize(('values', 'options', 'part'), [
    (np.full((4, 4), np.nan, np.float32), {}, '1 channels of float32'),
    (np.zeros((4, 4), np.int32), {}, '1 channels of int32'),
    (np.zeros((4, 4), np.int8), {}, '1 channels of int8'),
    (np.zeros((4, 4, 4), np.uint16), {'photometric': 'separated'}, '4 channels of uint16'),
    (np.zeros((8, 9, 5), np.uint8), {'photometric': 'rgb', 'extrasamples': ['unassalpha', 'unspecified']},
     '5 channels'),
    (np.zeros((4, 4, 3), np.uint8), {'photometric': 'cielab'}, 'colours of the kind CIELAB'),
    (np.zeros((3, 4, 16), np.uint8), {'photometric': 'minisblack', 'volumetric': True}, '3 layers'),
])
def test_other_values_are_refused_by_name(values: np.ndarray, options: dict, part: str) -> None:
    with pytest.raises(UserError, match=f'x.tif has {part}: grey or RGB of 8 or 16 bits a channel'):
        decode(tiff(values, **options), 'x.tif')


def test_a_smaller_copy_is_no_further_page() -> None:
    values, file = random_values(ROWS, COLUMNS), io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(values)
        writer.write(values[::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(decode(file.getvalue(), 'x.tif')[0][..., 0], values)
