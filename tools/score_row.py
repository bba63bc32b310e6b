"""A row of the table of scores."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """One network on one set at one noise level: means over ``pictures``; costs a pixel where they are counted."""

    set: str
    sigma: int
    name: str
    weights: str
    pictures: int
    psnr: str
    ssim: str
    params: str
    macs_per_px: str
    acs_per_px: str
    events_per_neuron: str
    nj_per_px: str

    @property
    def network(self) -> str:
        """The network of which this is a form: ``NAME, phase-coded`` or ``NAME, 2 views``."""
        return self.name.partition(', ')[0]

    @property
    def key(self) -> tuple[str, int, str, str]:
        return self.set, self.sigma, self.name, self.weights
