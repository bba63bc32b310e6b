"""The pictures of docs/results/index.md: crops side by side, and validation PSNR against training steps."""
from __future__ import annotations

import csv
from pathlib import Path

import basicsr_snn

# isort: split
import matplotlib
import numpy as np
import torch

from basicsr_snn.images.files import read_picture, to_tensor
from basicsr_snn.images.noise import add_gaussian_noise
from basicsr_snn.images.scoring import eight_bits, psnr

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # the backend comes first

RESULTS, IMAGES = Path(__file__).with_name('results'), Path('docs/images')
SIGMA, SIDE = 25, 128
CROPS = {'CBSD68/291000': (130, 150), 'Kodak24/kodim08': (200, 180), 'Kodak24/kodim23': (150, 250)}
"""Picture: top and left of the crop that is shown."""
NETWORKS = {'small': 'spikerir_small_color25', 'fine': 'spikerir_fine_color25',
            'ANN twin of fine': 'spikerir_fine_color25_twin', 'FFDNet': 'ffdnet_color'}


def crop_rows() -> dict[str, list[tuple[str, np.ndarray, float]]]:
    """For each picture its versions: title, crop (side, side, 3) uint8, PSNR of the whole picture."""
    nets = {title: basicsr_snn.load(name) for title, name in NETWORKS.items()}
    rows = {}
    for name, (top, left) in CROPS.items():
        file = next(Path('datasets').joinpath(name).parent.glob(f'{Path(name).name}.*'))
        pixels = read_picture(file).pixels
        noisy, clean = to_tensor(add_gaussian_noise(pixels, SIGMA))[None], to_tensor(pixels)[None]
        with torch.inference_mode():
            versions = {'noisy': noisy, **{title: net(noisy) for title, net in nets.items()}, 'clean': clean}
        truth = eight_bits(clean)
        rows[name] = [(title, eight_bits(version)[top:top + SIDE, left:left + SIDE], psnr(eight_bits(version), truth))
                      for title, version in versions.items()]
    return rows


def draw_crops(file: Path) -> None:
    rows = crop_rows()
    columns = len(next(iter(rows.values())))
    figure, axes = plt.subplots(len(rows), columns, figsize=(2.3 * columns, 2.5 * len(rows)), squeeze=False)
    for line, (name, versions) in zip(axes, rows.items(), strict=True):
        for axis, (title, crop, decibels) in zip(line, versions, strict=True):
            axis.imshow(crop, interpolation='nearest')
            axis.set_title(title if np.isinf(decibels) else f'{title} {decibels:.2f} dB', fontsize=9)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=8)
    figure.tight_layout()
    figure.savefig(file, dpi=100)
    plt.close(figure)


def draw_curves(file: Path) -> None:
    curves: dict[str, list[tuple[int, float]]] = {}
    with (RESULTS / 'curves.csv').open(newline='') as rows:
        for row in csv.DictReader(rows):
            if 'color25' in row['name']:  # other noise has other scores
                curves.setdefault(row['name'], []).append((int(row['step']), float(row['val_psnr'])))
    figure, axes = plt.subplots(figsize=(8, 4.5))
    for name, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker='o', markersize=3, label=name.removeprefix('spikerir_'))
    axes.set(xlabel='optimiser step', ylabel='validation PSNR, dB')
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, bbox_to_anchor=(1.01, 1), loc='upper left')
    figure.tight_layout()
    figure.savefig(file, dpi=100)
    plt.close(figure)


if __name__ == '__main__':
    draw_crops(IMAGES / 'results.png')
    draw_curves(IMAGES / 'training.png')
