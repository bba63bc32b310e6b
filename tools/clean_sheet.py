"""The second picture of docs/results/real-noise.md: ``python tools/clean_sheet.py`` draws what ``denoise`` does to
pictures that need nothing."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import basicsr_snn

# isort: split
import numpy as np
from real_noise import checks, gradients, text_page
from sheet import Row, draw_sheet

from basicsr_snn.images.files import read_picture
from basicsr_snn.images.jpeg import stored_as_jpeg
from basicsr_snn.images.scoring import psnr

FILE, PHOTOGRAPHS = Path('docs/images/clean_pictures.jpg'), Path('datasets/demo')
SIDE = 160
LOUDER, BRIGHTER = 8, 8
"""By how much changes are enlarged, and the night is brightened, to be seen."""


def photograph(name: str) -> np.ndarray:
    """(H, W, 3) uint8."""
    return read_picture(PHOTOGRAPHS / name).stored


def rows() -> Iterator[Row]:
    """Each kind of picture as it is, after ``denoise``, and the change."""
    astronaut, dogs, pagoda = (photograph(name) for name in ('train/astronaut.jpg', 'val/dogs.png', 'val/pagoda.png'))
    yield row('skin', astronaut, (20, 130))
    yield row('JPEG of quality 40', stored_as_jpeg(dogs, 40), (50, 60), before=dogs)
    yield row(f'night, drawn {BRIGHTER} times as bright', pagoda // 10, (60, 180), bright=BRIGHTER)
    yield row('text', text_page(0), (100, 8))
    yield row('gradients', gradients(), (100, 160))
    yield row('checks of 4 pixels', checks(), (0, 0))


def row(title: str, picture: np.ndarray, corner: tuple[int, int], bright: int = 1,
        before: np.ndarray | None = None) -> Row:
    """A part of one picture; ``before``: what it was before JPEG."""
    restored = basicsr_snn.denoise(picture)
    change = 128 + LOUDER * (restored.astype(int) - picture)
    shown = [(title, bright * picture.astype(int)),
             (f'denoise: {kept(picture, restored, before)}', bright * restored.astype(int)),
             (f'change, {LOUDER} times', change)]
    seen = tuple(slice(start, start + SIDE) for start in corner)
    return [(words, pixels[seen].clip(0, 255).astype(np.uint8)) for words, pixels in shown]


def kept(picture: np.ndarray, restored: np.ndarray, before: np.ndarray | None) -> str:
    """What restoring did, in dB: of a picture that was clean how much of it is left."""
    if before is not None:
        return f'{psnr(picture, before):.2f} dB before, {psnr(restored, before):.2f} after'
    return 'unchanged' if np.array_equal(restored, picture) else f'{psnr(restored, picture):.1f} dB'


def main() -> None:
    draw_sheet(list(rows()), FILE)


if __name__ == '__main__':
    main()
