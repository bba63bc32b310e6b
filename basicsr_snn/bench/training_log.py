"""What the logs of a training tell: hours, pace, and the validation PSNR by step."""
from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

STAMP = re.compile(r'^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+) INFO: (.*)')
STEP = re.compile(r'iter:\s*([\d,]+),')
PSNR = re.compile(r'# psnr: ([\d.]+)')
VALIDATED = 'Cost on'
"""How the line begins that ends a validation."""


@dataclass(frozen=True)
class TrainingLog:
    """A training, resumed or not.

    Attributes:
        hours: From begin to end of each of its runs, together.
        paces: (step, seconds a step of the steps before it) for each line of the log since which nothing was validated.
        curve: (step, validation PSNR in dB), by step, that of the line before; of a step validated twice the later.
    """

    hours: float
    paces: list[tuple[int, float]]
    curve: list[tuple[int, float]]

    def seconds(self, step: int, phases: Sequence[int] = ()) -> float:
        """Time of the first ``step`` steps on a machine that does nothing else: the lowest tenth of what steps took.

        Args:
            step: Number of steps.
            phases: Steps after which a step costs something else, for a training whose steps are not all alike; each
                phase has a pace of its own.

        Returns:
            Seconds; NaN where the log tells no pace of a phase.
        """
        return sum((min(until, step) - since) * self._pace(since, until)
                   for since, until in pairwise([0, *sorted(phases), math.inf]) if since < step)

    def _pace(self, since: float, until: float) -> float:
        paces = [pace for step, pace in self.paces if since < step <= until]
        return float(np.percentile(paces, 10, method='lower')) if paces else math.nan


def read_training_log(folder: Path) -> TrainingLog:
    """The logs ``train_*.log`` of an experiment's folder, oldest first."""
    seconds, paces, curve = 0.0, [], {}
    for file in sorted(folder.glob('train_*.log')):
        step, told, stamps = 0, None, []
        for line in file.read_text(encoding='utf-8').splitlines():
            if stamp := STAMP.match(line):
                stamps.append(datetime.fromisoformat(stamp[1]))
                if found := STEP.search(stamp[2]):
                    before, step = step, int(found[1].replace(',', ''))
                    if told:
                        paces.append((step, (stamps[-1] - told).total_seconds() / (step - before)))
                    told = stamps[-1]
                elif stamp[2].startswith(VALIDATED):
                    told = None
            elif found := PSNR.search(line):
                curve[step] = float(found[1])
        seconds += (stamps[-1] - stamps[0]).total_seconds() if stamps else 0.0
    return TrainingLog(seconds / 3600, paces, sorted(curve.items()))
