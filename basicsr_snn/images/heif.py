"""AVIF and HEIC files, by Pillow where it can: AVIF by itself, HEIC with the package pillow-heif."""
from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from basicsr_snn.errors import UserError
from basicsr_snn.images.carried import Carried
from basicsr_snn.images.carried_reading import carried_by_image
from basicsr_snn.images.header import PictureHeader, orientation_in, turned

LONGEST_BRANDS = 64
"""Bytes at the start of a file within which its brands are looked for."""

AVIF_BRANDS = (b'avif', b'avis')
HEIC_BRANDS = (b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx', b'mif1', b'msf1')
BITS_BOX, LONGEST_HEAD = b'pixi', 2**16


@dataclass(frozen=True)
class Kind:
    """One of the two: its name, the module that opens it, the class there, and what to install."""

    name: str
    module: str
    opener: str
    install: str

    def open(self, file: BinaryIO) -> Image.Image:
        """The file as Pillow opens it, which is not decoded yet.

        Raises:
            UserError: Pillow can't.
        """
        self.need()
        file.seek(0)
        return getattr(importlib.import_module(self.module), self.opener)(file)  # names of the two above

    def need(self) -> None:
        """Make sure that Pillow reads and writes such files.

        Raises:
            UserError: it can't.
        """
        try:
            found: Any = importlib.import_module(self.module)
            if self.name == 'AVIF':
                usable = found.SUPPORTED
            else:
                found.register_heif_opener(thumbnails=False)
                usable = True
        except ImportError:
            usable = False
        if not usable:
            raise UserError(f'is an {self.name} file, which Pillow does not know here: type `pip install '
                            f'{self.install}`, or use PNG or JPEG.')


AVIF = Kind('AVIF', 'PIL.AvifImagePlugin', 'AvifImageFile', "-U 'pillow>=11.3'")
HEIC = Kind('HEIC', 'pillow_heif', 'HeifImageFile', 'pillow-heif')


def is_avif(start: bytes) -> bool:
    """Whether a file begins as AVIF."""
    return start[4:8] == b'ftyp' and any(brand in AVIF_BRANDS for brand in _brands(start))


def is_heic(start: bytes) -> bool:
    """Whether a file begins as HEIC."""
    return start[4:8] == b'ftyp' and not is_avif(start) and any(brand in HEIC_BRANDS for brand in _brands(start))


def _brands(start: bytes) -> list[bytes]:
    """The main brand, and those that the file claims to be compatible with."""
    stop = min(int.from_bytes(start[:4], 'big'), len(start))
    return [start[8:12], *(start[at:at + 4] for at in range(16, stop, 4))]


def header_reader(kind: Kind) -> Callable[[BinaryIO], PictureHeader]:
    """What reads the header of such a file."""
    def read(file: BinaryIO) -> PictureHeader:
        image: Any = kind.open(file)
        width, height = image.size
        return PictureHeader(width, height, pages=image.n_frames, transparent='A' in image.mode,
                             grey=image.mode in ('L', 'LA'), orientation=orientation_in(image.info.get('exif')),
                             icc_profile=image.info.get('icc_profile'))
    return read


def decoder(kind: Kind) -> Callable[[bytes, Any], tuple[np.ndarray, np.ndarray | None]]:
    """What decodes such a file to 8 bits."""
    def decode(content: bytes, header: PictureHeader) -> tuple[np.ndarray, np.ndarray | None]:
        pixels = np.asarray(kind.open(io.BytesIO(content)))
        pixels = turned(pixels if pixels.ndim == 3 else pixels[:, :, None], header.orientation)
        if not header.transparent:
            return pixels, None
        return np.ascontiguousarray(pixels[:, :, :-1]), np.ascontiguousarray(pixels[:, :, -1])
    return decode


def carried_reader(kind: Kind) -> Callable[[BinaryIO], Carried]:
    """What reads all that such a file carries."""
    def read(file: BinaryIO) -> Carried:
        carried = carried_by_image(kind.open, file)
        file.seek(0)
        head = file.read(LONGEST_HEAD)
        at = head.find(BITS_BOX)
        bits = head[at + 9] if 0 <= at < len(head) - 9 else 8  # behind the version and the number of channels
        return carried if bits <= 8 else carried.without(f'its bits beyond 8 (it has {bits} a channel)')
    return read
