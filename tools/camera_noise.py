"""Compare the noise that ``CameraNoiseDataset`` draws with that of real photographs.

    python tools/camera_noise.py --real datasets/PolyU --clean datasets/BSD432 --plot docs/images/camera_noise.png

It prints a table, and draws the noise level against brightness and what neighbours and colours have in common. Of PolyU
only the scenes that are trained on are looked at, so that the others stay unseen. Real noise is what differs between a
photograph and the mean of many of the same scene: the mean has noise of its own, and JPEG has been over both.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import basicsr_snn  # noqa: F401 - registers our datasets
from basicsr_snn.data.camera_noise_dataset import CameraNoiseDataset
from basicsr_snn.data.gaussian_denoising_dataset import GaussianDenoisingDataset
from basicsr_snn.data.real_pairs_dataset import RealPairsDataset
from basicsr_snn.images.camera import GREY_WEIGHTS

BINS = 16
LEAST_PIXELS = 500
"""Of a picture in a bin, for a level."""
SMOOTH_SHARE, FLAT_PATCH = 0.5, 8
"""Noise is measured where pictures are smooth: in this share of the patches, of so many pixels a side."""

Measures = dict[str, float]
MEASURES = {
    'level': 'standard deviation, 0..255 scale',
    'neighbours, light': 'correlation of the luminance at distance 1',
    'neighbours, colour': 'correlation of what is left of red at distance 1',
    'red and green': 'correlation of two colours of a pixel',
    'colour to light': 'standard deviation of what is left of red, relative to luminance',
    'detail': 'clean picture: differences at distance 1, relative to those at distance 4',
}


def smooth_parts(clean: np.ndarray) -> np.ndarray:
    """Where a picture (H, W, 3) is smooth: (H, W) of bool, the half of its patches that vary least."""
    height, width = (length // FLAT_PATCH for length in clean.shape[:2])
    light = (clean @ GREY_WEIGHTS)[:height * FLAT_PATCH, :width * FLAT_PATCH]
    spread = light.reshape(height, FLAT_PATCH, width, FLAT_PATCH).std((1, 3))
    smooth = (spread <= np.quantile(spread, SMOOTH_SHARE)).repeat(FLAT_PATCH, 0).repeat(FLAT_PATCH, 1)
    return np.pad(smooth, [(0, size - length) for size, length in zip(clean.shape[:2], smooth.shape, strict=True)])


def measure(noise: np.ndarray, where: np.ndarray) -> Measures:
    """The numbers of :data:`MEASURES` for the noise of a picture, (H, W, 3) in 0..1, at the places ``where``."""
    light = noise @ GREY_WEIGHTS
    red = noise[..., 0] - light
    return {'level': 255 * float(noise[where].std()),
            'neighbours, light': neighbours_in_common(light, where),
            'neighbours, colour': neighbours_in_common(red, where),
            'red and green': float(np.corrcoef(noise[where][:, 0], noise[where][:, 1])[0, 1]),
            'colour to light': float(red[where].std() / light[where].std())}


def fine_detail(clean: np.ndarray) -> float:
    """How much a picture (H, W, 3) differs from pixel to pixel, relative to how it differs at four times the distance:
    little, where a camera stored it at full resolution; more, where it was made smaller since."""
    light = clean @ GREY_WEIGHTS
    near, far = (np.sqrt(np.mean([np.square(light[step:] - light[:-step]).mean(),
                                  np.square(light[:, step:] - light[:, :-step]).mean()])) for step in (1, 4))
    return float(near / max(far, 1e-6))


def neighbours_in_common(noise: np.ndarray, where: np.ndarray) -> float:
    """Correlation of pixels (H, W) with those beside and below them, where both are at places ``where``."""
    both = [(noise[:, :-1], noise[:, 1:], where[:, :-1] & where[:, 1:]),
            (noise[:-1], noise[1:], where[:-1] & where[1:])]
    return float(np.mean([np.corrcoef(first[here], second[here])[0, 1] for first, second, here in both]))


def level_by_brightness(clean: np.ndarray, noise: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Standard deviation of the luminance's noise in each of ``BINS`` bins of brightness, 0..255 scale; else NaN."""
    bins = ((clean @ GREY_WEIGHTS)[where] * BINS).clip(0, BINS - 1).astype(int)
    values = (noise @ GREY_WEIGHTS)[where]
    return np.array([255 * values[bins == each].std() if (bins == each).sum() >= LEAST_PIXELS else np.nan
                     for each in range(BINS)])


