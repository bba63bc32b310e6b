"""How much of its change a photograph gets: little where a network for the noise of cameras finds little noise."""
from __future__ import annotations

import numpy as np

from basicsr_snn.images.noise_level import block_strengths

QUIET_SHARE = 0.2
"""Blocks that are changed less than what is taken."""

LITTLE, ENOUGH = 0.7, 1.4
"""Root mean square of the change of these blocks, on the 0..255 scale, up to which there is hardly any noise, and from
which on there is enough to take it all out."""

LEAST = 0.25
"""Strength for pictures with hardly any noise, which may have some after all."""


def found_strength(change: np.ndarray) -> float:
    """The share of a network's change that does a picture good.

    Noise is everywhere, texture is not. So the blocks of 16x16 are looked at that a network changes least: in noisy
    photographs they change by the noise, in clean ones by next to nothing, while edges and leaves may lose by it. All
    numbers are our choice, on pictures that are trained on or validated with (``studies/real_noise``).

    Args:
        change: (H, W, C) float, what the network takes away, pixels in 0..1.

    Returns:
        :data:`LEAST` to 1.
    """
    levels = 255 * block_strengths(np.sqrt(np.square(change, dtype=np.float32).mean(2)))
    share = (float(np.quantile(levels, QUIET_SHARE)) - LITTLE) / (ENOUGH - LITTLE)
    return min(max(share, LEAST), 1.0)
