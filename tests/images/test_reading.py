"""What is read of unusual and broken picture files, and what is refused before it is decoded."""
from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from basicsr_snn.errors import UserError
from basicsr_snn.images import limits
from basicsr_snn.images.files import picture_size, read_picture
from basicsr_snn.images.reading import decode

RGB = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
EXIF_ORIENTATION, QUARTER_TURN = 0x0112, 6


def saved(picture: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, bits: int = 8, colour: int = 2, pixels: bytes = b'', **chunks: bytes) -> bytes:
    """A PNG file with chunks of one's own between head and pixels."""
    head = struct.pack('>IIBBBBB', width, height, bits, colour, 0, 0, 0)
    parts = {'IHDR': head, **chunks, 'IDAT': zlib.compress(pixels), 'IEND': b''}
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(content)) + name.encode() + content
        + struct.pack('>I', zlib.crc32(name.encode() + content)) for name, content in parts.items())


def bmp(width: int, height: int, bits: int, pixels: bytes = b'', masks: bytes = b'') -> bytes:
    head = struct.pack('<IiiHHIIiiII', 40, width, height, 1, bits, 3 if masks else 0, len(pixels), 0, 0, 0, 0) + masks
    return b'BM' + struct.pack('<IHHI', 14 + len(head) + len(pixels), 0, 0, 14 + len(head)) + head + pixels


def webp(width: int, height: int) -> bytes:
    chunk = b'\x2f' + struct.pack('<I', width - 1 | height - 1 << 14) + bytes(5)
    return b'RIFF' + struct.pack('<I', len(chunk) + 12) + b'WEBPVP8L' + struct.pack('<I', len(chunk)) + chunk


def jpeg(width: int, height: int) -> bytes:
    """The first bytes of a JPEG file, cut behind its pixels' first ones, that claims another size."""
    content = saved(RGB, 'jpeg')
    frame = content.index(b'\xff\xc0')
    return content[:frame + 5] + struct.pack('>HH', height, width) + content[frame + 9:]


def tiff(width: int, height: int) -> bytes:
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
               (278, 4, height), (279, 4, width * height & 0xffffffff)]
    return (b'II*\0' + struct.pack('<I', 8) + struct.pack('<H', len(entries))
            + b''.join(struct.pack('<HHII', code, kind, 1, value) for code, kind, value in entries) + bytes(4))


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'RGB', 'RGBA'])
@pytest.mark.parametrize('kind', ['png', 'bmp', 'webp'])
def test_every_mode_is_read_as_pillow_reads_it(kind: str, mode: str) -> None:
    picture = Image.fromarray(RGB if mode == 'P' else np.dstack([RGB, RGB[..., 0]])).convert(mode)
    if kind == 'webp' and mode in ('1', 'LA', 'P') or kind == 'bmp' and mode in ('LA', 'RGBA'):
        picture = picture.convert('RGB')
    content = saved(picture, kind, **({'lossless': True, 'exact': True} if kind == 'webp' else {}))
    colours, alpha = decode(content, 'x')
    expected = np.asarray(Image.open(io.BytesIO(content)).convert('RGBA'))
    np.testing.assert_array_equal(np.broadcast_to(colours, (*colours.shape[:2], 3)), expected[..., :3])
    np.testing.assert_array_equal(np.full(expected.shape[:2], 255) if alpha is None else alpha, expected[..., 3])
    assert (alpha is not None) == (mode in ('LA', 'RGBA') and picture.mode == mode)


def test_a_palette_with_transparency_keeps_it() -> None:
    rows = b''.join(b'\0' + bytes(range(row, row + 24)) for row in range(20))
    palette = np.random.default_rng(1).integers(0, 256, 768, dtype=np.uint8)
    colours, alpha = decode(png(24, 20, 8, 3, rows, PLTE=palette.tobytes(), tRNS=bytes(range(256))), 'x')
    indices = np.add.outer(np.arange(20), np.arange(24))
    np.testing.assert_array_equal(colours, palette.reshape(256, 3)[indices])
    np.testing.assert_array_equal(alpha, indices)


def test_white_of_five_bits_is_white() -> None:
    pixels = decode(bmp(2, 1, 16, b'\xff\x7f\x00\x00'), 'x')[0]
    np.testing.assert_array_equal(pixels[0], [[255] * 3, [0] * 3])


def test_an_unused_byte_is_no_alpha() -> None:
    masks = struct.pack('<III', 0xff0000, 0xff00, 0xff)
    pixels, alpha = decode(bmp(1, 1, 32, b'\1\2\3\0', masks), 'x')
    assert alpha is None
    np.testing.assert_array_equal(pixels[0, 0], [3, 2, 1])


def test_exif_behind_the_pixels_counts() -> None:
    turn = b'MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0'
    content = saved(RGB, 'png')
    chunk = struct.pack('>I', len(turn)) + b'eXIf' + turn + struct.pack('>I', zlib.crc32(b'eXIf' + turn))
    np.testing.assert_array_equal(decode(content[:-12] + chunk + content[-12:], 'x')[0], np.rot90(RGB, -1))


@pytest.mark.parametrize('exif', [b'', b'MM', b'MM\0*\0\0\0\x08\xff\xff', b'MM\0*\xff\xff\xff\xff',
                                  b'MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0\0\0\0\0'])
def test_damaged_exif_turns_nothing(exif: bytes) -> None:
    rows = b''.join(b'\0' + row.tobytes() for row in RGB)
    np.testing.assert_array_equal(decode(png(24, 20, pixels=rows, eXIf=exif), 'x')[0], RGB)


