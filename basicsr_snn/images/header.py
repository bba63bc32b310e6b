"""What a picture file tells beside its pixels: size, pages, transparency, turn and colour profile."""
from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

ORIENTATION = 0x0112
"""EXIF tag: which way up, 1 to 8."""

UPRIGHT = 1
QUARTER_TURNS = (5, 6, 7, 8)
"""Orientations in which rows and columns change places."""


@dataclass(frozen=True)
class PictureHeader:
    """What the head of a picture file says.

    Attributes:
        width: Columns as stored, before any turn.
        height: Rows as stored.
        pages: Number of pictures in the file.
        grey: Whether it is stored without colour.
        transparent: Whether some of it may be transparent, by an alpha channel or a transparent colour.
        inks: Whether its colours are those of four inks (CMYK).
        orientation: EXIF's number of the turn, 1: none.
        icc_profile: Its colour profile, or None.
    """

    width: int
    height: int
    pages: int = 1
    grey: bool = False
    transparent: bool = False
    inks: bool = False
    orientation: int = UPRIGHT
    icc_profile: bytes | None = None

    @property
    def upright_size(self) -> tuple[int, int]:
        """Height and width after the turn."""
        return (self.width, self.height) if self.orientation in QUARTER_TURNS else (self.height, self.width)

    @property
    def profile(self) -> str | None:
        """Name of the colour profile; None: none, or sRGB."""
        if not self.icc_profile:
            return 'CMYK' if self.inks else None
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(self.icc_profile))
            name = ImageCms.getProfileDescription(profile).strip()
        except (ImageCms.PyCMSError, OSError):
            return 'unknown'
        return None if 'srgb' in name.lower() else name or 'unnamed'


def orientation_in(exif: bytes | None) -> int:
    """The turn that EXIF data ask for; none where they are damaged, as viewers do."""
    found = Image.Exif()
    try:
        found.load(exif or b'')
        orientation = found.get(ORIENTATION, UPRIGHT)
    except Exception:  # Pillow lets any error of its parser through
        return UPRIGHT
    return orientation if orientation in range(1, 9) else UPRIGHT


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (H, W, C) the right way up, by EXIF's number of the turn."""
    if orientation in QUARTER_TURNS:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
