"""The second picture of docs/results/real-noise.md: ``python tools/clean_sheet.py`` draws what ``denoise`` does to
pictures that need nothing."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import basicsr_snn

# isort: split
import matplotlib
import numpy as np
from real_noise import checks, gradients, text_page

from basicsr_snn.images.files import read_picture, to_integers
from basicsr_snn.images.jpeg import stored_as_jpeg
from basicsr_snn.images.scoring import psnr

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # the backend comes first

FILE, PHOTOGRAPHS = Path('docs/images/clean_pictures.jpg'), Path('datasets/demo')
SIDE = 160
LOUDER, BRIGHTER = 8, 8
"""By how much changes are enlarged, and the night is brightened, to be seen."""


def photograph(name: str) -> np.ndarray:
    """(H, W, 3) uint8."""
    return to_integers(read_picture(PHOTOGRAPHS / name).pixels)


def pictures() -> Iterator[tuple[str, np.ndarray, np.ndarray, tuple[int, int], int]]:
    """Title, picture, truth, top left corner of what is shown, and by how much that is brightened."""
    astronaut, dogs, pagoda = (photograph(name) for name in ('train/astronaut.jpg', 'val/dogs.png', 'val/pagoda.png'))
    yield 'skin', astronaut, astronaut, (20, 130), 1
    yield 'JPEG of quality 40', stored_as_jpeg(dogs, 40), dogs, (50, 60), 1
    yield f'night, drawn {BRIGHTER} times as bright', pagoda // 10, pagoda // 10, (60, 180), BRIGHTER
    yield 'text', text_page(0), text_page(0), (100, 8), 1
    yield 'gradients', gradients(), gradients(), (100, 160), 1
    yield 'checks of 4 pixels', checks(), checks(), (0, 0), 1


def kept(picture: np.ndarray, restored: np.ndarray, truth: np.ndarray) -> str:
    """What restoring did, in dB: of a picture that is its own truth how much of it is left."""
    if picture is not truth:
        return f'{psnr(picture, truth):.2f} dB before, {psnr(restored, truth):.2f} after'
    return 'unchanged' if np.array_equal(restored, truth) else f'{psnr(restored, truth):.1f} dB'


def main() -> None:
    rows = list(pictures())
    figure, axes = plt.subplots(len(rows), 3, figsize=(8, 2.8 * len(rows)))
    for line, (title, picture, truth, (top, left), bright) in zip(axes, rows, strict=True):
        truth = picture if np.array_equal(picture, truth) else truth
        restored = basicsr_snn.denoise(picture)
        change = np.clip(128 + LOUDER * (restored.astype(int) - picture), 0, 255)
        shown = [np.clip(bright * one.astype(int), 0, 255) for one in (picture, restored)]
        titles = (title, f'denoise: {kept(picture, restored, truth)}', f'change, {LOUDER} times')
        for axis, pixels, words in zip(line, [*shown, change], titles, strict=True):
            axis.imshow(pixels[top:top + SIDE, left:left + SIDE].astype(np.uint8), interpolation='nearest')
            axis.set_title(words, fontsize=9)
            axis.set(xticks=[], yticks=[])
    figure.tight_layout()
    figure.savefig(FILE, dpi=100, pil_kwargs={'quality': 90})


if __name__ == '__main__':
    main()
