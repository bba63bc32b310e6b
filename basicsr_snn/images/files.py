"""Picture files: RGB or grey, 8 or 16 bits, with or without alpha, read whole and written whole."""
from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from basicsr_snn.errors import UserError, first_line
from basicsr_snn.images.carried import Carried
from basicsr_snn.images.encoding import EXTENSIONS, FORMATS, Format, encode
from basicsr_snn.images.reading import decode, read_carried, read_header

NOTHING = Carried()
_DTYPES: dict[int, type[np.unsignedinteger]] = {8: np.uint8, 16: np.uint16}


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        stored: (H, W, C) as in the file, uint8 or uint16; C is 3 (RGB) or 1 (grey).
        alpha: (H, W) of the same dtype, or None.
        path: the file.
        profile: name of its colour profile; None: none, or sRGB.
        inks: whether its file stores colours as those of four inks (CMYK), of which RGB was made.
        carried: what its file carries beside the pixels, where that was asked for.
    """

    stored: np.ndarray
    alpha: np.ndarray | None
    path: Path
    profile: str | None = None
    inks: bool = False
    carried: Carried = NOTHING

    @property
    def pixels(self) -> np.ndarray:
        """(H, W, C) float32 in 0..1, made at each call: four times the memory of 8 bits."""
        return to_float(self.stored)

    @property
    def bits(self) -> int:
        """Bits per channel of the file, 8 or 16."""
        return self.stored.dtype.itemsize * 8

    def refuse_inks(self) -> None:
        """Refuse a picture whose colours would come back as others than were given.

        Raises:
            UserError: they are those of four inks.
        """
        if self.inks:
            raise UserError(f'{self.path} stores the colours of four inks (CMYK), which no network here restores: '
                            'convert it to RGB with a program that knows its profile.')


def read_picture(path: str | Path, carried: bool = False) -> Picture:
    """Read a picture file, with ``carried`` also what it carries beside its pixels.

    Raises:
        UserError: the file is missing, or cannot be decoded (:func:`decode`).
    """
    path = Path(path)
    content = read_bytes(path)
    header = read_header(io.BytesIO(content), path)
    stored, alpha = decode(content, path, header)
    return Picture(stored, alpha, path, header.profile, header.inks,
                   read_carried(content, path) if carried else NOTHING)


def read_bytes(path: Path) -> bytes:
    """The content of a file, with a sentence that names it where it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f'{path} cannot be read ({error.strerror}): check the path and its permissions.')


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture file, the right way up, from its header alone.

    Raises:
        UserError: the file cannot be read, or holds what :func:`read_header` refuses.
    """
    try:
        with path.open('rb') as file:
            return read_header(file, path).upright_size
    except OSError as error:
        raise _unreadable(path, error) from error


def to_float(pixels: np.ndarray) -> np.ndarray:
    """Pixels of uint8 or uint16, or floats in 0..1, as contiguous float32 in 0..1."""
    if np.issubdtype(pixels.dtype, np.floating):
        return np.ascontiguousarray(pixels, dtype=np.float32)
    return np.ascontiguousarray(pixels, dtype=np.float32) / np.iinfo(pixels.dtype).max


def to_tensor(pixels: np.ndarray) -> Tensor:
    """(H, W, C) to (C, H, W), of the same type and values."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


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


def write_picture(path: str | Path, pixels: np.ndarray, bits: int = 8, alpha: np.ndarray | None = None,
                  carried: Carried = NOTHING, quality: int | None = None) -> tuple[str, ...]:
    """Write a picture file, whole or not at all: a stop half-way leaves neither a cut file nor a lost old one.

    Args:
        path: its extension says the format; the folder is made where it is missing.
        pixels: (H, W, 1 or 3), grey or RGB: float in 0..1, clipped, then rounded to ``bits``; or uint8 or uint16, taken
            as they are.
        bits: 8 or 16; without effect on integers.
        alpha: (H, W) uint8 or uint16, rescaled where its bits differ from ``bits``.
        carried: what to write beside the pixels.
        quality: 1 to 100, of a JPEG, or of a WebP, which is lossless without it, of an AVIF or HEIC. None: that of the
            input, where both are JPEG, else a high one.

    Returns:
        What of ``carried`` the file does not hold, each for the middle of a sentence.

    Raises:
        UserError: an unknown extension, a format that can't hold the bits or the alpha, or a disk that refuses it.
    """
    path = Path(path)
    whole = np.issubdtype(pixels.dtype, np.integer)
    picture_format = format_for(path, pixels.dtype.itemsize * 8 if whole else bits, alpha is not None)
    integers = pixels if whole else to_integers(pixels, bits)
    encoded, left_out = _encode(path, integers, alpha, picture_format, carried, quality)
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
    return left_out


def format_for(path: str | Path, bits: int = 8, alpha: bool = False) -> Format:
    """The format that a file name asks for, checked against what the picture needs (for a check before long work).

    Raises:
        UserError: an unknown extension, or a format that can't hold the bits or the alpha.
    """
    path = Path(path)
    picture_format = FORMATS.get(path.suffix.lower())
    if picture_format is None:
        raise UserError(f'{path} has the extension {path.suffix!r}: known are {" ".join(EXTENSIONS)}; write '
                        f'{path.stem}.png.')
    if bits not in _DTYPES:
        raise UserError(f'{path} is asked for with {bits} bits a channel: 8 and 16 are allowed.')
    lacking = [f'{bits} bits a channel'] if bits not in picture_format.bits else []
    lacking += ['an alpha channel'] if alpha and not picture_format.alpha else []
    if lacking:
        raise UserError(f'{path} cannot hold {" and ".join(lacking)}: {path.suffix} has no place for it; write '
                        f'{path.stem}.png{", or ask for 8 bits" if lacking == ["16 bits a channel"] else ""}.')
    return picture_format


def to_integers(pixels: np.ndarray, bits: int = 8) -> np.ndarray:
    """Pixels in 0..1, float32, clipped and rounded to uint8 or uint16: 8 bits exactly as BasicSR's ``tensor2img``."""
    peak = np.iinfo(_DTYPES[bits]).max
    clipped = np.clip(pixels, 0, 1)
    if bits == 16:
        clipped = clipped.astype(np.float64)  # peak * float32 would lose the last half step of 16 bits
    return np.rint(clipped * peak).astype(_DTYPES[bits])


def _encode(path: Path, integers: np.ndarray, alpha: np.ndarray | None, picture_format: Format, carried: Carried,
            quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    if alpha is not None:
        if alpha.dtype != integers.dtype:
            factor = np.iinfo(integers.dtype).max / np.iinfo(alpha.dtype).max
            alpha = np.rint(alpha * factor).astype(integers.dtype)
        integers = np.dstack([integers, alpha])
    try:
        return encode(np.ascontiguousarray(integers), picture_format, carried, quality)
    except UserError as error:
        raise UserError(f'{path} {error}') from error
    except Exception as error:  # for example a WebP side beyond 16383; encoders raise what they like
        height, width = integers.shape[:2]
        raise UserError(f'{path} cannot be written: {width}x{height} pixels are refused as {path.suffix} '
                        f'({first_line(error)}); write {path.stem}.png.') from error
