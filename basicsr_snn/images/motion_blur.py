"""Blur of a camera that moves while it takes a picture: a random path of a point of light, and what it does.

The path is that of Boracchi and Foi (Modeling the Performance of Image Restoration from Motion Blur, IEEE Transactions
on Image Processing 21(8), 2012), which Kupyn et al. (DeblurGAN, CVPR 2018) train with: a particle whose velocity is
disturbed at random, drawn back to where it began, now and then reversed by a jerk, and always of the same speed, so
that paths of one exposure have one length. Their numbers belong to 2000 steps of 64 pixels; here the disturbances are
told for each pixel of the path, so that they do not depend on the number of steps (our choice). Blur is the same in
the whole picture, and taken of the pixels as they are stored, as there.
"""
from __future__ import annotations

import cmath
import math

import cv2
import numpy as np

STEPS_OF_A_PIXEL = 8
PULL = 0.02
"""How much the velocity turns back to the beginning for each pixel of the path and pixel of distance (our choice)."""
JERK = 0.5
"""A jerk turns the direction round, give or take this many radians (Boracchi and Foi)."""


def draw_path(length: float, wander: float, jerks: float, rng: np.random.Generator) -> np.ndarray:
    """The path of a point of light during the exposure.

    Args:
        length: Of the path in pixels.
        wander: By how much the direction changes at random in one pixel of the path, in radians (standard deviation);
            0: it is straight but for jerks.
        jerks: How many there are in one pixel of the path, on average.
        rng: For everything.

    Returns:
        Rows and columns (N, 2) float64 at equal distances of time, in pixels, their mean 0.
    """
    steps = max(1, math.ceil(length * STEPS_OF_A_PIXEL))
    step = length / steps
    disturbances = wander * math.sqrt(step) * rng.standard_normal((steps, 2))
    jerky = rng.random(steps) < jerks * step
    turns = rng.uniform(-JERK, JERK, steps)
    direction = cmath.exp(1j * rng.uniform(0, 2 * math.pi))
    place, places = 0j, [0j]
    for disturbance, jerk, turn in zip(disturbances.tolist(), jerky.tolist(), turns.tolist(), strict=True):
        if jerk:
            direction = -direction * cmath.exp(1j * turn)
        direction += complex(*disturbance) - PULL * step * place
        direction /= abs(direction) or 1.0
        place += step * direction
        places.append(place)
    path = np.array(places)
    path -= path.mean()
    return np.stack([path.imag, path.real], axis=1)


def kernel_of(path: np.ndarray) -> np.ndarray:
    """The picture of a point of light on a path (N, 2), float32 of sum 1, with odd sides and the point at its centre.

    Each point of the path is shared among the four pixels around it.
    """
    radius = math.ceil(np.abs(path).max())
    side = 2 * radius + 1
    kernel = np.zeros((side + 1, side + 1))
    corner = np.floor(path).astype(int)
    down, right = (path - corner).T
    row, column = (corner + radius).T
    for below, beside in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = (down if below else 1 - down) * (right if beside else 1 - right)
        np.add.at(kernel, (row + below, column + beside), share)
    return (kernel[:side, :side] / len(path)).astype(np.float32)


def blurred(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A picture (H, W, C) float32 convolved with a kernel, mirrored at its borders."""
    whole = cv2.filter2D(picture, -1, cv2.flip(kernel, -1), borderType=cv2.BORDER_REFLECT_101)
    return whole.reshape(picture.shape)
