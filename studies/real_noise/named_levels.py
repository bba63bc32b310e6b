"""Which network ``denoise --sigma X`` should take: the table of docs/how-to/denoise.md, and ``named_levels.csv``.

    python studies/real_noise/named_levels.py

White Gaussian noise on the middle, 192x192, of the 32 pictures of BSD432 that no training sees, by the protocol of the
tests. A blind network is given the picture as it is; one for a single level at another contrast, so that the noise has
the strength that it knows. For grey pictures the blind one is that for colour, which sees three equal channels.
"""
from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import numpy as np
from rich.console import Console
from rich.progress import track

from basicsr_snn import zoo
from basicsr_snn.data.picture_source import open_source
from basicsr_snn.engines.placing import place
from basicsr_snn.images.files import Picture, to_channels
from basicsr_snn.images.noise import NoiseStream
from basicsr_snn.images.scoring import psnr
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.inference.denoising import Denoiser, restore_picture
from basicsr_snn.zoo.trained_network import named_network

TABLE = Path(__file__).parent / 'named_levels.csv'
FOLDER, VALIDATION = Path('datasets/BSD432'), slice(400, 432)
SIDE = 192
SIGMAS = (5, 10, 15, 20, 25, 35, 50, 75)
BLIND = 'spikerir_small_colorblind'
NAMES = {3: (BLIND, 'spikerir_small_color15', 'spikerir_small_color25', 'spikerir_small_color50'),
         1: (BLIND, 'spikerir_small_gray25')}
COLUMNS = ('channels', 'sigma', 'network', 'pictures', 'psnr')


def pictures(channels: int, count: int | None = None) -> list[np.ndarray]:
    """The middle of clean pictures of the validation split, (H, W, C) uint8."""
    source = open_source(FOLDER)
    places = range(len(source.names))[VALIDATION][:count]
    return [middle(to_channels(source.read(place), channels, source.names[place])) for place in places]


def middle(picture: np.ndarray) -> np.ndarray:
    rows, columns = (slice((length - SIDE) // 2, (length + SIDE) // 2) for length in picture.shape[:2])
    return np.ascontiguousarray(picture[rows, columns])


def mean_psnr(net: Restorer, contrast: float, clean: Sequence[np.ndarray], sigma: float) -> float:
    """Of pictures with noise, restored."""
    denoiser = Denoiser(net, net.in_ch, tile=0, contrast=contrast)
    restored = [restore_picture(denoiser, Picture(one, None, Path('picture')), NoiseStream(sigma))[0] for one in clean]
    return float(np.mean([psnr(made, truth) for made, truth in zip(restored, clean, strict=True)]))


def rows(sigmas: Sequence[float], count: int | None) -> Iterator[dict[str, object]]:
    """A row for each kind of picture, network and level."""
    for channels, names in NAMES.items():
        clean = pictures(channels, count)
        for name in names:
            net, row = place(named_network(name), 'torch').net, zoo.row(name)
            for sigma in track(sigmas, f'{name}, {channels} channels', console=Console(stderr=True)):
                found = mean_psnr(net, row.contrast_for(sigma), clean, sigma)
                yield {'channels': channels, 'sigma': f'{sigma:g}', 'network': name, 'pictures': len(clean),
                       'psnr': f'{found:.2f}'}


def table(found: Sequence[dict[str, object]], channels: int) -> str:
    """PSNR by level and network, in Markdown, the best of each level in bold."""
    names = NAMES[channels]
    lines = [f'| sigma | {" | ".join(f"`{name}`" for name in names)} |', f'|---|{"---|" * len(names)}']
    of_kind = [row for row in found if row['channels'] == channels]
    for sigma in dict.fromkeys(row['sigma'] for row in of_kind):
        scores = {row['network']: str(row['psnr']) for row in of_kind if row['sigma'] == sigma}
        best = max(scores.values(), key=float)
        cells = [f'**{scores[name]}**' if scores[name] == best else scores[name] for name in names]
        lines.append(f'| {sigma} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--pictures', type=int, help='the first of them only, and no file is written')
    parser.add_argument('--sigmas', type=float, nargs='+', default=SIGMAS)
    args = parser.parse_args(arguments)
    found = list(rows(args.sigmas, args.pictures))
    if args.pictures is None:
        with TABLE.open('w', newline='') as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator='\n')
            writer.writeheader()
            writer.writerows(found)
    print('\n\n'.join(table(found, channels) for channels in NAMES))


if __name__ == '__main__':
    main()
