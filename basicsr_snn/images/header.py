"""What a picture file tells beside its pixels, read by Pillow, as OpenCV passes over it."""
from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

ORIENTATION = 0x0112
"""EXIF tag: which way up, 1 to 8."""

OPENCV_IGNORES_ORIENTATION = ('PNG', 'WEBP')
SEVERAL_PAGES = ('TIFF', 'PNG', 'WEBP', 'GIF')
"""Formats of pages or moving pictures. A JPEG that holds several is one photograph with previews."""


@dataclass(frozen=True)
class PictureHeader:
    """What Pillow found.

    Attributes:
        pages: Number of pictures in the file.
        grey: Whether it is stored without colour.
        transparent: Whether some of it may be transparent, by an alpha channel or a transparent colour.
        orientation: EXIF's number of the turn that is still to be made, 1: none.
        icc_profile: Its colour profile, or None.
    """

    pages: int = 1
    grey: bool = False
    transparent: bool = False
    orientation: int = 1
    icc_profile: bytes | None = None

    @property
    def profile(self) -> str | None:
        """Name of the colour profile; None: none, or sRGB."""
        if not self.icc_profile:
            return None
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(self.icc_profile))
            name = ImageCms.getProfileDescription(profile).strip()
        except (ImageCms.PyCMSError, OSError):
            return 'unknown'
        return None if 'srgb' in name.lower() else name or 'unnamed'


def read_header(content: bytes) -> PictureHeader:
    """The header of a picture file; an empty one where Pillow does not know the format."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            ignored = image.format in OPENCV_IGNORES_ORIENTATION
            return PictureHeader(
                pages=getattr(image, 'n_frames', 1) if image.format in SEVERAL_PAGES else 1,
                grey=image.mode in ('1', 'L', 'LA') or image.mode.startswith('I'),
                transparent=image.mode in ('LA', 'PA', 'RGBA') or 'transparency' in image.info,
                orientation=image.getexif().get(ORIENTATION, 1) if ignored else 1,
                icc_profile=image.info.get('icc_profile'))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return PictureHeader()


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (H, W, C) the right way up, by EXIF's number of the turn."""
    if orientation in (5, 6, 7, 8):  # rows and columns change places
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
