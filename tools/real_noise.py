"""How networks do on photographs: real pairs of PolyU that nothing was trained on, and pictures that need nothing.

``python tools/real_noise.py`` measures ``tools/results/real_noise.csv`` anew and writes the tables of
``docs/results/real-noise.md``. ``--names`` adds networks to the ones that are compared anyway; ``--grey`` measures grey
photographs alone and leaves the other lines as they are; with ``--subset 67 78`` those that choose among checkpoints,
which are printed and not kept.
"""
from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import basicsr_snn  # before basicsr

# isort: split
import cv2
import numpy as np
import torch
from page import RESULTS, written
from rich.console import Console
from rich.progress import track

from basicsr_snn.data.picture_source import open_source
from basicsr_snn.data.real_pairs_dataset import RealPairsDataset
from basicsr_snn.images.files import to_channels, to_integers, write_picture
from basicsr_snn.images.jpeg import stored_as_jpeg
from basicsr_snn.images.scoring import psnr
from basicsr_snn.inference.calling import restore
from basicsr_snn.inference.contract import Restorer

TABLE = Path(__file__).parent / 'results' / 'real_noise.csv'
TEST_PAIRS = (78, 100)
SEEN = ('classroom', 'toy', 'waterhouse')
"""Scenes among these that other cameras show in the training: left out."""
LEVELS = (5.0, 7.5, 10.0, 12.5, 15.0, 20.0, 25.0)
"""Of which FFDNet is told the one that suits each picture best, as only who has the truth can."""
GREY = 'grey pairs'
COMMANDS: dict[str, dict[str, Any]] = {'denoise': {},
                                       'denoise -n spikerir_base_colorreal': {'name': 'spikerir_base_colorreal'}}
"""Commands, and the arguments of ``basicsr_snn.denoise`` that do the same."""
GREY_COMMANDS = {**COMMANDS, 'denoise --sigma 10': {'sigma': 10}, 'denoise --sigma 15': {'sigma': 15}}
HARM_DB = 0.05
SHOWN = (1, 5, 15)
"""Places among the pairs of those that the sheet shows."""
NAMES = ('spikerir_small_colorreal', 'spikerir_base_colorreal', 'spikerir_small_colorblind', 'spikerir_small_color15',
         'dncnn_color_blind')
Pair = tuple[np.ndarray, np.ndarray]
Restore = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Line:
    """A restorer on the pictures of one part of the table.

    Attributes:
        part: ``pairs``, ``grey pairs`` or a kind of pictures that need nothing.
        name: The restorer.
        pictures: How many.
        psnr: Mean PSNR in dB against the truth, of 8-bit pictures.
        least_gain: The worst change of PSNR by restoring, in dB; for clean pictures the least PSNR itself.
        worse: Pictures that lost more than :data:`HARM_DB`.
    """

    part: str
    name: str
    pictures: int
    psnr: float
    least_gain: float
    worse: int


def real_pairs(folder: Path, subset: tuple[int, int]) -> list[Pair]:
    """Noisy and true pictures, (H, W, 3) uint8, of scenes that nothing was trained on."""
    dataset = RealPairsDataset({'phase': 'test', 'name': 'PolyU', 'dataroot_gt': str(folder), 'subset': list(subset)})
    items = (dataset[place] for place in range(len(dataset)))
    return [(_stored(item['lq']), _stored(item['gt'])) for item in items
            if not any(scene in item['gt_path'] for scene in SEEN)]


def in_grey(pairs: Sequence[Pair]) -> list[Pair]:
    """The luminance of pairs, (H, W) uint8."""
    return [cast('Pair', tuple(to_channels(one, 1, 'PolyU')[..., 0] for one in pair)) for pair in pairs]


def _stored(picture: torch.Tensor) -> np.ndarray:
    return to_integers(picture.permute(1, 2, 0).numpy())


