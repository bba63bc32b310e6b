"""How a camera makes its noise: back to linear light on the sensor, shot and read noise there, developed again.

The steps, the line of shot and read noise and the ranges of the white balance are those of Brooks et al. (Unprocessing
Images for Learned Raw Denoising, CVPR 2019). CBDNet (Guo et al., CVPR 2019) adds demosaicking and JPEG behind such
noise, SCUNet (Zhang et al., 2022) a change of size. Where something is our choice, it says so.
"""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

GAMMA = 2.2
GREY_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)

COLOUR_MATRIX = np.array([[1.65, -0.5, -0.15], [-0.2, 1.5, -0.3], [0.0, -0.5, 1.5]], np.float32)
"""From the colours of a sensor to those of sRGB, of the size that such matrices have (our choice, of no one camera).
Rows sum to 1, so that grey stays grey: the diagonal is made so."""
MATRIX_SPREAD = 0.15
"""Each entry beside the diagonal is drawn within this of :data:`COLOUR_MATRIX` (our choice)."""
RED_GAIN, BLUE_GAIN = (1.9, 2.4), (1.5, 1.9)
"""White balance relative to green (Brooks et al.)."""
READ_SLOPE, READ_OFFSET, READ_SPREAD = 2.18, 1.2, 0.26
"""``log(read) = 2.18 log(shot) + 1.2``, with a normal spread of 0.26: what Brooks et al. fitted to the cameras of the
Darmstadt noise dataset."""


@dataclass(frozen=True)
class Sensor:
    """One camera at one ISO.

    Attributes:
        shot: Variance of a pixel for each unit of light, which is 0..1 from black to white.
        read: Variance of a pixel in the dark.
        matrix: Colours of the sensor to those of the picture, (3, 3).
        gains: White balance: what red, green and blue are multiplied by, (3,).
    """

    shot: float
    read: float
    matrix: np.ndarray
    gains: np.ndarray


def draw_sensor(rng: np.random.Generator, shot_range: tuple[float, float]) -> Sensor:
    """A camera at random: ``shot`` log-uniform in ``shot_range``, ``read`` near the line of Brooks et al."""
    log_shot = rng.uniform(*np.log(shot_range))
    read = float(np.exp(READ_SLOPE * log_shot + READ_OFFSET + rng.normal(0, READ_SPREAD)))
    beside = ~np.eye(3, dtype=bool)
    matrix = np.where(beside, COLOUR_MATRIX + rng.uniform(-MATRIX_SPREAD, MATRIX_SPREAD, (3, 3)), 0)
    matrix[np.diag_indices(3)] = 1 - matrix.sum(1)
    gains = np.array([rng.uniform(*RED_GAIN), 1, rng.uniform(*BLUE_GAIN)])
    return Sensor(float(np.exp(log_shot)), read, matrix.astype(np.float32), gains.astype(np.float32))


def to_sensor(picture: np.ndarray, sensor: Sensor) -> np.ndarray:
    """Light on the sensor, linear, (H, W, 3) float32 >= 0: tone curve, gamma, colours and white balance undone."""
    flat = 0.5 - np.sin(np.arcsin(1 - 2 * picture.clip(0, 1)) / 3)  # the inverse of 3x^2 - 2x^3
    linear = flat.clip(0, 1) ** GAMMA
    return (linear @ np.linalg.inv(sensor.matrix).T).clip(0, None) / sensor.gains


def develop(light: np.ndarray, sensor: Sensor) -> np.ndarray:
    """The picture, (H, W, 3) float32 in 0..1, of what a sensor saw: the inverse of :func:`to_sensor`."""
    linear = ((light * sensor.gains) @ sensor.matrix.T).clip(0, 1)
    flat = linear ** (1 / GAMMA)
    return 3 * flat**2 - 2 * flat**3


def mosaic(light: np.ndarray) -> np.ndarray:
    """What a sensor sees behind a Bayer filter (red, green / green, blue): (H, W, 3) to (H, W)."""
    seen = light[..., 1].copy()
    seen[::2, ::2], seen[1::2, 1::2] = light[::2, ::2, 0], light[1::2, 1::2, 2]
    return seen


_GREEN = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], np.float32) / 4
_COLOUR = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / 4


def demosaic(seen: np.ndarray) -> np.ndarray:
    """Bilinear interpolation of a Bayer mosaic, mirrored at the borders: (H, W) to (H, W, 3)."""
    red, green, blue = np.zeros_like(seen), seen.copy(), np.zeros_like(seen)
    red[::2, ::2], blue[1::2, 1::2] = seen[::2, ::2], seen[1::2, 1::2]
    green[::2, ::2] = green[1::2, 1::2] = 0
    return np.stack([cv2.filter2D(channel, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
                     for channel, kernel in ((red, _COLOUR), (green, _GREEN), (blue, _COLOUR))], axis=-1)


def photograph(picture: np.ndarray, sensor: Sensor, rng: np.random.Generator) -> np.ndarray:
    """A picture with the noise that a camera would have added to it.

    Each pixel of the sensor has shot noise, whose variance grows with the light of the one colour that it sees, and
    read noise; both Gaussian, as photons are many. The noise is demosaiced and developed, which smooths and mixes it;
    the picture itself is not, as it has been through a camera already.

    Args:
        picture: (H, W, 3) float32 in 0..1.
        sensor: The camera.
        rng: For the noise.

    Returns:
        (H, W, 3) float32, not clipped.
    """
    light = to_sensor(picture, sensor)
    noise = shot_and_read_noise(mosaic(light), sensor, rng)
    return picture + develop(light + demosaic(noise), sensor) - develop(light, sensor)


def shot_and_read_noise(light: np.ndarray, sensor: Sensor, rng: np.random.Generator) -> np.ndarray:
    """Noise of the variance ``shot * light + read`` at each pixel, float32, of the shape of ``light``."""
    return np.sqrt(sensor.shot * light + sensor.read) * rng.standard_normal(light.shape, np.float32)


def smooth_noise(clean: np.ndarray, noisy: np.ndarray, light: float, colour: float) -> np.ndarray:
    """What a camera's own noise reduction leaves: noise of the colours is smoothed more than that of the light.

    Edges stay, as such filters spare them: only what was added is smoothed (our choice, after measuring real pairs).

    Args:
        clean: (H, W, 3) float32.
        noisy: The same with noise.
        light: Standard deviation in pixels of the Gaussian that smooths the noise of the luminance; 0: none.
        colour: The same for what is left of each channel.
    """
    noise = noisy - clean
    of_light = (noise @ GREY_WEIGHTS)[..., None]
    of_colour = noise - of_light
    return clean + _blurred(of_light, light) + _blurred(of_colour, colour)


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), sigma).reshape(picture.shape) if sigma > 0 else picture


def scaled(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture made smaller, as cameras and web sites do: each pixel becomes the mean of those that it covers."""
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, -1)


def enlarged(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture (H, W, C) in 0..1 made larger, by cubic interpolation: as smooth from pixel to pixel as one of full
    resolution."""
    larger = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, -1)
    return larger.clip(0, 1)

