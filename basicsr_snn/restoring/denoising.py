"""``basicsr_snn.denoise``: a picture of any kind in, one of the same kind out."""
from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from basicsr_snn import zoo
from basicsr_snn.engines.placing import place
from basicsr_snn.errors import UserError
from basicsr_snn.images.enlarging import enlarged
from basicsr_snn.images.files import Picture, read_picture, to_float, to_integers
from basicsr_snn.images.noise_level import estimate_noise_level, middle
from basicsr_snn.inference.calling import usual_device
from basicsr_snn.inference.defaults import AUTO_LEVEL, STRONGEST
from basicsr_snn.inference.denoising import Denoiser
from basicsr_snn.restoring.choice import level_of_a_student
from basicsr_snn.zoo.trained_network import named_network

HIGHEST = 2.0
"""A float picture beyond it, or below -1, is not one in 0..1 with noise, unless strong noise is told."""

NOISIEST = 6.0
"""Standard deviations that no noise leaves."""

NUMBERS = (int, float, np.integer, np.floating)

MODES = ('L', 'LA', 'RGB', 'RGBA', 'I;16')
KEPT_NETWORKS = 4


@dataclass(frozen=True)
class _Given:
    """What was given: colours (H, W, 1 or 3), and alpha that is not restored, (H, W) of the same type, or None."""

    colours: np.ndarray
    alpha: np.ndarray | None = None


def denoise(picture: Any, sigma: float | str | None = None, name: str | Path | None = None, *,
            strength: float = 1.0) -> Any:
    """Restore one picture.

    Args:
        picture: An array (H, W), (H, W, 1) or (H, W, 3) in RGB: uint8, uint16, or float in 0..1; a PIL image of mode L,
            LA, RGB, RGBA or I;16; or the path of a picture file.
        sigma: Noise level on the 0..255 scale, where it is known; ``'auto'``: estimated; None: the network's own.
        name: A shipped network or a weight file, as for :func:`basicsr_snn.load`; None: the one that
            ``basicsr-snn denoise`` takes.
        strength: How much of the change is made, 0 to 2.

    Returns:
        What was given, larger where the named network enlarges: an array of the same shape and type (floats clipped to
        0..1), or a PIL image of the same mode.
        Of a file an array (H, W) or (H, W, C) of uint8 or uint16, upright, with alpha where it has one. Alpha is never
        changed but in size.

    Raises:
        UserError: Anything else, values that are not those of a picture, an unknown network, or a noise level for a
            network that takes none.
    """
    _check(sigma, strength)
    if isinstance(picture, Image.Image):
        return _of_image(picture, sigma, name, strength)
    if isinstance(picture, str | Path):
        read = read_picture(picture)
        read.refuse_inks()
        restored = _restored(_Given(read.stored, read.alpha), sigma, name, strength)
        return restored[:, :, 0] if restored.shape[2] == 1 else restored
    given = _array(picture, NOISIEST * float(sigma) / 255 if isinstance(sigma, NUMBERS) else 0.0)
    restored = _restored(_Given(given), sigma, name, strength)
    return restored.reshape(*restored.shape[:2], *picture.shape[2:]).astype(picture.dtype, copy=False)


def _check(sigma: object, strength: object) -> None:
    if not (sigma is None or isinstance(sigma, str) and sigma == AUTO_LEVEL
            or isinstance(sigma, NUMBERS) and 0 <= sigma <= 255):
        raise UserError(f"sigma={sigma!r} is no noise level; give a number from 0 to 255, 'auto', or None.")
    if not (isinstance(strength, NUMBERS) and 0 <= strength <= STRONGEST):
        raise UserError(f'strength={strength!r} is none; give a number from 0 (no change) to {STRONGEST:g}.')


def _of_image(image: Image.Image, sigma: float | str | None, name: str | Path | None,
              strength: float) -> Image.Image:
    if image.mode not in MODES:
        raise UserError(f'a PIL image of mode {image.mode} was given, but {", ".join(MODES)} are restored; give '
                        "image.convert('RGB').")
    pixels = np.asarray(image)
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    has_alpha = image.mode in ('LA', 'RGBA')
    given = _Given(pixels[:, :, :-1], pixels[:, :, -1]) if has_alpha else _Given(pixels)
    restored = _restored(given, sigma, name, strength)
    answer = Image.fromarray(restored[:, :, 0] if restored.shape[2] == 1 else restored)
    answer.info = dict(image.info)
    return answer


def _array(picture: object, noise: float) -> np.ndarray:
    """The array as (H, W, C), in this machine's order of bytes.

    Args:
        picture: What was given.
        noise: How far noise reaches beyond 0 and 1, by the level that was told.

    Raises:
        UserError: it is no picture.
    """
    if not isinstance(picture, np.ndarray):
        other = ('a tensor, which a network of basicsr_snn.load takes' if isinstance(picture, torch.Tensor) else
                 type(picture).__name__)
        raise UserError(f'denoise was given {other}; give an array of NumPy, a PIL image, or the path of a picture.')
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


def _restored(given: _Given, sigma: float | str | None, name: str | Path | None, strength: float) -> np.ndarray:
    """The colours restored, and alpha behind them, of the type that was given."""
    colours = given.colours
    level = estimate_noise_level(to_float(middle(colours))) if sigma == AUTO_LEVEL else sigma
    denoiser = _denoiser(colours.shape[2], None if level is None else float(level), sigma == AUTO_LEVEL, name)
    picture = Picture(colours, None, Path('the picture'))
    scale = denoiser.net.scale
    answer = np.empty((scale * colours.shape[0], scale * colours.shape[1], colours.shape[2]), colours.dtype)
    for band in replace(denoiser, strength=float(strength)).bands(picture):
        whole = np.issubdtype(colours.dtype, np.integer)
        answer[band.rows] = to_integers(band.restored, picture.bits) if whole else band.restored.clip(0, 1)
    return answer if given.alpha is None else np.dstack([answer, enlarged(given.alpha[:, :, None], scale)])


def _denoiser(channels: int, level: float | None, estimated: bool, name: str | Path | None) -> Denoiser:
    if name is not None:
        net = _network(str(name))
        if level is not None and not net.takes_sigma:
            raise UserError(f'sigma was given, but {name} takes no noise level; leave it out, or choose another '
                            'network.')
        return Denoiser(net, net.in_ch, sigma=level)
    wanted = level_of_a_student(channels, level) if estimated and level is not None else level
    row = zoo.row(zoo.default_name(channels, wanted))
    net = _network(row.name)
    return Denoiser(net, net.in_ch, sigma=wanted, contrast=row.contrast_for(wanted))


@lru_cache(KEPT_NETWORKS)
def _network(name: str) -> Any:
    device = usual_device()
    return place(named_network(name), 'auto', gpu=device == 'cuda').net.to(device)
