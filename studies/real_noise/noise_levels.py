"""How near an estimated noise level is to the truth: the table of docs/how-to/denoise.md.

    python studies/real_noise/noise_levels.py datasets/BSD432 datasets/PolyU

White noise on the pictures of BSD432 that no training sees, and the camera noise of PolyU's pictures for training,
whose truth is the root mean square of the difference from the mean of many exposures. scikit-image needs PyWavelets.
"""
from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from skimage.restoration import estimate_sigma

from basicsr_snn.images.files import read_picture
from basicsr_snn.images.listing import list_pictures
from basicsr_snn.images.noise import NoiseStream
from basicsr_snn.images.noise_level import estimate_noise_level

SIGMAS = (5, 15, 25, 50)
VALIDATION, TRAINING_PAIRS = slice(400, 432), 66


def scikit_image(pixels: np.ndarray) -> float:
    """The median over all pixels, of its wavelet db2."""
    return 255 * float(estimate_sigma(pixels, average_sigmas=True, channel_axis=2))


ESTIMATES = {'`--sigma auto`': estimate_noise_level, "scikit-image's `estimate_sigma`": scikit_image}


def white(folder: Path, sigma: float) -> Iterator[tuple[np.ndarray, float]]:
    """Pictures with noise, and its level."""
    for file in list_pictures(folder)[VALIDATION]:
        yield NoiseStream(sigma).add_to(read_picture(file).pixels), sigma


def of_cameras(folder: Path) -> Iterator[tuple[np.ndarray, float]]:
    """The same of photographs."""
    for file in sorted(folder.glob('*_real.JPG'))[:TRAINING_PAIRS]:
        noisy = read_picture(file).pixels
        clean = read_picture(file.with_name(file.name.replace('_real', '_mean'))).pixels
        yield noisy, 255 * float(np.sqrt(np.mean((noisy - clean) ** 2)))


def main(bsd: Path, polyu: Path) -> None:
    """Print the table."""
    kinds = {f'white, sigma {sigma}': white(bsd, sigma) for sigma in SIGMAS} | {'cameras (PolyU)': of_cameras(polyu)}
    print('| noise | truth, mean | ' + ' | '.join(ESTIMATES) + ' |\n|---|---|' + '---|' * len(ESTIMATES))
    for name, samples in kinds.items():
        found = np.array([[truth, *(estimate(pixels) for estimate in ESTIMATES.values())] for pixels, truth in samples])
        cells = [f'{column.mean():.1f} (off by {np.abs(column - found[:, 0]).mean():.1f})' for column in found.T[1:]]
        print(f'| {name} | {found[:, 0].mean():.1f} | ' + ' | '.join(cells) + ' |', flush=True)


if __name__ == '__main__':
    main(*map(Path, sys.argv[1:]))
