"""Pictures of every kind that Python has: arrays, PIL images and files, each answered by one of the same kind."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from basicsr_snn.errors import UserError
from basicsr_snn.images.files import read_picture

HIGHEST = 2.0
"""A float picture beyond it, or below -1, is not one in 0..1 with noise, unless strong noise is told."""

MODES = ('L', 'LA', 'RGB', 'RGBA', 'I;16')


@dataclass(frozen=True)
class Given:
    """What was given: colours (H, W, 1 or 3), and alpha that is not restored, (H, W) of the same type, or None."""

    colours: np.ndarray
    alpha: np.ndarray | None = None


Restoring = Callable[[Given], np.ndarray]
"""From what was given to the restored colours, alpha behind them, of its type."""


def restored_in_kind(picture: Any, restored: Restoring, verb: str, noise: float = 0.0) -> Any:
    """A picture restored, in the kind in which it was given.

    Args:
        picture: An array, a PIL image or the path of a file, as :func:`basicsr_snn.restore` takes them.
        restored: What restores it.
        verb: The function that was called, for messages.
        noise: How far noise reaches beyond 0 and 1, by the level that was told.

    Raises:
        UserError: It is no picture, or of a kind that is not restored.
    """
    if isinstance(picture, Image.Image):
        return _of_image(picture, restored)
    if isinstance(picture, str | Path):
        read = read_picture(picture)
        read.refuse_inks()
        answer = restored(Given(read.stored, read.alpha))
        return answer[:, :, 0] if answer.shape[2] == 1 else answer
    answer = restored(Given(_array(picture, noise, verb)))
    return answer.reshape(*answer.shape[:2], *picture.shape[2:]).astype(picture.dtype, copy=False)


def _of_image(image: Image.Image, restored: Restoring) -> Image.Image:
    if image.mode not in MODES:
        raise UserError(f'a PIL image of mode {image.mode} was given, but {", ".join(MODES)} are restored; give '
                        "image.convert('RGB').")
    if 'transparency' in image.info:
        raise UserError('a PIL image with a transparent colour was given, which the restored picture would not have; '
                        "give image.convert('RGBA').")
    pixels = np.asarray(image)
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    has_alpha = image.mode in ('LA', 'RGBA')
    colours = restored(Given(pixels[:, :, :-1], pixels[:, :, -1]) if has_alpha else Given(pixels))
    answer = Image.fromarray(colours[:, :, 0] if colours.shape[2] == 1 else colours)
    answer.info = dict(image.info)
    return answer


def _array(picture: object, noise: float, verb: str) -> np.ndarray:
    """The array as (H, W, C), in this machine's order of bytes.

    Args:
        picture: What was given.
        noise: How far noise reaches beyond 0 and 1, by the level that was told.
        verb: The function that was called, for messages.

    Raises:
        UserError: it is no picture.
    """
    if not isinstance(picture, np.ndarray):
        other = ('a tensor, which a network of basicsr_snn.load takes' if isinstance(picture, torch.Tensor) else
                 type(picture).__name__)
        raise UserError(f'{verb} was given {other}; give an array of NumPy, a PIL image, or the path of a picture.')
    if picture.ndim not in (2, 3) or picture.size == 0 or picture.ndim == 3 and picture.shape[2] not in (1, 3):
        first = ' (channels are last here: give picture.transpose(1, 2, 0))' if (
            picture.ndim == 3 and picture.shape[0] in (1, 3)) else ''
        alpha = ' (without alpha: give picture[..., :3])' if picture.ndim == 3 and picture.shape[2] == 4 else ''
        raise UserError(f'an array of shape {picture.shape} is no picture; (height, width) and (height, width, 3) are '
                        f'restored{first}{alpha}.')
    picture = np.asarray(picture, picture.dtype.newbyteorder('='))
    if picture.dtype in (np.uint8, np.uint16):
        return picture.reshape(*picture.shape[:2], -1)
    if not np.issubdtype(picture.dtype, np.floating):
        raise UserError(f'an array of {picture.dtype} was given; uint8, uint16, and floats in 0..1 are restored, so '
                        'write for example picture.astype(numpy.uint8).')
    lowest, highest = float(picture.min()), float(picture.max())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise UserError('the picture holds NaN or infinity; give finite values in 0..1.')
    if lowest < 1 - HIGHEST - noise or highest > HIGHEST + noise:
        raise UserError(f'a float picture with values from {lowest:g} to {highest:g} was given, but 0..1 is meant; '
                        'divide it by its white, for example picture / 255.')
    return picture.reshape(*picture.shape[:2], -1)
