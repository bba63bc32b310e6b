"""Scores of the degraded pictures of a test, beside those of the restored ones."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from basicsr.models import sr_model
from basicsr.utils import tensor2img

from basicsr_snn.images.as_given import at_size_of


class InputScores:
    """The mean of each metric over the pictures that a network is given.

    Args:
        metrics: The block ``val: metrics``.
    """

    def __init__(self, metrics: Mapping[str, Mapping[str, Any]]) -> None:
        self._metrics = metrics
        self._sums = dict.fromkeys(metrics, 0.0)
        self._pictures = 0
        self._enlarged = False

    def add(self, data: Mapping[str, Any]) -> None:
        """Score the picture of an item, (1, C, H, W) beside its truth."""
        given = at_size_of(data['lq'], data['gt'])
        self._enlarged |= given.shape != data['lq'].shape
        pictures = {'img': tensor2img([given]), 'img2': tensor2img([data['gt']])}
        for name, options in self._metrics.items():
            self._sums[name] += sr_model.calculate_metric(pictures, options)
        self._pictures += 1

    def describe(self, name: str) -> str:
        """The scores on a data set, as BasicSR's log gives those of the restored pictures."""
        how = 'enlarged by bicubic interpolation' if self._enlarged else 'before it is restored'
        lines = [f'Input of {name}, {how}']
        lines += [f'\t # {metric}: {total / self._pictures:.4f}' for metric, total in self._sums.items()]
        return '\n'.join(lines) + '\n'
