"""Scores of the shipped networks for other tasks than noise, and of what they are given, row by row in ``tasks.csv``.

``python tools/tasks.py`` measures what the table lacks, on the sets and by the metrics of ``options/test/SpikerIR``,
and writes the tables of the pages. ``--names`` measures some networks, ``--fresh`` again what the table has.
"""
from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
from basicsr.metrics import calculate_metric
from basicsr.utils import tensor2img
from page import write_pages
from rich.console import Console
from rich.progress import track
from scores import read_table as read_scores
from task_score import PROTOCOLS, TaskScore, read_table, write_table

from basicsr_snn import zoo
from basicsr_snn.bench.evaluation_set import EvaluationSet, blocks_of_options
from basicsr_snn.bench.measuring import INPUT, check_answer
from basicsr_snn.bench.row import cost_columns
from basicsr_snn.energy import OperationCounter
from basicsr_snn.images.enlarging import at_size_of
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.zoo.trained_network import shipped_network

OPTIONS = Path('options/test/SpikerIR')


def wanted(protocol: str, names: list[str] | None) -> Iterator[tuple[str, zoo.Row | None]]:
    """Name and row of what is measured by a protocol; the input has no row."""
    options = read_options(OPTIONS / f'{protocol}.yml')
    rows = [row for row in zoo.rows() if row.does == options['task']
            and row.network.get('in_ch', 3) == options['network_g']['in_ch']]
    for name, row in [(INPUT, None), *((row.name, row) for row in rows)]:
        if names is None or name in names:
            yield name, row


def measured(protocol: str, row: zoo.Row | None, block: Mapping[str, Any]) -> TaskScore:
    """The score of one network, or of what it is given, on one set."""
    metrics = read_options(OPTIONS / f'{protocol}.yml')['val']['metrics']
    pictures = EvaluationSet({'test_1': block})
    restorer = shipped_network(row.name).build() if row else None
    counter = OperationCounter(restorer.net.network) if restorer and restorer.net else None
    found: dict[str, list[float]] = {metric: [] for metric in metrics}
    for given, clean, sigma in track(pictures, f'{pictures.names[0]}, {row.name if row else INPUT}', len(pictures),
                                     transient=True):
        with counter or nullcontext():
            answer = restorer(given, sigma) if restorer else at_size_of(given, clean)
        check_answer(answer, clean)
        pair = {'img': tensor2img(answer), 'img2': tensor2img(clean)}
        for metric, how in metrics.items():
            found[metric].append(float(calculate_metric(pair, dict(how))))
    quality = {metric: f'{statistics.fmean(values):.{3 if "psnr" in metric else 4}f}'
               for metric, values in found.items()}
    return TaskScore(protocol, pictures.names[0], row.name if row else INPUT, row.sha256[:8] if row else '',
                     len(pictures), **quality, **(costs(counter) if counter else {}))


def costs(counter: OperationCounter) -> dict[str, str]:
    """What the counted operations cost, as the table has it."""
    columns = cost_columns(counter.report())
    return {'params': f'{columns["params"]}', 'macs_per_px': f'{columns["macs_per_px"]:.0f}',
            'acs_per_px': f'{columns["acs_per_px"]:.0f}', 'nj_per_px': f'{columns["energy_nj_px_fp32"]:.2f}'}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--names', nargs='+', help=f'only these networks; {INPUT}: what they are given')
    parser.add_argument('--tasks', nargs='+', choices=PROTOCOLS, default=PROTOCOLS, help='only these option files')
    parser.add_argument('--fresh', action='store_true', help='measure again what the table has')
    args = parser.parse_args()
    scores, console = read_table(), Console()
    for protocol in args.tasks:
        file = OPTIONS / f'{protocol}.yml'
        names = [block['name'] for block in read_options(file)['datasets'].values()]
        for block in blocks_of_options(file, names).values():
            for name, row in wanted(protocol, args.names):
                key = (protocol, block['name'], name, row.sha256[:8] if row else '')
                if args.fresh or key not in {score.key for score in scores}:
                    score = measured(protocol, row, block)
                    scores = [*(old for old in scores if old.key[:3] != key[:3]), score]
                    write_table(scores)
                    console.print(f'{protocol}: {score.set} {name}: {score.psnr} dB')
    write_pages(read_scores())


if __name__ == '__main__':
    main()
