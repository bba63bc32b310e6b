"""What one operation costs: named presets in pJ, and integer arithmetic by bit width.

All 45 nm figures are those of Horowitz (ISSCC 2014, 10.1109/ISSCC.2014.6757323), as SpikingJelly's
``SimpleEnergyCostConfig`` quotes them.
"""
from __future__ import annotations

from dataclasses import dataclass

from basicsr_snn.errors import UserError, near_matches

MULTIPLY_8_BIT_PJ = 0.2
ADD_8_BIT_PJ = 0.03


@dataclass(frozen=True)
class EnergyPreset:
    """Energy of the counted operations.

    Attributes:
        mac_pj: One multiply-accumulate in pJ, >= 0.
        ac_pj: One accumulation caused by a spike in pJ, >= 0.
        word_bytes: Bytes of a weight, a membrane potential or an activation, for memory traffic; None where the figures
            already hold the memory access, so that none may be added.

    Raises:
        UserError: A negative energy or a word of no bytes.
    """

    mac_pj: float
    ac_pj: float
    word_bytes: float | None = 4

    def __post_init__(self) -> None:
        if self.mac_pj < 0 or self.ac_pj < 0 or (self.word_bytes is not None and self.word_bytes <= 0):
            raise UserError(f'an energy preset was given mac_pj={self.mac_pj}, ac_pj={self.ac_pj}, word_bytes='
                            f'{self.word_bytes}, but energies cannot be negative and words have bytes; write for '
                            'example EnergyPreset(mac_pj=4.6, ac_pj=0.9, word_bytes=4).')


ENERGY_PRESETS: dict[str, EnergyPreset] = {
    '45nm-fp32': EnergyPreset(4.6, 0.9, 4),
    '45nm-int8': EnergyPreset(0.23, 0.03, 1),
    'neuromorphic-sop': EnergyPreset(4.6, 0.077, None),
}
"""``neuromorphic-sop`` takes 77 fJ for a synaptic operation, memory access on the chip included, and leaves layers that
read floats to 45 nm fp32 arithmetic (our choice: no neuromorphic chip runs them)."""

DEFAULT_PRESET = '45nm-fp32'


def preset_of(given: str | EnergyPreset) -> EnergyPreset:
    """The preset of a name of :data:`ENERGY_PRESETS`, or the user's own as it is.

    Raises:
        UserError: No preset has this name.
    """
    if isinstance(given, EnergyPreset):
        return given
    if given not in ENERGY_PRESETS:
        raise UserError(f'there is no energy preset "{given}"; did you mean '
                        f'{" or ".join(near_matches(given, ENERGY_PRESETS))}? Own numbers: EnergyPreset(4.6, 0.9).')
    return ENERGY_PRESETS[given]


def integer_mac_pj(activation_bits: int, weight_bits: int = 8) -> float:
    """Energy in pJ of an integer multiply-accumulate: ``0.2 * (a * w) / 64 + 0.03``, >= 0.03.

    The multiplier scales with the product of the widths: an array multiplier has a * w cells, and the rule carries
    Horowitz's 8-bit figure (0.2 pJ) to 3.2 pJ at 32 bits, where he gives 3.1. The accumulation stays that of
    ``45nm-int8``, so that 8 by 8 bits cost its 0.23 pJ. The scaling is our choice: from Yan et al. (arXiv 2409.08290)
    we have how many bits the quantised twin has, not their energy of an operation.
    """
    return MULTIPLY_8_BIT_PJ * activation_bits * weight_bits / 64 + ADD_8_BIT_PJ
