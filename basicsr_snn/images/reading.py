"""From the bytes of a picture file to pixels: what it declares is looked at first, then the right decoder reads it."""
from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import BmpImagePlugin, JpegImagePlugin

from basicsr_snn.errors import UserError
from basicsr_snn.images import heif
from basicsr_snn.images.carried import Carried
from basicsr_snn.images.carried_reading import (
    carried_by_bmp,
    carried_by_jpeg,
    carried_by_png,
    carried_by_tiff,
    carried_by_webp,
)
from basicsr_snn.images.chunks import read_png_header, read_webp_header
from basicsr_snn.images.header import PictureHeader, orientation_in, turned
from basicsr_snn.images.limits import check_pixels

Decoded = tuple[np.ndarray, np.ndarray | None]
"""(H, W, C) uint8 or uint16, C is 1 (grey) or 3 (RGB), and alpha, (H, W) of the same dtype, or None."""

LONGEST_START = heif.LONGEST_BRANDS
NO_MEMORY = -4
"""OpenCV's code."""


@dataclass(frozen=True)
class _Kind:
    """A kind of file: whether a file begins as one, and what reads header, pixels, and all that it carries else."""

    begins: Callable[[bytes], bool]
    read_header: Callable[[BinaryIO], PictureHeader]
    decode: Callable[[bytes, Any], Decoded]
    read_carried: Callable[[BinaryIO], Carried]


def read_header(file: BinaryIO, name: str | Path) -> PictureHeader:
    """The header of a picture file, which is not decoded.

    Args:
        file: the file.
        name: what an error message calls the picture.

    Raises:
        UserError: no picture, one of several pages, or more pixels than are allowed.
    """
    header = _read_header(_kind(file, name), file, name)
    check_pixels(header.width, header.height, name)
    if header.pages > 1:
        raise UserError(f'{name} holds {header.pages} pictures, of which only the first would be read: save each as a '
                        'file of its own.')
    return header


def decode(content: bytes, name: str | Path, header: PictureHeader | None = None) -> Decoded:
    """Decode the content of a picture file, without any change of its values.

    A picture that says which way up it is (EXIF) is turned, as every viewer does.

    Args:
        content: the file's bytes.
        name: what an error message calls the picture.
        header: that of the content, where the caller has read it.

    Raises:
        UserError: what :func:`read_header` refuses, a damaged file, channels that are neither grey nor RGB of 8 or 16
            bits, or transparency that would be lost.
    """
    file = io.BytesIO(content)
    header = header or read_header(file, name)
    try:
        with warnings.catch_warnings(action='ignore'):  # Pillow warns of damaged EXIF data
            return _kind(file, name).decode(content, header)
    except UserError as error:
        raise UserError(f'{name} {error}') from error
    except Exception as error:  # decoders of damaged files raise what they like
        if isinstance(error, MemoryError) or isinstance(error, cv2.error) and error.code == NO_MEMORY:
            raise UserError(f'{name} has {header.width}x{header.height} pixels, which do not fit into the memory that '
                            'is free: cut it into smaller pictures.') from error
        raise damaged(name) from error


def read_carried(content: bytes, name: str | Path) -> Carried:
    """What a picture file carries beside its pixels; what of it is damaged is told, and costs nothing else.

    Args:
        content: the file's bytes.
        name: what an error message calls the picture.

    Raises:
        UserError: no picture.
    """
    file = io.BytesIO(content)
    try:
        with warnings.catch_warnings(action='ignore'):
            return _kind(file, name).read_carried(file)
    except UserError:
        raise
    except Exception:  # readers of damaged files raise what they like
        return Carried(left_out=('all that it carries beside its pixels (damaged)',))


def _kind(file: BinaryIO, name: str | Path) -> _Kind:
    file.seek(0)
    start = file.read(LONGEST_START)
    kind = next((kind for kind in _KINDS if kind.begins(start)), None)
    if kind is None:
        raise damaged(name)
    return kind


def _read_header(kind: _Kind, file: BinaryIO, name: str | Path) -> PictureHeader:
    file.seek(0)
    try:
        with warnings.catch_warnings(action='ignore'):
            header = kind.read_header(file)
    except UserError as error:
        raise UserError(f'{name} {error}') from error
    except Exception as error:  # readers of damaged files raise what they like
        raise damaged(name) from error
    if header.width < 1 or header.height < 1:
        raise damaged(name)
    return header


