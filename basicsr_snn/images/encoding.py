"""From pixels, and what the picture carries, to the bytes of a file: one encoder for each kind."""
from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from basicsr_snn.errors import UserError
from basicsr_snn.images import exif, heif
from basicsr_snn.images.carried import Carried, told_by_exif
from basicsr_snn.images.carried_reading import PHOTOSHOP_IPTC, TIFF_ICC, TIFF_IPTC, TIFF_LAYOUT, TIFF_XMP, XMP_KEY
from basicsr_snn.images.chunks import png_chunks
from basicsr_snn.images.exif import Directory, Entry

JPEG_QUALITY, MODERN_QUALITY = 95, 90
"""Where neither the input nor the user says another."""

LOSSLESS_GAMMA = 45455
"""What ``gAMA`` says of sRGB."""

PNG_HEAD = 33
"""Bytes of signature and ``IHDR``."""

LONGEST_JPEG_SEGMENT = 65533
LONGEST_JPEG_EXIF = LONGEST_JPEG_SEGMENT - len(exif.MARK)
LONGEST_JPEG_XMP = LONGEST_JPEG_SEGMENT - 29
LONGEST_JPEG_PROFILE = 255 * (LONGEST_JPEG_SEGMENT - 14)
PHOTOSHOP_MARK = b'Photoshop 3.0\0'
LONGEST_JPEG_IPTC = LONGEST_JPEG_SEGMENT - len(PHOTOSHOP_MARK) - 13

Encoder = Callable[[np.ndarray, Carried, int | None], tuple[bytes, tuple[str, ...]]]
"""From (H, W, C) uint8 or uint16, with alpha as the last of 2 or 4 channels, to the file and what was left out."""


@dataclass(frozen=True)
class Format:
    """What a kind of file can hold without loss of bits or alpha, and what writes it."""

    bits: tuple[int, ...]
    alpha: bool
    encode: Encoder


