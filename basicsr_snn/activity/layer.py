"""What one neuron layer did, and the shares over all layers."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LayerActivity:
    """Activity of one neuron layer over all watched pictures.

    Attributes:
        name: Module path.
        kind: Class of the neurons.
        limit: Largest spike count D of one step.
        channel_rates: Mean |count| of each channel over all pictures, places and steps, (C,) float64, 0..D.
        potentials: Finite membrane potentials before the spike, of sampled neurons and all their steps, in units of the
            threshold, 1-D float32; empty where the neuron does not tell them.
        counts: How many of the sampled neurons and steps emitted each count of -D..D, (2 * D + 1,) integers.
    """

    name: str
    kind: str
    limit: int
    channel_rates: np.ndarray
    potentials: np.ndarray
    counts: np.ndarray

    @property
    def firing_rate(self) -> float:
        """Mean |count| of a neuron and step."""
        return float(self.channel_rates.mean())

    @property
    def dead(self) -> np.ndarray:
        """Whether each channel never fired, (C,)."""
        return self.channel_rates == 0

    @property
    def saturated(self) -> np.ndarray:
        """Whether each channel emitted D spikes, of either sign, everywhere and always, (C,)."""
        return self.channel_rates == self.limit


def dead_share(layers: Sequence[LayerActivity]) -> float:
    """Part of all channels that never fired, 0..1; 0 without layers."""
    return _share([layer.dead for layer in layers])


def saturated_share(layers: Sequence[LayerActivity]) -> float:
    """Part of all channels that always emitted D spikes, 0..1; 0 without layers."""
    return _share([layer.saturated for layer in layers])


def _share(flags: Sequence[np.ndarray]) -> float:
    return float(np.concatenate(flags).mean()) if flags else 0.0
