"""Sheets of pictures for the pages: rows of pictures side by side, each under its title."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # the backend comes first

Row = Sequence[tuple[str, np.ndarray]]
"""Title and pixels (H, W, 3) uint8 of each picture."""


def draw_sheet(rows: Sequence[Row], file: Path) -> None:
    """Draw rows of three pictures."""
    figure, axes = plt.subplots(len(rows), 3, figsize=(8, 2.8 * len(rows)))
    for line, row in zip(axes, rows, strict=True):
        for axis, (title, pixels) in zip(line, row, strict=True):
            axis.imshow(pixels, interpolation='nearest')
            axis.set_title(title, fontsize=9)
            axis.set(xticks=[], yticks=[])
    figure.tight_layout()
    figure.savefig(file, dpi=100, pil_kwargs={'quality': 90})
