"""Reading, writing and listing of picture files."""
from __future__ import annotations

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from basicsr.utils import tensor2img
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from basicsr_snn.errors import UserError
from basicsr_snn.images import files
from basicsr_snn.images.files import picture_size, read_picture, to_channels, to_integers, write_picture
from basicsr_snn.images.listing import list_pictures

LOSSLESS_8 = ['.png', '.tif', '.tiff', '.webp', '.bmp']
EXIF_ORIENTATION, QUARTER_TURN = 0x0112, 6


def random_pixels(*shape: int, bits: int = 8, seed: int = 0) -> np.ndarray:
    dtype = np.uint8 if bits == 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 2**bits, shape, dtype=dtype)


def save_with_pillow(path: Path, pixels: np.ndarray, **options: object) -> None:
    Image.fromarray(pixels).save(path, **options)


def test_read_gives_rgb_of_an_8_bit_file(tmp_path: Path) -> None:
    stored = random_pixels(5, 7, 3)
    save_with_pillow(tmp_path / 'a.png', stored)
    picture = read_picture(tmp_path / 'a.png')
    np.testing.assert_array_equal(picture.pixels, stored.astype(np.float32) / 255)
    assert (picture.pixels.dtype, picture.bits, picture.alpha, picture.path) == (
        np.float32, 8, None, tmp_path / 'a.png')


def test_grey_8_bit_file_is_exact(tmp_path: Path) -> None:
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    save_with_pillow(tmp_path / 'grey.png', stored)
    picture = read_picture(tmp_path / 'grey.png')
    assert picture.pixels.shape == (16, 16, 1)
    np.testing.assert_array_equal(to_channels(picture.pixels, 1)[:, :, 0], stored.astype(np.float32) / 255)


def test_16_bit_grey_keeps_its_precision(tmp_path: Path) -> None:
    stored = random_pixels(6, 4, bits=16)
    save_with_pillow(tmp_path / 'a.png', stored)
    picture = read_picture(tmp_path / 'a.png')
    assert picture.bits == 16
    np.testing.assert_array_equal(picture.pixels[:, :, 0], stored.astype(np.float32) / 65535)


def test_alpha_is_kept_apart(tmp_path: Path) -> None:
    stored = random_pixels(6, 4, 4)
    save_with_pillow(tmp_path / 'a.png', stored)
    picture = read_picture(tmp_path / 'a.png')
    np.testing.assert_array_equal(picture.alpha, stored[:, :, 3])
    np.testing.assert_array_equal(picture.pixels, stored[:, :, :3].astype(np.float32) / 255)


def test_non_ascii_names(tmp_path: Path) -> None:
    path = tmp_path / 'Ordner_ü' / '写真 é.png'
    write_picture(path, random_pixels(3, 3, 3) / 255)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), random_pixels(3, 3, 3))
    assert read_picture(path).pixels.shape == (3, 3, 3)


def test_jpeg_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:, :16] = 255  # white left half: on top after a quarter turn to the right
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = QUARTER_TURN
    save_with_pillow(tmp_path / 'phone.jpg', upright, exif=exif)
    turned = read_picture(tmp_path / 'phone.jpg').pixels
    assert turned.shape == (32, 16, 3)
    assert turned[:12].mean() > 0.9 > 0.1 > turned[20:].mean()


@pytest.mark.parametrize('extension', LOSSLESS_8)
@pytest.mark.parametrize('channels', [1, 3])
def test_write_then_read_is_exact(tmp_path: Path, extension: str, channels: int) -> None:
    pixels = (random_pixels(9, 5, channels) / 255).astype(np.float32)
    write_picture(tmp_path / f'a{extension}', pixels)
    back = read_picture(tmp_path / f'a{extension}')
    np.testing.assert_array_equal(to_channels(back.pixels, channels), pixels)
    assert back.bits == 8


@pytest.mark.parametrize('extension', ['.png', '.tif'])
@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('with_alpha', [False, True])
def test_16_bits_and_alpha_survive(tmp_path: Path, extension: str, channels: int, with_alpha: bool) -> None:
    stored = random_pixels(9, 5, channels, bits=16)
    alpha = random_pixels(9, 5, bits=16, seed=1) if with_alpha else None
    write_picture(tmp_path / f'a{extension}', (stored / 65535).astype(np.float32), bits=16, alpha=alpha)
    back = read_picture(tmp_path / f'a{extension}')
    assert back.bits == 16
    np.testing.assert_array_equal(np.rint(to_channels(back.pixels, channels) * 65535.0), stored)
    np.testing.assert_array_equal(back.alpha, alpha)


def test_alpha_follows_the_bits(tmp_path: Path) -> None:
    alpha = np.array([[0, 1, 255]], np.uint8)
    write_picture(tmp_path / 'a.png', np.zeros((1, 3, 3), np.float32), bits=16, alpha=alpha)
    np.testing.assert_array_equal(read_picture(tmp_path / 'a.png').alpha, [[0, 257, 65535]])


