"""Scores of the shipped networks, of BM3D and of the noisy pictures on the standard sets, row by row in ``scores.csv``.

``python tools/scores.py`` measures what the table lacks and then writes the tables of the pages. A row
holds the checksum of its weights: rows of weights that no longer ship leave the table, and new weights are measured
anew. Sets that are not in ``--data`` are told and left out. ``--names`` and ``--sets`` measure some of it, ``--fresh``
measures again what the table has.
"""
from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
from page import COLOUR, GREY, write_pages
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from score_row import Score
from torch import Tensor

from basicsr_snn import zoo
from basicsr_snn.bench.candidates import BM3DCandidate, Candidate
from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder
from basicsr_snn.bench.measuring import measure
from basicsr_snn.pipeline.option_files import network_of_option_file
from basicsr_snn.spiking.neurons.phase import phase_form
from basicsr_snn.zoo.trained_network import TrainedNetwork, shipped_network

TABLE = Path(__file__).with_name('results') / 'scores.csv'
SIGMAS = (15, 25, 50)
VIEWED = {'spikerir_small_color25': (2, 8), 'spikerir_small_gray25': (2, 8), 'spikerir_base_color25': (2,)}
"""On how many views of the first set's pictures some students are also measured: each costs one more time."""
GREY_ANNS = Path('options/test/DnCNN'), Path('options/test/FFDNet')


@dataclass(frozen=True)
class Noisy:
    """The noisy picture itself."""

    name: str = 'noisy'
    arch: str = '-'
    trained = True
    net = None
    spiking = False

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def build(self) -> Noisy:
        return self

    def __call__(self, picture: Tensor, sigma: Tensor | None) -> Tensor:
        return picture


def wanted(bm3d: bool) -> Iterator[tuple[str, int, int, Candidate]]:
    """What the page shows, as (set, sigma, channels, candidate): quick ones first."""
    last = [BM3DCandidate()] if bm3d else []
    for sigma in SIGMAS:
        for sets, channels in ((COLOUR, 3), (GREY, 1)):
            rows = [row for row in zoo.rows() if _suits(row, channels, sigma)]
            shipped = [shipped_network(row.name) for row in rows]
            phased = [phase_coded(row) for row in rows if row.neuron == 'SignedILIF' and row.T == 1]
            grey = [network_of_option_file(arch / f'gray{sigma}.yml') for arch in GREY_ANNS] if channels == 1 else []
            viewed = [one.with_views(views) for one in shipped for views in VIEWED.get(one.name, ())]
            for name in sets:
                for candidate in [Noisy(), *shipped, *([*phased, *viewed] if name == sets[0] else []), *grey, *last]:
                    yield name, sigma, channels, candidate


def phase_coded(row: zoo.Row) -> TrainedNetwork:
    """A shipped student with its counts told digit by digit: the same pictures, other costs."""
    return TrainedNetwork(f'{row.name}, phase-coded', phase_form(row.network), row.path)


def _suits(row: zoo.Row, channels: int, sigma: int) -> bool:
    """Whether a network was made for pictures of these channels and this noise."""
    if row.does != 'denoise' or row.noise == 'camera':
        return False
    grey = row.network.get('in_ch', row.network.get('in_nc', 3)) == 1
    levels = row.noise if isinstance(row.noise, list) else [row.noise, row.noise]
    return grey == (channels == 1) and levels[0] <= sigma <= levels[1]


def measured(candidate: Candidate, pictures: EvaluationSet, sigma: int, progress: Progress) -> Score:
    task = progress.add_task(f'{candidate.name}, {pictures.names[0]}, sigma {sigma}', total=len(pictures))
    row = measure(candidate, pictures, lambda: progress.advance(task))
    progress.remove_task(task)

    def number(value: float | None, digits: int) -> str:
        return '' if value is None else f'{value:.{digits}f}'

    return Score(pictures.names[0], sigma, row.name, weights_of(candidate), len(pictures), number(row.psnr, 3),
                 number(row.ssim, 4), number(row.params, 0), number(row.macs_per_px, 0), number(row.acs_per_px, 0),
                 number(row.firing_rate, 3), number(row.energy_nj_px_fp32, 2))


def weights_of(candidate: Candidate) -> str:
    return str(candidate.fingerprint().get('weights') or '')[:8]


def read_table() -> list[Score]:
    """The rows but those of weights that no longer ship."""
    if not TABLE.exists():
        return []
    shipped = {row.name: row.sha256 for row in zoo.rows()}
    with TABLE.open(newline='') as rows:
        scores = [Score(**{**row, 'sigma': int(row['sigma']), 'pictures': int(row['pictures'])})
                  for row in csv.DictReader(rows)]
    return [score for score in scores if shipped.get(score.network, score.weights).startswith(score.weights)]


def write_table(scores: list[Score]) -> None:
    with TABLE.open('w', newline='') as file:
        writer = csv.DictWriter(file, [one.name for one in fields(Score)], lineterminator='\n')
        writer.writeheader()
        writer.writerows(asdict(score) for score in scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, default=Path('datasets'), help='folder of the sets (default: %(default)s)')
    parser.add_argument('--sets', nargs='+', default=[*COLOUR, *GREY], help='only these')
    parser.add_argument('--sigmas', nargs='+', type=int, default=list(SIGMAS), help='only these')
    parser.add_argument('--names', nargs='+', help='only these networks')
    parser.add_argument('--bm3d', action='store_true', help='BM3D too: four hours; its licence is non-commercial')
    parser.add_argument('--fresh', action='store_true', help='measure again what the table has')
    args = parser.parse_args()
    there = {name for name in args.sets if (args.data / name).is_dir()}
    jobs = [job for job in wanted(args.bm3d) if job[0] in there and job[1] in args.sigmas
            and (args.names is None or job[3].name in args.names)]
    scores, console = read_table(), Console()
    for name in sorted({*args.sets} - there):
        console.print(f'{name} is left out: there is no folder {args.data / name}')
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as progress:
        overall = progress.add_task('rows', total=len(jobs))
        for name, sigma, channels, candidate in jobs:
            key = (name, sigma, candidate.name, weights_of(candidate))
            if args.fresh or key not in {score.key for score in scores}:
                pictures = EvaluationSet(block_of_folder(args.data / name, sigma, channels))
                score = measured(candidate, pictures, sigma, progress)
                others = [old for old in read_table() if old.key[:3] != key[:3]]  # other processes may have added some
                scores = [*others, score]
                write_table(sorted(scores, key=lambda one: (one.sigma, one.set, one.name)))
                console.print(f'{name} sigma {sigma} {candidate.name}: {score.psnr} dB')
            progress.advance(overall)
    write_pages(scores)


if __name__ == '__main__':
    main()