def test_a_profile_that_unpacks_to_gigabytes_is_left_packed(tmp_path: Path) -> None:
    packer = zlib.compressobj(9)
    profile = b'x\0\0' + b''.join(packer.compress(bytes(2**20)) for _ in range(30)) + packer.flush()
    rows = b''.join(b'\0' + row.tobytes() for row in RGB)
    (tmp_path / 'a.png').write_bytes(png(24, 20, pixels=rows, iCCP=profile))
    picture = read_picture(tmp_path / 'a.png')
    assert picture.profile == 'unknown'
    np.testing.assert_array_equal(picture.stored, RGB)


def test_inks_are_told(tmp_path: Path) -> None:
    for kind in ('jpeg', 'tiff'):
        Image.fromarray(RGB).convert('CMYK').save(tmp_path / f'a.{kind}')
        assert read_picture(tmp_path / f'a.{kind}').profile == 'CMYK'
        assert read_picture(tmp_path / f'a.{kind}').stored.shape == (20, 24, 3)


@pytest.mark.parametrize('kind', ['gif', 'ppm', 'jpeg2000', 'tga'])
def test_other_kinds_of_files_are_refused(kind: str) -> None:
    with pytest.raises(UserError, match=r'a\.png is no readable picture .* PNG, JPEG, TIFF, WebP and BMP are read'):
        decode(saved(RGB, kind), 'a.png')


@pytest.mark.parametrize('kind', ['png', 'webp', 'tiff'])
def test_moving_pictures_and_pages_are_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / 'a.png').write_bytes(saved(RGB, kind, save_all=True, append_images=[Image.fromarray(255 - RGB)]))
    for read in (read_picture, picture_size):
        with pytest.raises(UserError, match='holds 2 pictures, of which only the first would be read'):
            read(tmp_path / 'a.png')


WHOLE = {'png': saved(RGB, 'png'), 'jpeg': saved(RGB, 'jpeg'), 'progressive': saved(RGB, 'jpeg', progressive=True),
         'webp': saved(RGB, 'webp'), 'lossless': saved(RGB, 'webp', lossless=True), 'tiff': saved(RGB, 'tiff'),
         'lzw': saved(RGB, 'tiff', compression='tiff_lzw'), 'bmp': saved(RGB, 'bmp'),
         'tiff of 16 bits': cv2.imencode('.tif', RGB.astype(np.uint16) * 257)[1].tobytes()}


@pytest.mark.parametrize('kind', WHOLE)
def test_cut_files_are_refused_wherever_they_are_cut(kind: str) -> None:
    content = WHOLE[kind]
    whole = decode(content, 'x')[0]
    for length in [*range(0, len(content) - 8, 1 + len(content) // 60), *range(len(content) - 8, len(content))]:
        try:
            pixels = decode(content[:length], 'a.png')[0]
        except UserError:
            continue
        np.testing.assert_array_equal(pixels, whole)  # what was cut off was no pixel, but padding


CLAIMS = {'png': png, 'jpg': jpeg, 'bmp': lambda width, height: bmp(width, height, 24), 'tif': tiff, 'webp': webp}


@pytest.mark.parametrize('kind', CLAIMS)
def test_bombs_are_refused_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    path = tmp_path / f'a.{kind}'
    path.write_bytes(CLAIMS[kind](16383, 16383))
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('it was decoded'))
    monkeypatch.setattr(Image.Image, 'load', lambda *_: pytest.fail('it was decoded'))
    for read in (read_picture, picture_size):
        with pytest.raises(UserError, match=r'declares 16383x16383 pixels, which is 268 megapixels, but at most 256 '
                                            r'are allowed.*`--max_megapixels 269`'):
            read(path)
    limits_before = limits.max_megapixels()
    monkeypatch.setenv(limits.VARIABLE, '269')
    assert (limits_before, picture_size(path)) == (256, (16383, 16383))


@pytest.mark.parametrize('size', [(40_000, 40_000), (2_000_000, 2)])
def test_what_no_decoder_takes_is_not_to_be_allowed(size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match='no picture of more than 1074 megapixels, or with a side of more than '
                                        '1,000,000, is decoded; cut it into smaller ones'):
        decode(png(*size), 'x')


def test_the_number_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ('many', 'nan', '-3', '0', '5000', 'inf'):
        monkeypatch.setenv(limits.VARIABLE, wrong)
        with pytest.raises(UserError, match=f"BASICSR_SNN_MAX_MEGAPIXELS is '{wrong}': a number of megapixels above 0"):
            decode(saved(RGB, 'png'), 'x')


@pytest.mark.parametrize('kind', ['png', 'jpeg', 'webp', 'tiff'])
def test_a_raised_limit_changes_nothing_but_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                      kind: str) -> None:
    """Turn, channels and pages of pictures above Pillow's own limit, which is lowered here in the place of a large
    picture."""
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = QUARTER_TURN
    grey = Image.fromarray(RGB[..., 0])
    grey.save(tmp_path / 'a', kind, exif=exif, **({'lossless': True} if kind == 'webp' else {}))
    picture = read_picture(tmp_path / 'a')
    assert (picture_size(tmp_path / 'a'), picture.stored.shape[:2]) == ((24, 20), (24, 20))
    assert picture.stored.shape[2] == (3 if kind == 'webp' else 1)
    np.testing.assert_allclose(picture.stored[..., 0], np.rot90(RGB[..., 0], -1), atol=40 if kind == 'jpeg' else 0)


@pytest.mark.slow
def test_a_picture_above_pillows_limit_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = QUARTER_TURN
    Image.new('L', (13_500, 13_400), 7).save(tmp_path / 'a.png', exif=exif, compress_level=1)
    assert picture_size(tmp_path / 'a.png') == (13_500, 13_400)
    stored = read_picture(tmp_path / 'a.png').stored
    assert stored.shape == (13_500, 13_400, 1)
    assert (stored.min(), stored.max()) == (7, 7)