def test_write_clips_and_rounds_to_the_nearest(tmp_path: Path) -> None:
    pixels = np.array([[[-3.0], [0.49 / 255], [0.51 / 255], [7.0]]], np.float32)
    write_picture(tmp_path / 'a.png', pixels)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'a.png')), [[0, 0, 1, 255]])


def test_eight_bits_are_rounded_as_basicsr_does() -> None:
    pixels = np.random.default_rng(0).normal(0.5, 0.5, (64, 64, 3)).astype(np.float32)
    pixels[0, :51, 0] = (2 * np.arange(51) + 0.5) / 255  # halves, as near as float32 comes
    by_basicsr = tensor2img(torch.from_numpy(pixels.transpose(2, 0, 1)), rgb2bgr=False)
    np.testing.assert_array_equal(to_integers(pixels), by_basicsr)


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('channels', [1, 3])
def test_integers_are_written_as_they_are(tmp_path: Path, bits: int, channels: int) -> None:
    stored, alpha = random_pixels(9, 5, channels, bits=bits), random_pixels(9, 5, bits=bits, seed=1)
    write_picture(tmp_path / 'a.png', stored, alpha=alpha)
    back = read_picture(tmp_path / 'a.png')
    np.testing.assert_array_equal(to_channels(back.stored, channels), stored)
    np.testing.assert_array_equal(back.alpha, alpha)
    assert back.bits == bits


def test_jpeg_is_close(tmp_path: Path) -> None:
    smooth = np.linspace(0, 1, 64, dtype=np.float32)[None, :, None].repeat(48, 0).repeat(3, 2)
    write_picture(tmp_path / 'a.jpg', smooth)
    assert np.abs(read_picture(tmp_path / 'a.jpg').pixels - smooth).max() < 3 / 255


@pytest.mark.parametrize(('name', 'bits', 'alpha', 'part'), [
    ('a.jpg', 16, False, '16 bits'),
    ('a.jpg', 8, True, 'alpha'),
    ('a.bmp', 16, True, '16 bits a channel and an alpha channel'),
    ('a.webp', 16, False, '16 bits'),
    ('a.gif', 8, False, "'.gif'"),
    ('a.png', 12, False, '12 bits'),
])
def test_what_a_format_cannot_hold_is_refused(tmp_path: Path, name: str, bits: int, alpha: bool, part: str) -> None:
    with pytest.raises(UserError, match=part) as caught:
        write_picture(tmp_path / name, np.zeros((2, 2, 3)), bits, np.zeros((2, 2), np.uint8) if alpha else None)
    assert name in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'a.png'
    path.write_bytes(b'old')

    def refuse(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(files.os, 'replace', refuse)
    with pytest.raises(UserError, match=r'a\.png cannot be written \(No space left'):
        write_picture(path, np.zeros((2, 2, 3)))
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['a.png']


def test_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=r'a\.png cannot be written'):
        write_picture(tmp_path / 'file' / 'a.png', np.zeros((2, 2, 3)))


def test_too_wide_for_webp_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'a\.webp cannot be written'):
        write_picture(tmp_path / 'a.webp', np.zeros((1, 16400, 3), np.float32))


@pytest.mark.parametrize('content', [b'', b'not a picture', b'\xff\xd8\xff\xe0cut'])
def test_unreadable_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'broken.png'
    path.write_bytes(content)
    with pytest.raises(UserError, match=r'broken\.png is no readable picture'):
        read_picture(path)
    with pytest.raises(UserError, match=r'broken\.png is no readable picture'):
        picture_size(path)


def test_truncated_png_is_named(tmp_path: Path) -> None:
    path = tmp_path / 'cut.png'
    save_with_pillow(path, random_pixels(64, 64, 3))
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(UserError, match=r'cut\.png is no readable picture'):
        read_picture(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'gone\.png cannot be read \(No such file'):
        read_picture(tmp_path / 'gone.png')


def test_float_tiff_is_refused(tmp_path: Path) -> None:
    content = cv2.imencode('.tif', np.zeros((4, 4, 3), np.float32))[1]
    (tmp_path / 'hdr.tif').write_bytes(content.tobytes())
    with pytest.raises(UserError, match=r'hdr\.tif has 3 channels of float32'):
        read_picture(tmp_path / 'hdr.tif')


