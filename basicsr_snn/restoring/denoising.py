"""``basicsr_snn.denoise``: a noisy picture of any kind in, one of the same kind out."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from basicsr_snn.inference.defaults import AUTO_STRENGTH
from basicsr_snn.restoring.tasks import Wanted, restored_as


def denoise(picture: Any, sigma: float | str | None = None, name: str | Path | None = None, *,
            strength: float | str = AUTO_STRENGTH) -> Any:
    """Restore one picture.

    Args:
        picture: An array (H, W), (H, W, 1) or (H, W, 3) in RGB: uint8, uint16, or float in 0..1; a PIL image of mode L,
            LA, RGB, RGBA or I;16; or the path of a picture file.
        sigma: Noise level on the 0..255 scale, where it is known; ``'auto'``: estimated; None: the network's own.
        name: A shipped network or a weight file, as for :func:`basicsr_snn.load`; None: the one that
            ``basicsr-snn denoise`` takes.
        strength: How much of the change is made, 0 to 2. ``'auto'``: all, but of networks for the noise of cameras only
            as much as there is noise, so that a clean photograph stays as it is
            (:func:`~basicsr_snn.inference.found_noise.found_strength`).

    Returns:
        What was given, larger where the named network enlarges: an array of the same shape and type (floats clipped to
        0..1), or a PIL image of the same mode.
        Of a file an array (H, W) or (H, W, C) of uint8 or uint16, upright, with alpha where it has one. Alpha is never
        changed but in size.

    Raises:
        UserError: Anything else, values that are not those of a picture, an unknown network, or a noise level for a
            network that takes none.
    """
    return restored_as(Wanted('denoise' if name is None else None, name, sigma, strength), picture, 'denoise')
