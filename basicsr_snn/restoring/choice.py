"""Which noise level a network is asked for, where that is estimated."""
from __future__ import annotations

from basicsr_snn import zoo

NEARLY = 0.125
"""How far an estimated level may be from that of a student, as a share: the estimate is no better."""


def level_of_a_student(channels: int, level: float) -> float:
    """An estimated level, or that of the colour student which is trained for nearly as much noise.

    It is rounded to whole numbers, so that few networks are kept at a time.
    """
    if channels == 3:
        single = [row.noise for row in zoo.rows() if isinstance(row.noise, int | float)]
        trained = [noise for noise in single if _is_the_default_at(noise)]
        near = [noise for noise in trained if abs(noise - level) <= NEARLY * noise]
        if near:
            return min(near, key=lambda noise: abs(noise - level))
    return max(1.0, round(level))


def _is_the_default_at(noise: float) -> bool:
    return zoo.row(zoo.default_name(3, noise)).noise == noise
