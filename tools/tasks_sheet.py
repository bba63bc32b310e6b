"""The picture of docs/results/tasks.md: ``python tools/tasks_sheet.py`` draws what the networks for other tasks than
noise are given, what they make of it, and the truth, for a photograph of ``datasets/demo``."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import basicsr_snn

# isort: split
import numpy as np
from sheet import draw_sheet

from basicsr_snn.bench.evaluation_set import EvaluationSet
from basicsr_snn.images.enlarging import at_size_of
from basicsr_snn.images.scoring import eight_bits, quality

FILE, PICTURES, SHOWN = Path('docs/images/tasks.jpg'), 'datasets/demo/val', 'dogs'
TOP, LEFT, SIDE = 50, 60, 190
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    'sr2': ('half the size', {'type': 'SuperResolutionDataset', 'scale': 2}),
    'sr4': ('a quarter of the size', {'type': 'SuperResolutionDataset', 'scale': 4}),
    'derain': ('drawn rain', {'type': 'RainStreaksDataset'}),
    'jpeg': ('JPEG, quality 10', {'type': 'JPEGDataset', 'quality': [10, 10]}),
    'deblur': ('motion blur', {'type': 'MotionBlurDataset'})}


def versions(task: str) -> list[tuple[str, np.ndarray]]:
    """Title and pixels (H, W, 3) uint8 of what is given, restored and true."""
    title, block = KINDS[task]
    pictures = EvaluationSet({'test_1': {'name': task, 'dataroot_gt': PICTURES, **block}})
    given, clean = next((given, clean) for _, name, given, clean, _ in pictures.named() if SHOWN in name)
    shown, truth = eight_bits(at_size_of(given, clean)), eight_bits(clean)
    restored = basicsr_snn.restore(eight_bits(given), task)
    before, after = (quality(one, truth, block.get('scale', 1))[0] for one in (shown, restored))
    return [(f'{title}: {before:.2f} dB', shown), (f'restore --task {task}: {after:.2f} dB', restored),
            ('truth', truth)]


def main() -> None:
    seen = np.s_[TOP:TOP + SIDE, LEFT:LEFT + SIDE]
    draw_sheet([[(title, pixels[seen]) for title, pixels in versions(task)] for task in KINDS], FILE)


if __name__ == '__main__':
    main()