def damaged(name: str | Path) -> UserError:
    """What is said of a file that no decoder reads."""
    return UserError(f'{name} is no readable picture (damaged, cut short, or another kind of file): replace or remove '
                     'it; PNG, JPEG, TIFF, WebP and BMP are read, and AVIF and HEIC where Pillow can.')


def _decode_by_opencv(content: bytes, header: PictureHeader) -> Decoded:
    pixels = _opencv(content, cv2.IMREAD_UNCHANGED)  # keeps alpha, and does not turn
    pixels = turned(pixels, header.orientation)
    if header.transparent and pixels.shape[2] < 4:
        raise UserError('has transparency that would be lost: save it as a PNG with an alpha channel, or without '
                        'transparency.')
    alpha = np.ascontiguousarray(pixels[:, :, 3]) if pixels.shape[2] == 4 else None
    grey = pixels.shape[2] == 1 or alpha is not None and header.grey  # OpenCV makes grey and alpha four channels
    return (np.ascontiguousarray(pixels[:, :, :1]) if grey else
            cv2.cvtColor(pixels[:, :, :3], cv2.COLOR_BGR2RGB)), alpha


def _decode_jpeg(content: bytes, _header: PictureHeader) -> Decoded:
    pixels = _opencv(content, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)  # turns as EXIF says
    return (pixels if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)), None


def _opencv(content: bytes, flags: int) -> np.ndarray:
    """(H, W, C) as OpenCV decodes it."""
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if pixels is None:
        raise ValueError('OpenCV does not decode it')
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.shape[2] not in (1, 3, 4):
        raise UserError(channels_refused(f'{pixels.shape[2]} channels of {pixels.dtype}'))
    return pixels


def channels_refused(found: str) -> str:
    """What is said behind the name of a picture of channels that are not read."""
    return (f'has {found}: grey or RGB of 8 or 16 bits a channel, with or without alpha, is allowed; save it as an 8- '
            'or 16-bit PNG.')


def _read_jpeg_header(file: BinaryIO) -> PictureHeader:
    image = JpegImagePlugin.JpegImageFile(file)  # unlike Image.open it sets no limit of its own
    return PictureHeader(*image.size, grey=image.mode == 'L', inks=image.mode == 'CMYK',
                         orientation=orientation_in(image.info.get('exif')),
                         icc_profile=image.info.get('icc_profile'))


def _read_bmp_header(file: BinaryIO) -> PictureHeader:
    image = BmpImagePlugin.BmpImageFile(file)
    return PictureHeader(*image.size, transparent=image.mode == 'RGBA')


def _decode_bmp(content: bytes, _header: PictureHeader) -> Decoded:
    """By Pillow, since OpenCV leaves the low bits of 5-bit colours empty and takes unused bytes for alpha."""
    image = BmpImagePlugin.BmpImageFile(io.BytesIO(content))
    mode = {'1': 'L', 'P': 'RGB'}.get(image.mode, image.mode)
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    if pixels.shape[2] < 4:
        return pixels, None
    return np.ascontiguousarray(pixels[:, :, :3]), np.ascontiguousarray(pixels[:, :, 3])


def _read_tiff_header(file: BinaryIO) -> PictureHeader:
    from basicsr_snn.images.tiff import read_tiff_header  # tifffile takes a quarter of a second to import

    return read_tiff_header(file)


def _decode_tiff(content: bytes, header: Any) -> Decoded:
    from basicsr_snn.images.tiff import decode_tiff

    if header.refusal:
        raise UserError(channels_refused(header.refusal))
    return decode_tiff(content, header)


_KINDS = (
    _Kind(lambda start: start.startswith(b'\x89PNG\r\n\x1a\n'), read_png_header, _decode_by_opencv,
          carried_by_png),
    _Kind(lambda start: start.startswith(b'\xff\xd8\xff'), _read_jpeg_header, _decode_jpeg, carried_by_jpeg),
    _Kind(lambda start: start.startswith((b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')), _read_tiff_header, _decode_tiff,
          carried_by_tiff),
    _Kind(lambda start: start[:4] == b'RIFF' and start[8:12] == b'WEBP', read_webp_header, _decode_by_opencv,
          carried_by_webp),
    _Kind(lambda start: start.startswith(b'BM'), _read_bmp_header, _decode_bmp, carried_by_bmp),
    *(_Kind(begins, heif.header_reader(kind), heif.decoder(kind), heif.carried_reader(kind))
      for begins, kind in ((heif.is_avif, heif.AVIF), (heif.is_heic, heif.HEIC))),
)
