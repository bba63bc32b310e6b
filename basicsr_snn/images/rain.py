"""Rain: streaks of light in front of a picture.

The model is that of heavy rain in Rain100H (Yang et al., Deep Joint Rain Detection and Removal from a Single Image,
CVPR 2017): layers of sharp line streaks, each of one direction with a small variation, are added to the picture and
clipped. How long, wide, soft, bright and many the streaks are, the paper does not say: that is our choice, after
looking at 15 pairs of Rain100H, whose rain is the same in all colours.
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_FINER = 4
"""Streaks are drawn on a grid that is finer by this factor, so that their edges lie between pixels."""
_SHEETS = 3
"""Streaks of one shower lie in this many sheets, whose light adds up; in one sheet the later hides the earlier."""


@dataclass(frozen=True)
class Shower:
    """Rain of one direction.

    Attributes:
        angle: Of the streaks in degrees from the vertical; above 0 they fall to the left.
        spread: Standard deviation of the angle of single streaks, in degrees.
        length: Mean length of a streak in pixels; single ones have half to one and a half times of it.
        width: Mean width in pixels; likewise.
        softness: Standard deviation in pixels of the Gaussian that softens their edges; 0: sharp.
        coverage: Area of all streaks as a share of that of the picture, also where they lie over one another.
        brightness: Light that the brightest streaks add, 0..1; single ones add half of it at least.
    """

    angle: float
    spread: float
    length: float
    width: float
    softness: float
    coverage: float
    brightness: float


def draw_streaks(height: int, width: int, shower: Shower, rng: np.random.Generator) -> np.ndarray:
    """The light of the streaks of a shower.

    Args:
        height: Of the picture.
        width: Of the picture.
        shower: What they are like.
        rng: For places, angles, sizes and brightness.

    Returns:
        (H, W) float32 in 0..1.
    """
    reach = _reach(shower)
    near = np.array([width, height]) + 2 * reach
    count = int(rng.poisson(shower.coverage * near.prod() / (shower.length * shower.width)))
    corners = _corners(rng.random((count, 2)) * near - reach, shower, rng)
    places = np.rint(_FINER * corners - 0.5).astype(np.int32)
    brightness = np.rint(255 * shower.brightness * rng.uniform(0.5, 1, count)).tolist()
    fine: np.ndarray = np.zeros((_FINER * height, _FINER * width), np.uint8)
    for sheet in range(_SHEETS):
        fine = cv2.add(fine, _drawn(fine.shape, places[sheet::_SHEETS], brightness[sheet::_SHEETS]))
    light = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return cv2.GaussianBlur(light, (0, 0), shower.softness) if shower.softness > 0 else light


def _reach(shower: Shower) -> np.ndarray:
    """How far to the side and up and down streaks reach from their centres, so that those outside reach in, too."""
    angles = np.deg2rad(shower.angle + np.linspace(-3, 3, 13) * shower.spread)
    extent = np.array([np.abs(np.sin(angles)).max(), np.abs(np.cos(angles)).max()])
    return 0.75 * (shower.length * extent + shower.width)


def _corners(centres: np.ndarray, shower: Shower, rng: np.random.Generator) -> np.ndarray:
    """Corners of streaks (N, 4, 2), x before y, in pixels."""
    angles = np.deg2rad(shower.angle + shower.spread * rng.standard_normal(len(centres)))
    along = np.stack([-np.sin(angles), np.cos(angles)], 1)
    across = along[:, ::-1] * (1, -1)
    length, width = 0.5 * rng.uniform(0.5, 1.5, (2, len(centres), 1)) * [[[shower.length]], [[shower.width]]]
    ends, sides = length * along, (width - 0.5 / _FINER) * across  # what is filled includes its edge
    return centres[:, None] + np.stack([ends + sides, ends - sides, -ends - sides, sides - ends], 1)


def _drawn(shape: tuple[int, ...], places: np.ndarray, brightness: list[float]) -> np.ndarray:
    sheet = np.zeros(shape, np.uint8)
    for place, value in zip(places, brightness, strict=True):
        cv2.fillConvexPoly(sheet, place, value)
    return sheet


def with_streaks(picture: np.ndarray, streaks: np.ndarray) -> np.ndarray:
    """A picture (H, W, C) with the light of streaks (H, W) added to each channel, not clipped."""
    return picture + streaks[..., None]


def light_of_rain(rainy: np.ndarray, dry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The light that rain has added to a picture: what :func:`with_streaks` would add.

    Args:
        rainy: (H, W, C) uint8.
        dry: The same without rain.

    Returns:
        (H, W) uint8, of the channel that had the most room up to white; and (H, W) bool, where no channel had enough,
        so that there may have been more light.
    """
    return cv2.subtract(rainy, dry).reshape(rainy.shape).max(2), rainy.min(2) == 255
