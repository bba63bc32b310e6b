"""Memory and time of ``basicsr-snn denoise`` on a large picture, and its seams: ``large_picture.py --markdown F``."""
from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import basicsr_snn  # before basicsr, which it repairs

# isort: split
import numpy as np
from measuring import machine
from rich.console import Console

from basicsr_snn.images.files import Picture, read_picture, write_picture
from basicsr_snn.images.listing import list_pictures
from basicsr_snn.images.noise import NoiseStream
from basicsr_snn.inference.denoising import Denoiser
from basicsr_snn.inference.tiling import AUTO_TILE

WIDTH, HEIGHT = 6000, 4000
SEAM_SIDE = 2000
SIGMA = 25


@dataclass(frozen=True)
class Run:
    """One run of the command on one picture: memory in 10**6 bytes, wall and CPU time of all that it does; the faster
    is the lesser."""

    network: str
    engine: str
    what: str
    loaded_mb: float
    peak_mb: float
    seconds: float
    cpu_seconds: float
    megapixels: float

    def __lt__(self, other: Run) -> bool:
        return self.seconds < other.seconds

    @property
    def above_mb(self) -> float:
        return self.peak_mb - self.loaded_mb


def mosaic(folder: Path, height: int, width: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 laid out of the photographs of a folder, as often as needed."""
    photographs = cycle(read_picture(file).stored for file in list_pictures(folder, recursive=True))
    filled = np.zeros((height, width, 3), np.uint8)
    top = 0
    while top < height:
        top += _lay_row(filled[top:], photographs)
    return filled


def _lay_row(free: np.ndarray, photographs: Iterator[np.ndarray]) -> int:
    """Lay photographs side by side and return the rows that they fill without a gap."""
    left, shallowest = 0, len(free)
    while left < free.shape[1]:
        photograph = next(photographs)[:len(free), :free.shape[1] - left]
        free[:len(photograph), left:left + photograph.shape[1]] = photograph
        left += photograph.shape[1]
        shallowest = min(shallowest, len(photograph))
    return shallowest


def measured(network: str, engine: str, picture: Path, folder: Path, megapixels: float, *arguments: str) -> Run:
    """Run the command in a process of its own."""
    report = folder / 'report.json'
    script = Path(__file__).with_name('measured_denoise.py')
    subprocess.run([sys.executable, script, report, '-n', network, '--engine', engine, '-i', picture, '-o',
                    folder / 'out', '--overwrite', *arguments], check=True, stdout=subprocess.DEVNULL)
    return Run(network, engine, ' '.join(['denoise', *arguments]), megapixels=megapixels,
               **json.loads(report.read_text(encoding='utf-8')))


def largest_seam(network: str, engine: str, picture: Picture) -> float:
    """Largest difference between the answers in tiles and whole, on the 0..255 scale, on the noisy picture."""
    net = basicsr_snn.load(network, engine)

    def restored(tile: int) -> np.ndarray:
        return np.concatenate([band.restored for band in Denoiser(net, 3, tile).bands(picture, NoiseStream(SIGMA))])

    return float(np.abs(restored(0) - restored(AUTO_TILE)).max()) * 255


def markdown(runs: list[Run], seams: dict[tuple[str, str], float], rounds: int) -> str:
    lines = ['| network | engine | command | loaded MB | peak MB | above MB | s/Mpx | CPU s/Mpx | seam of 255 |',
             '|---|---|---|---|---|---|---|---|---|']
    lines += [f'| {run.network} | {run.engine} | `{run.what}` | {run.loaded_mb:.0f} | {run.peak_mb:.0f} | '
              f'{run.above_mb:.0f} | {run.seconds / run.megapixels:.2f} | {run.cpu_seconds / run.megapixels:.2f} | '
              f'{seams[run.network, run.engine]:.4f} |' for run in runs]
    note = (f'One {WIDTH}x{HEIGHT} JPEG, laid out of photographs. Runs of each command: {rounds}, the median by '
            'time is shown. Loaded: after imports and network. Seam: largest difference to the untiled answer on '
            f'{SEAM_SIDE}x{SEAM_SIDE} pixels. {machine()}.')
    return '\n'.join([*lines, '', note, ''])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--networks', nargs='+', metavar='NAME:ENGINE',
                        default=['spikerir_small_color25:openvino', 'spikerir_small_color25:torch',
                                 'ffdnet_color:torch'])
    parser.add_argument('--pictures', type=Path, default=Path('datasets/demo'), metavar='DIR',
                        help='photographs to lay the large picture out of (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=1, help='runs of each command (default: %(default)s)')
    parser.add_argument('--markdown', type=Path, metavar='F', help='also write the table to this file')
    args = parser.parse_args()
    console = Console()
    large = mosaic(args.pictures, HEIGHT, WIDTH)
    part = Picture(large[:SEAM_SIDE, :SEAM_SIDE].copy(), None, Path('part.png'))
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / 'large.jpg'
        write_picture(picture, large)
        commands = [(*network.split(':'), extra) for network in args.networks
                    for extra in ([], ['--noise', str(SIGMA), '--gt'])]
        rounds = [[measured(name, engine, picture, Path(folder), large[..., 0].size / 1e6, *extra)
                   for name, engine, extra in commands] for _ in range(args.rounds)]
    runs = [statistics.median_low(repeated) for repeated in zip(*rounds, strict=True)]
    placed = {(run.network, run.engine) for run in runs}
    table = markdown(runs, {one: largest_seam(*one, part) for one in placed}, args.rounds)
    console.print(table, markup=False)
    if args.markdown:
        args.markdown.write_text(table, encoding='utf-8')


if __name__ == '__main__':
    main()