def pairs(dataset: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Clean picture and noise, (H, W, 3) each; those to which hardly anything was added are left out."""
    for item in dataset:
        if item['sigma'] > 0.5:
            clean, noisy = (item[key].numpy().transpose(1, 2, 0) for key in ('gt', 'lq'))
            yield clean, noisy - clean


def statistics(dataset: Any) -> tuple[list[Measures], np.ndarray]:
    """Measures of each picture, and the levels by brightness (pictures, BINS)."""
    measures, levels = [], []
    for clean, noise in pairs(dataset):
        where = smooth_parts(clean)
        measures.append({**measure(noise, where), 'detail': fine_detail(clean)})
        levels.append(level_by_brightness(clean, noise, where))
    return measures, np.array(levels)


def table(found: dict[str, list[Measures]]) -> str:
    """Median and the range from the 10th to the 90th of 100 pictures, in Markdown."""
    lines = [f'| | {" | ".join(found)} |', f'|---|{"---|" * len(found)}']
    for key, meaning in MEASURES.items():
        cells = ['{1:.2f} ({0:.2f} to {2:.2f})'.format(*np.quantile([one[key] for one in measures], (0.1, 0.5, 0.9)))
                 for measures in found.values()]
        lines.append(f'| {meaning} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def draw(file: Path, found: dict[str, tuple[list[Measures], np.ndarray]]) -> None:
    """The plot: level by brightness, neighbours in common, colours in common."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout='constrained')
    by_brightness, neighbours, colours = figure.subplots(1, 3)
    middles = (np.arange(BINS) + 0.5) / BINS
    for number, (name, (measures, levels)) in enumerate(found.items()):
        colour = f'C{number}'
        enough = np.isfinite(levels).sum(0) >= max(3, len(levels) // 10)
        low, median, high = np.nanquantile(np.where(enough, levels, 0), (0.1, 0.5, 0.9), axis=0)
        by_brightness.plot(middles[enough], median[enough], color=colour, label=name)
        by_brightness.fill_between(middles, low, high, where=enough, color=colour, alpha=0.15)
        for axes, keys in ((neighbours, ('neighbours, light', 'neighbours, colour')),
                           (colours, ('red and green', 'colour to light'))):
            axes.scatter(*([one[key] for one in measures] for key in keys), s=12, color=colour, alpha=0.6, label=name)
    by_brightness.set(xlabel='brightness of the clean picture', ylabel='luminance noise, 0..255 scale', ylim=(0, None),
                      title='level: median, 10 to 90 % of pictures')
    neighbours.set(xlabel='luminance noise', ylabel='colour noise', title='correlation of neighbours')
    colours.set(xlabel='correlation of red and green noise', ylabel='colour noise / luminance noise', title='colours')
    by_brightness.legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=90)


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--real', required=True, help='folder of PolyU, or of pairs named like it')
    parser.add_argument('--pairs', type=int, default=67, help='its first pairs only (default: 67, the training scenes)')
    parser.add_argument('--clean', required=True, help='folder of clean pictures that noise is added to')
    parser.add_argument('--pictures', type=int, default=67, help='its first pictures only (default: 67)')
    parser.add_argument('--plot', type=Path, help='file of the plot')
    args = parser.parse_args(None if arguments is None else list(arguments))
    opt = {'phase': 'val', 'dataroot_gt': args.clean, 'subset': [0, args.pictures]}
    real = RealPairsDataset({'name': 'real', 'phase': 'val', 'dataroot_gt': args.real, 'subset': [0, args.pairs]})
    found = {'real': statistics(real),
             'CameraNoiseDataset': statistics(CameraNoiseDataset({'name': 'camera', 'kinds': {'camera': 1}, **opt})),
             'white noise, sigma 15': statistics(GaussianDenoisingDataset({'name': 'white', 'sigma': 15, **opt}))}
    print(table({name: measures for name, (measures, _) in found.items()}))
    if args.plot:
        draw(args.plot, found)
        print(f'{args.plot} is written.')
    return 0


if __name__ == '__main__':
    sys.exit(main())