@given(height=st.integers(1, 40), width=st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_size_from_the_header(tmp_path_factory: pytest.TempPathFactory, height: int, width: int) -> None:
    path = tmp_path_factory.mktemp('size') / 'a.png'
    save_with_pillow(path, random_pixels(height, width, 3))
    assert picture_size(path) == (height, width)


def test_luminance_is_bt601(tmp_path: Path) -> None:
    pixels = random_pixels(20, 20, 3)
    by_pillow = np.asarray(Image.fromarray(pixels).convert('L'))  # ITU-R 601-2 luma, an independent implementation
    ours = to_channels(pixels, 1)
    assert (ours.shape, ours.dtype) == ((20, 20, 1), np.uint8)
    assert np.abs(ours[:, :, 0].astype(int) - by_pillow).max() <= 1
    exact = pixels @ np.array([0.299, 0.587, 0.114])
    assert np.abs(ours[:, :, 0] - exact).max() <= 0.51
    np.testing.assert_allclose(to_channels((pixels / 255).astype(np.float32), 1)[:, :, 0] * 255, exact, atol=1e-3)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
def test_three_equal_channels_give_that_channel(dtype: type) -> None:
    grey = random_pixels(16, 16, 1).astype(dtype)
    np.testing.assert_array_equal(to_channels(np.repeat(grey, 3, axis=2), 1), grey)


def test_luminance_of_cbsd68_is_bsd68(shared_data: Path) -> None:
    colour, grey = (list_pictures(shared_data / name)[:5] for name in ('CBSD68', 'BSD68'))
    for colour_path, grey_path in zip(colour, grey, strict=True):
        ours = to_channels(cv2.imread(str(colour_path))[:, :, ::-1].copy(), 1)[:, :, 0].astype(int)
        assert np.abs(ours - cv2.imread(str(grey_path), cv2.IMREAD_UNCHANGED)).max() <= 1


def test_grey_where_colour_was_asked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'x\.png is a grey picture .* write `in_ch: 1`'):
        to_channels(np.zeros((2, 2, 1), np.uint8), 3, 'x.png')


def test_list_is_sorted_and_known(tmp_path: Path) -> None:
    for name in ('b.PNG', 'a.jpg', 'c.webp', 'notes.txt', '._a.jpg', 'sub/d.tif', '.hidden/e.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in list_pictures(tmp_path)] == ['a.jpg', 'b.PNG', 'c.webp']
    assert [path.name for path in list_pictures(tmp_path, recursive=True)] == ['a.jpg', 'b.PNG', 'c.webp', 'd.tif']


def test_list_errors_say_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='nowhere does not exist'):
        list_pictures(tmp_path / 'nowhere')
    with pytest.raises(UserError, match=r'no pictures in .* known extensions are \.bmp .* put some there'):
        list_pictures(tmp_path)
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train' / 'a.png').touch()
    with pytest.raises(UserError, match=r'give .*train, or ask for sub-folders too \(`recursive`\)'):
        list_pictures(tmp_path)
    with pytest.raises(UserError, match=r'a\.png is a file where a folder'):
        list_pictures(tmp_path / 'train' / 'a.png')


def test_palette_png_is_colour(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(random_pixels(8, 8, 3)).convert('P').save(buffer, 'png')
    (tmp_path / 'a.png').write_bytes(buffer.getvalue())
    expected = np.asarray(Image.open(buffer).convert('RGB')).astype(np.float32) / 255
    np.testing.assert_array_equal(read_picture(tmp_path / 'a.png').pixels, expected)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('extension', ['png', 'webp', 'tif', 'jpg'])
def test_every_turn_is_made_as_pillow_makes_it(tmp_path: Path, extension: str, orientation: int) -> None:
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :8], pixels[8:, :8] = (255, 0, 0), (0, 0, 255)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    lossless = {'lossless': True} if extension == 'webp' else {}
    Image.fromarray(pixels).save(tmp_path / f'a.{extension}', exif=exif, **lossless)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / f'a.{extension}')).convert('RGB'))
    np.testing.assert_allclose(read_picture(tmp_path / f'a.{extension}').stored.astype(int), expected, atol=8)


def test_grey_and_alpha_stay_apart_in_both_depths(tmp_path: Path) -> None:
    pixels = random_pixels(6, 5, 2)
    Image.fromarray(pixels, 'LA').save(tmp_path / 'a.png')
    picture = read_picture(tmp_path / 'a.png')
    np.testing.assert_array_equal(picture.stored[:, :, 0], pixels[:, :, 0])
    np.testing.assert_array_equal(picture.alpha, pixels[:, :, 1])
    assert picture.stored.shape == (6, 5, 1)


def test_what_would_be_lost_is_refused(tmp_path: Path) -> None:
    grey = Image.fromarray(random_pixels(6, 5, 1)[:, :, 0])
    grey.save(tmp_path / 'transparent.png', transparency=7)
    with pytest.raises(UserError, match='transparency that would be lost: save it as a PNG with an alpha channel'):
        read_picture(tmp_path / 'transparent.png')
    grey.save(tmp_path / 'pages.tif', save_all=True, append_images=[grey, grey])
    with pytest.raises(UserError, match='holds 3 pictures, of which only the first would be read'):
        read_picture(tmp_path / 'pages.tif')


def test_programs_that_import_from_the_former_place_go_on() -> None:
    from basicsr_snn.data import pictures

    assert pictures.read_picture is read_picture
    assert pictures.list_pictures is list_pictures