def clean_pictures(photographs: Path) -> Iterator[tuple[str, list[Pair]]]:
    """Pictures that need nothing, by kind, each with itself, or with what it was before JPEG, as the truth."""
    source = open_source(photographs)
    places = range(len(source.names) - 32, len(source.names))
    photos = [to_channels(source.read(place), 3, source.names[place]) for place in places]
    yield 'clean photographs', [(photo, photo) for photo in photos]
    yield 'clean photographs, JPEG of quality 40', [(stored_as_jpeg(photo, 40), photo) for photo in photos]
    drawn = [text_page(seed) for seed in range(4)] + [gradients(), checks()]
    yield 'screenshots, text and drawings', [(one, one) for one in drawn]
    yield 'night: photographs at a tenth of their light', [(one, one) for one in ((photo // 10) for photo in photos)]


def text_page(seed: int) -> np.ndarray:
    """Lines of letters on a light ground, as on a screen."""
    rng = np.random.default_rng(seed)
    page = np.full((320, 480, 3), rng.integers(200, 256, 3), np.uint8)
    for line in range(10):
        words = ' '.join(''.join(chr(letter) for letter in rng.integers(97, 123, rng.integers(2, 9))) for _ in range(7))
        colour = tuple(map(int, rng.integers(0, 90, 3)))
        cv2.putText(page, words, (8, 28 + 30 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.3 + 0.05 * line, colour, 1,
                    cv2.LINE_AA)
    return page


def gradients() -> np.ndarray:
    rows, columns = np.mgrid[:320, :480]
    return np.stack([columns * 255 // 479, rows * 255 // 319, (rows + columns) * 255 // 798], -1).astype(np.uint8)


def checks() -> np.ndarray:
    rows, columns = np.mgrid[:320, :480]
    return np.repeat((((rows // 4 + columns // 4) % 2) * 255)[..., None], 3, -1).astype(np.uint8)


def by_network(net: Restorer, sigma: float | None = None) -> Restore:
    @torch.inference_mode()
    def restored(picture: np.ndarray, truth: np.ndarray) -> np.ndarray:
        given = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]
        return _stored(restore(net, given.contiguous(memory_format=torch.channels_last), sigma)[0].clamp(0, 1))
    return restored


def by_command(told: Mapping[str, Any]) -> Restore:
    return lambda picture, truth: basicsr_snn.denoise(picture, **told)


def best_of(restorers: Sequence[Restore]) -> Restore:
    """The answer nearest to the truth."""
    return lambda picture, truth: max((one(picture, truth) for one in restorers), key=lambda made: psnr(made, truth))


def restorers(names: Sequence[str]) -> Iterator[tuple[str, Restore]]:
    yield 'as it is', lambda picture, truth: picture
    for command, told in COMMANDS.items():
        yield command, by_command(told)
    for name in names:
        yield name, by_network(basicsr_snn.load(name))
    ffdnet = basicsr_snn.load('ffdnet_color')
    yield 'ffdnet_color, told 10', by_network(ffdnet, 10.0)
    yield 'ffdnet_color, told what suits each picture best', best_of([by_network(ffdnet, level) for level in LEVELS])


def draw_sheet(pairs: Sequence[Pair], restored: Restore, file: Path) -> None:
    """The middle of some pictures, each pixel as two by two: as they are, restored, and the mean of many exposures."""
    rows = []
    for place in SHOWN:
        picture, truth = pairs[place]
        shown = [one[160:320, 160:400] for one in (picture, restored(picture, truth), truth)]
        rows.append(np.hstack([np.pad(np.kron(one, np.ones((2, 2, 1), np.uint8)), ((0, 6), (0, 6), (0, 0)),
                                      constant_values=255) for one in shown]))
    write_picture(file, np.vstack(rows))


def line(part: str, name: str, pairs: Sequence[Pair], restored: Restore) -> Line:
    before = [psnr(picture, truth) for picture, truth in pairs]
    after = [psnr(restored(picture, truth), truth)
             for picture, truth in track(pairs, description=f'{name}, {part}', transient=True)]
    gains = [now - then if np.isfinite(then) else now for now, then in zip(after, before, strict=True)]
    worse = sum(gain < -HARM_DB for gain in gains)
    return Line(part, name, len(pairs), float(np.mean(after)), float(np.min(gains)), worse)


def measure_grey(pairs: Sequence[Pair]) -> Iterator[Line]:
    yield line(GREY, 'as it is', pairs, lambda picture, truth: picture)
    for command, told in GREY_COMMANDS.items():
        yield line(GREY, command, pairs, by_command(told))


def measure(args: argparse.Namespace) -> Iterator[Line]:
    pairs = real_pairs(args.pairs, args.subset)
    yield from measure_grey(in_grey(pairs))
    if args.grey:
        return
    parts = [('pairs', pairs), *clean_pictures(args.clean)]
    for name, restored in restorers([*NAMES, *args.names]):
        for part, pairs in parts:
            if part == 'pairs' or not name.startswith('ffdnet') and name != 'as it is' or 'JPEG' in part:
                yield line(part, name, pairs, restored)


def read_others() -> list[dict[str, str]]:
    """The lines of the table that are not of grey photographs."""
    with TABLE.open(newline='', encoding='utf-8') as file:
        return [row for row in csv.DictReader(file) if row['part'] != GREY]


def write(lines: Sequence[Line], others: Sequence[Mapping[str, str]] = ()) -> None:
    with TABLE.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow([one.name for one in fields(Line)])
        writer.writerows(row.values() for row in others)
        writer.writerows([one.part, one.name, one.pictures, f'{one.psnr:.2f}', f'{one.least_gain:.2f}', one.worse]
                         for one in lines)
    page = RESULTS / 'real-noise.md'
    page.write_text(written(page, []), encoding='utf-8')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--pairs', type=Path, default=Path('datasets/PolyU'), help='(default: %(default)s)')
    parser.add_argument('--clean', type=Path, default=Path('datasets/BSD432'), help='(default: %(default)s)')
    parser.add_argument('--names', nargs='*', default=[], help='shipped networks or weight files to compare, too')
    parser.add_argument('--grey', action='store_true', help='grey photographs alone')
    parser.add_argument('--subset', nargs=2, type=int, default=TEST_PAIRS, help='other pairs; nothing is kept of these')
    parser.add_argument('--sheet', type=Path, metavar='F.jpg', help='draw some pairs, restored')
    args = parser.parse_args()
    console, lines = Console(width=160), []
    for one in measure(args):
        lines.append(one)
        console.print(f'{one.part}: {one.name} {one.psnr:.2f} dB, worst {one.least_gain:+.2f}, worse {one.worse}')
    if tuple(args.subset) != TEST_PAIRS:
        return
    write(lines, read_others() if args.grey else ())
    if args.sheet:
        draw_sheet(real_pairs(args.pairs, TEST_PAIRS), by_command({}), args.sheet)


if __name__ == '__main__':
    main()
