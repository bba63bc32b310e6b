"""Reading and writing of picture files: RGB or grey, 8 or 16 bits, with or without alpha."""
from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from basicsr_snn.errors import UserError

LOSSLESS_WEBP = 101  # OpenCV's convention: any quality above 100


@dataclass(frozen=True)
class _Format:
    """What OpenCV can store in a file of this kind without loss of bits or alpha (measured with OpenCV 5)."""

    bits: tuple[int, ...]
    alpha: bool
    settings: tuple[int, ...] = ()


_JPEG = _Format((8,), alpha=False, settings=(cv2.IMWRITE_JPEG_QUALITY, 95))
_TIFF = _Format((8, 16), alpha=True)
_FORMATS = {
    '.bmp': _Format((8,), alpha=False),
    '.jpeg': _JPEG,
    '.jpg': _JPEG,
    '.png': _Format((8, 16), alpha=True),
    '.tif': _TIFF,
    '.tiff': _TIFF,
    '.webp': _Format((8,), alpha=True, settings=(cv2.IMWRITE_WEBP_QUALITY, LOSSLESS_WEBP)),
}
EXTENSIONS = tuple(_FORMATS)
_JPEG_START = b'\xff\xd8\xff'


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: (H, W, C) float32 in 0..1; C is 3 (RGB) or 1 (grey).
        bits: bits per channel of the file, 8 or 16.
        alpha: (H, W) in the file's own dtype (uint8 or uint16), or None.
        path: the file.
    """

    pixels: np.ndarray
    bits: int
    alpha: np.ndarray | None
    path: Path


def read_picture(path: str | Path) -> Picture:
    """Read a picture file.

    Raises:
        UserError: the file is missing, is no picture, or is not stored with 8 or 16 bits a channel.
    """
    path = Path(path)
    raw = decode(read_bytes(path), path)
    alpha = np.ascontiguousarray(raw[:, :, 3]) if raw.shape[2] == 4 else None
    return Picture(to_float(raw[:, :, :3]), raw.dtype.itemsize * 8, alpha, path)


def read_bytes(path: Path) -> bytes:
    """The content of a file, with a sentence that names it where it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f'{path} cannot be read ({error.strerror}): check the path and its permissions.') from error


