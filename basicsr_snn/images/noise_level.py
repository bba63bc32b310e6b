"""How strong the noise of a picture is, found from the picture alone."""
from __future__ import annotations

import cv2
import numpy as np

FINEST_DETAIL = np.array([-0.12940952255126037, -0.2241438680420134, 0.836516303737808, -0.48296291314453416])
"""High-pass filter of the wavelet db2."""

BLOCK = 16
"""Side of the blocks of detail."""

QUIET_SHARE = 0.2
"""Blocks that are quieter than the level that is taken."""

QUIETEST = 1.066
"""By how much these are quieter than the average where there is nothing but noise (measured on noise)."""

LARGEST_PART = 2048
"""Side of the part in the middle that is looked at: more pixels make it slower, not better."""

CAMERA_SPACING = 3
"""Pixels so far apart have little noise in common, after what cameras do to it."""

CAMERA_SHARE, MOST_TOLD = 4.0, 75.0
"""Networks for white noise leave smoothed noise alone unless they are told about four times what is found so (measured
with FFDNet on PolyU's training scenes: studies/real_noise/told_levels.py); they are trained for no more than 75."""


def estimate_noise_level(pixels: np.ndarray) -> float:
    """The standard deviation of white Gaussian noise on the 0..255 scale.

    The finest diagonal detail of a photograph is mostly noise. Its strength is taken where there is least texture: in
    the blocks of 16x16 of which a fifth is quieter (our choice; nearer to the truth than the median over all pixels,
    which is scikit-image's ``estimate_sigma``). Noise that is smoothed, as that of cameras, is told too low, and a
    picture that is fine texture all over has some of it counted as noise.

    Args:
        pixels: (H, W, C) float in 0..1.
    """
    part = middle(pixels)
    levels = [_level(np.ascontiguousarray(part[:, :, channel], dtype=np.float32)) for channel in range(part.shape[2])]
    return 255 * float(np.mean(levels))


def estimate_camera_noise(pixels: np.ndarray) -> float:
    """The level, on the 0..255 scale, that a network for white noise is best told of a photograph.

    Looked at is every third pixel, as neighbours share noise that a camera has smoothed. It is more than the noise has:
    a network for white noise takes smoothed noise of its own strength for texture.

    Args:
        pixels: (H, W, C) float in 0..1.
    """
    found = estimate_noise_level(middle(pixels)[::CAMERA_SPACING, ::CAMERA_SPACING])
    return min(CAMERA_SHARE * found, MOST_TOLD)


def middle(pixels: np.ndarray) -> np.ndarray:
    """The part in the middle of a picture that is looked at."""
    starts = [max(0, (side - LARGEST_PART) // 2) for side in pixels.shape[:2]]
    rows, columns = (slice(start, start + LARGEST_PART) for start in starts)
    return pixels[rows, columns]


def block_strengths(plane: np.ndarray) -> np.ndarray:
    """Root mean squares of the blocks of about 16x16 that a plane (H, W) is cut into."""
    high, wide = (max(1, side // BLOCK) for side in plane.shape)
    rows, columns = (np.array_split(np.arange(side), count) for side, count in zip(plane.shape, (high, wide),
                                                                                   strict=True))
    squares = np.add.reduceat(np.add.reduceat(plane.astype(np.float64) ** 2, [row[0] for row in rows], 0),
                              [column[0] for column in columns], 1)
    return np.sqrt(squares / np.outer([len(row) for row in rows], [len(column) for column in columns]))


def _level(channel: np.ndarray) -> float:
    strengths = block_strengths(cv2.sepFilter2D(channel, cv2.CV_32F, FINEST_DETAIL, FINEST_DETAIL))
    alive = strengths[strengths > 0]  # flat areas, such as borders, tell nothing
    return float(np.quantile(alive, QUIET_SHARE)) * QUIETEST if alive.size else 0.0