def encode(pixels: np.ndarray, file_format: Format, carried: Carried,
           quality: int | None = None) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of a file, and what of ``carried`` it does not hold, what was not even read included.

    Args:
        pixels: (H, W, C) uint8 or uint16: grey, grey and alpha, RGB, RGB and alpha.
        file_format: What writes the file.
        carried: What goes with the pixels.
        quality: 1 to 100, for kinds of files that lose; None: as the input, or a high one.

    Raises:
        UserError: no file of this kind can hold the picture.
    """
    try:
        return file_format.encode(pixels, carried, quality)
    except UserError:
        raise
    except Exception:
        if carried.is_empty:
            raise
        bare = Carried(jpeg=carried.jpeg, left_out=(*carried.left_out, 'all else that it carries (it cannot be '
                                                                       'written)'))
        return file_format.encode(pixels, bare, quality)


def _png(pixels: np.ndarray, carried: Carried, _quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    """By OpenCV, which writes 16 bits; what is carried stands in chunks that Pillow makes around one pixel."""
    encoded, carried = _by_opencv('.png', pixels), _without_iptc(carried)
    if carried.is_empty:
        return encoded, carried.left_out
    info = PngImagePlugin.PngInfo()
    for key, value in carried.text:
        info.add_text(key, value)
    if carried.xmp:
        info.add_itxt(XMP_KEY, carried.xmp)
    around = io.BytesIO()
    Image.new('L', (1, 1)).save(around, 'png', pnginfo=info, exif=carried.exif, **_given(
        dpi=carried.dpi, icc_profile=carried.icc_profile))
    extra = b''.join(_chunk(name, content) for name, content in [*carried.png_colour, *png_chunks(around)]
                     if name not in (b'IHDR', b'IDAT', b'IEND'))
    return encoded[:PNG_HEAD] + extra + encoded[PNG_HEAD:], carried.left_out


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack('>I', len(content)) + name + content + struct.pack('>I', zlib.crc32(name + content))


def _jpeg(pixels: np.ndarray, carried: Carried, quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    """By Pillow, with the tables of the input where it was a JPEG and no quality is asked for."""
    comment = dict(carried.text).get('Comment', '').encode()
    texts = tuple((key, value) for key, value in carried.text if key != 'Comment')
    fitting = told_by_exif(replace(_without_png_colour(carried), text=texts, dpi=None))
    if len(fitting.exif) > LONGEST_JPEG_EXIF >= len(carried.exif):
        fitting = replace(fitting, exif=carried.exif).without('text (too long for a JPEG)')
    for name, what, longest in (('exif', 'EXIF data', LONGEST_JPEG_EXIF), ('xmp', 'XMP data', LONGEST_JPEG_XMP),
                                ('iptc', 'IPTC data', LONGEST_JPEG_IPTC),
                                ('icc_profile', 'its colour profile', LONGEST_JPEG_PROFILE)):
        if len(getattr(fitting, name)) > longest:  # fields of Carried
            fitting = fitting.without(f'{what} (too long for a JPEG)', **{name: b''})
    if len(comment) > LONGEST_JPEG_SEGMENT:
        fitting, comment = fitting.without('its comment (too long for a JPEG)'), b''
    how: dict[str, Any] = {'quality': JPEG_QUALITY if quality is None else quality}
    if carried.jpeg:
        sampling = carried.jpeg.subsampling if pixels.shape[2] == 3 else -1
        how = {'subsampling': sampling, **(how if quality else {'qtables': carried.jpeg.tables})}
    encoded = _by_pillow(pixels, 'jpeg', **how, exif=exif.MARK + fitting.exif if fitting.exif else b'', **_given(
        dpi=carried.dpi, icc_profile=fitting.icc_profile, xmp=fitting.xmp, comment=comment,
        extra=_photoshop_segment(fitting.iptc)))
    return encoded, fitting.left_out


def _photoshop_segment(iptc: bytes) -> bytes:
    """The part of a JPEG file in which Photoshop, and all others since, put IPTC data; Pillow has no argument of its
    own for it."""
    if not iptc:
        return b''
    block = b'8BIM' + struct.pack('>HHI', PHOTOSHOP_IPTC, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)
    return b'\xff\xed' + struct.pack('>H', 2 + len(PHOTOSHOP_MARK) + len(block)) + PHOTOSHOP_MARK + block


def _webp(pixels: np.ndarray, carried: Carried, quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    fitting = _for_colour(told_by_exif(_without_png_colour(_without_iptc(carried))), pixels)
    how: dict[str, Any] = {'lossless': True, 'exact': True} if quality is None else {'quality': quality, 'exact': True}
    return _by_pillow(pixels, 'webp', **how, exif=fitting.exif, xmp=fitting.xmp,
                      icc_profile=fitting.icc_profile), fitting.left_out


def _avif(pixels: np.ndarray, carried: Carried, quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    heif.AVIF.need()
    fitting = told_by_exif(_without_png_colour(_without_iptc(carried)))
    how = {} if pixels.shape[2] < 3 else {'subsampling': '4:4:4'}
    return _by_pillow(pixels, 'avif', **how, quality=MODERN_QUALITY if quality is None else quality,
                      **_for_heif(fitting)), fitting.left_out


def _heic(pixels: np.ndarray, carried: Carried, quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    heif.HEIC.need()
    fitting = _for_colour(told_by_exif(_without_png_colour(_without_iptc(carried))), pixels)
    return _by_pillow(_coloured(pixels), 'heif', quality=MODERN_QUALITY if quality is None else quality, chroma=444,
                      **_for_heif(fitting)), fitting.left_out


def _for_heif(carried: Carried) -> dict[str, bytes]:
    """Pillow's arguments; the turn stands in the file's own place there, so EXIF tells none."""
    return _given(exif=exif.without_orientation(carried.exif) if carried.exif else b'', xmp=carried.xmp,
                  icc_profile=carried.icc_profile)


def _bmp(pixels: np.ndarray, carried: Carried, _quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    lost = [what for what, value in (('EXIF data', carried.exif), ('its colour profile', carried.icc_profile),
                                     ('XMP data', carried.xmp), ('IPTC data', carried.iptc),
                                     ('text', carried.text)) if value]
    left_out = (*_without_png_colour(carried).left_out, *(f'{what} (a BMP has no place for it)' for what in lost))
    return _by_pillow(pixels, 'bmp', **_given(dpi=carried.dpi)), left_out


def _tiff(pixels: np.ndarray, carried: Carried, _quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    """By OpenCV, with alpha by tifffile; a new directory of tags behind the pixels holds what is carried too."""
    if pixels.shape[2] in (2, 4):
        from basicsr_snn.images.tiff import encode_tiff  # tifffile takes a quarter of a second to import

        encoded = encode_tiff(pixels[:, :, :-1], pixels[:, :, -1])
    else:
        encoded = _by_opencv('.tif', pixels)
    if carried.is_empty:
        return encoded, carried.left_out
    fitting = told_by_exif(_without_png_colour(carried))
    order = exif.byte_order(encoded)
    tags = exif.read_directories(encoded)
    layout = {tag: entry for tag, entry in tags.entries.items() if tag in TIFF_LAYOUT}
    told = Directory()
    if fitting.exif:
        told = exif.in_byte_order(exif.read_directories(fitting.exif), exif.byte_order(fitting.exif), order)
    own = {tag: Entry(kind, len(value), value) for tag, kind, value in (
        (TIFF_ICC, exif.UNDEFINED, fitting.icc_profile), (TIFF_XMP, exif.BYTE, fitting.xmp),
        (TIFF_IPTC, exif.UNDEFINED, fitting.iptc)) if value}
    kept = {tag: entry for tag, entry in told.entries.items() if tag not in TIFF_LAYOUT}
    place = len(encoded) + len(encoded) % 2
    behind = exif.write_directories(Directory({**kept, **own, **layout}, told.below), order, place, start=False)
    start = encoded[:4] + struct.pack(order + 'I', place)
    return start + encoded[8:].ljust(place - 8, b'\0') + behind, fitting.left_out


def _without_iptc(carried: Carried) -> Carried:
    """For kinds of files that have no place for it, unless it stands among the tags, as in a TIFF."""
    if not carried.iptc or carried.iptc in carried.exif:
        return replace(carried, iptc=b'')
    return carried.without('IPTC data (which only JPEG and TIFF have a place for)', iptc=b'')


def _without_png_colour(carried: Carried) -> Carried:
    """For kinds of files without such chunks; what they say of sRGB is no loss."""
    chunks = dict(carried.png_colour)
    gamma = int.from_bytes(chunks.get(b'gAMA', b''), 'big') or LOSSLESS_GAMMA
    usual = carried.icc_profile or b'sRGB' in chunks or b'cICP' not in chunks and gamma == LOSSLESS_GAMMA
    bare = replace(carried, png_colour=())
    return bare if usual else bare.without('the colour space that its PNG chunks tell')


def _for_colour(carried: Carried, pixels: np.ndarray) -> Carried:
    """For kinds of files in which grey is stored as colour, which no profile of grey fits."""
    grey = pixels.shape[2] < 3 and carried.icc_profile[16:20] == b'GRAY'
    return carried.without('its colour profile, which is one of grey', icc_profile=b'') if grey else carried


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _by_opencv(extension: str, pixels: np.ndarray) -> bytes:
    channels = pixels.shape[2]
    stored = pixels if channels == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if channels == 3 else cv2.merge(
        [*((pixels[:, :, 0],) * 3 if channels == 2 else cv2.split(pixels[:, :, :3])[::-1]), pixels[:, :, -1]])
    good, encoded = cv2.imencode(extension, stored)
    if not good:
        raise ValueError('OpenCV refuses it')
    return encoded.tobytes()


def _by_pillow(pixels: np.ndarray, kind: str, **how: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, kind, **how)
    return file.getvalue()


def _coloured(pixels: np.ndarray) -> np.ndarray:
    """Grey as three equal channels, with alpha behind."""
    grey = pixels.shape[2] < 3
    return np.dstack([pixels[:, :, :1]] * 3 + [pixels[:, :, 1:]]) if grey else pixels


_JPEG = Format((8,), alpha=False, encode=_jpeg)
_TIFF = Format((8, 16), alpha=True, encode=_tiff)
_HEIC = Format((8,), alpha=True, encode=_heic)
FORMATS = {
    '.bmp': Format((8,), alpha=False, encode=_bmp),
    '.jpeg': _JPEG,
    '.jpg': _JPEG,
    '.png': Format((8, 16), alpha=True, encode=_png),
    '.tif': _TIFF,
    '.tiff': _TIFF,
    '.webp': Format((8,), alpha=True, encode=_webp),
    '.avif': Format((8,), alpha=True, encode=_avif),
    '.heic': _HEIC,
    '.heif': _HEIC,
}
EXTENSIONS = tuple(FORMATS)