def decode(content: bytes, name: str | Path) -> np.ndarray:
    """Decode the content of a picture file, without any change of its values.

    A JPEG that says which way up it is (EXIF) is turned, as every viewer does.

    Args:
        content: the file's bytes.
        name: what an error message calls the picture.

    Returns:
        (H, W, C) uint8 or uint16: C is 1 (grey), 3 (RGB) or 4 (RGB and alpha).

    Raises:
        UserError: no picture that OpenCV reads, or neither 8 nor 16 bits a channel.
    """
    # IMREAD_UNCHANGED alone keeps alpha, but ignores the EXIF turn; a JPEG has no alpha to lose.
    oriented = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    flags = oriented if content.startswith(_JPEG_START) else cv2.IMREAD_UNCHANGED
    try:
        raw = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:  # an empty file, or more pixels than OpenCV allows
        raw = None
    if raw is None:
        raise UserError(f'{name} is no readable picture (damaged, cut short, or another kind of file): replace or '
                        f'remove it; known extensions are {" ".join(EXTENSIONS)}.')
    if raw.dtype not in (np.uint8, np.uint16) or raw.ndim == 3 and raw.shape[2] not in (1, 3, 4):
        channels = raw.shape[2] if raw.ndim == 3 else 1
        raise UserError(f'{name} has {channels} channels of {raw.dtype}: 1, 3 or 4 channels of 8 or 16 bits are '
                        'allowed; save it as an 8- or 16-bit PNG.')
    if raw.ndim == 2:
        return raw[:, :, None]
    return cv2.cvtColor(raw, cv2.COLOR_BGR2RGB if raw.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture file from its header alone, before any EXIF turn.

    Raises:
        UserError: the file cannot be read or is no picture.
    """
    try:
        with Image.open(path) as header:
            return header.height, header.width
    except OSError:  # OpenCV knows some files that Pillow does not, and words the error where neither does
        height, width = decode(read_bytes(path), path).shape[:2]
        return height, width


def to_float(pixels: np.ndarray) -> np.ndarray:
    """Pixels of uint8 or uint16 as contiguous float32 in 0..1."""
    return np.ascontiguousarray(pixels, dtype=np.float32) / np.iinfo(pixels.dtype).max


def to_channels(pixels: np.ndarray, in_ch: int, name: str | Path = 'the picture') -> np.ndarray:
    """Bring a picture to the number of channels that a network reads.

    Colour becomes grey by BT.601 luminance, 0.299 R + 0.587 G + 0.114 B, rounded where the pixels are integers (as
    BSD68 was made of CBSD68). Grey that is stored as three equal channels gives exactly that channel.

    Args:
        pixels: (H, W, 1 or 3) uint8, uint16 or float32, RGB.
        in_ch: 1 or 3.
        name: what an error message calls the picture.

    Returns:
        (H, W, in_ch) of the same dtype.

    Raises:
        UserError: a grey picture where colour is asked for.
    """
    channels = pixels.shape[2]
    if channels == in_ch:
        return pixels
    if in_ch == 3:
        raise UserError(f'{name} is a grey picture where colour was asked for (`in_ch: 3`): write `in_ch: 1`, or leave '
                        'that picture out.')
    red = pixels[:, :, 0]
    if np.array_equal(red, pixels[:, :, 1]) and np.array_equal(red, pixels[:, :, 2]):
        return np.ascontiguousarray(red[:, :, None])
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None]


def write_picture(path: str | Path, pixels: np.ndarray, bits: int = 8, alpha: np.ndarray | None = None) -> None:
    """Write a picture file, whole or not at all: a stop half-way leaves neither a cut file nor a lost old one.

    Args:
        path: its extension says the format; the folder is made where it is missing.
        pixels: (H, W, 1 or 3) float in 0..1, grey or RGB; clipped, then rounded to ``bits``.
        bits: 8 or 16.
        alpha: (H, W) uint8 or uint16, rescaled where its bits differ from ``bits``.

    Raises:
        UserError: an unknown extension, a format that can't hold the bits or the alpha, or a disk that refuses it.
    """
    path = Path(path)
    picture_format = format_for(path, bits, alpha is not None)
    encoded = _encode(path, _to_integers(pixels, bits, alpha), picture_format)
    unfinished = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_bytes(encoded)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f'{path} cannot be written ({error.strerror}): give a folder that exists, or may be made, on a '
                        'disk with room.') from error


def format_for(path: str | Path, bits: int = 8, alpha: bool = False) -> _Format:
    """The format that a file name asks for, checked against what the picture needs (for a check before long work).

    Raises:
        UserError: an unknown extension, or a format that can't hold the bits or the alpha.
    """
    path = Path(path)
    picture_format = _FORMATS.get(path.suffix.lower())
    if picture_format is None:
        raise UserError(f'{path} has the extension {path.suffix!r}: known are {" ".join(EXTENSIONS)}; write '
                        f'{path.stem}.png.')
    if bits not in (8, 16):
        raise UserError(f'{path} is asked for with {bits} bits a channel: 8 and 16 are allowed.')
    lacking = [f'{bits} bits a channel'] if bits not in picture_format.bits else []
    lacking += ['an alpha channel'] if alpha and not picture_format.alpha else []
    if lacking:
        raise UserError(f'{path} cannot hold {" and ".join(lacking)}: {path.suffix} has no place for it; write '
                        f'{path.stem}.png.')
    return picture_format


def _to_integers(pixels: np.ndarray, bits: int, alpha: np.ndarray | None) -> np.ndarray:
    peak, dtype = 2**bits - 1, np.uint8 if bits == 8 else np.uint16
    # float64: peak * float32 would lose the last half step of 16 bits
    whole = np.rint(np.clip(pixels, 0, 1).astype(np.float64) * peak).astype(dtype)
    if alpha is None:
        return whole if whole.shape[2] == 1 else cv2.cvtColor(whole, cv2.COLOR_RGB2BGR)
    scale = peak / np.iinfo(alpha.dtype).max
    rescaled = np.rint(alpha * scale).astype(dtype)
    colours = whole if whole.shape[2] == 3 else np.repeat(whole, 3, axis=2)
    return np.dstack([colours[:, :, ::-1], rescaled])


def _encode(path: Path, integers: np.ndarray, picture_format: _Format) -> bytes:
    try:
        good, encoded = cv2.imencode(path.suffix.lower(), integers, list(picture_format.settings))
    except cv2.error as error:  # for example a WebP side beyond 16383
        raise UserError(f'{path} cannot be written ({error.err or error}): write {path.stem}.png.') from error
    if not good:
        raise UserError(f'{path} cannot be written: OpenCV refuses {integers.shape[1]}x{integers.shape[0]} pixels as '
                        f'{path.suffix}; write {path.stem}.png.')
    return encoded.tobytes()


def list_pictures(folder: str | Path, recursive: bool = False) -> list[Path]:
    """The picture files of a folder, sorted by their path; hidden files are left out.

    Raises:
        UserError: the folder is missing, is a file, or holds no picture.
    """
    folder = Path(folder)
    if not folder.exists():
        raise UserError(f'the folder {folder} does not exist (seen from {Path.cwd()}): give one that holds pictures.')
    if not folder.is_dir():
        raise UserError(f'{folder} is a file where a folder of pictures was asked for: give {folder.parent}.')
    pictures = sorted(_pictures_in(folder, recursive), key=lambda path: path.relative_to(folder).as_posix())
    if not pictures:
        raise UserError(f'no pictures in {folder}: known extensions are {" ".join(EXTENSIONS)}; '
                        f'{_way_out(folder, recursive)}.')
    return pictures


def _pictures_in(folder: Path, recursive: bool) -> Iterator[Path]:
    for path in folder.rglob('*') if recursive else folder.iterdir():
        hidden = any(part.startswith('.') for part in path.relative_to(folder).parts)
        if path.suffix.lower() in EXTENSIONS and not hidden and path.is_file():
            yield path


def _way_out(folder: Path, recursive: bool) -> str:
    deeper = None if recursive else next(_pictures_in(folder, recursive=True), None)
    if deeper is None:
        return 'put some there or give another folder'
    return f'there are some in its sub-folder: give {deeper.parent}, or ask for sub-folders too (`recursive`)'
