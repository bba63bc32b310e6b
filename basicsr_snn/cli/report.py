"""``basicsr-snn report``: one HTML page on a network."""
from __future__ import annotations

import argparse
import importlib.util
import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from basicsr_snn.cli.network_arguments import add_network_arguments, check_network_arguments, trained_network
from basicsr_snn.cli.picture_arguments import add_picture_arguments, check_picture_arguments
from basicsr_snn.errors import UserError

if TYPE_CHECKING:
    from basicsr_snn.bench.evaluation_set import EvaluationSet
    from basicsr_snn.report.findings import Findings
    from basicsr_snn.zoo.trained_network import TrainedNetwork


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``report``."""
    parser = subparsers.add_parser(
        'report', help='write an HTML page on a network',
        description='Writes one self-contained HTML page: quality, counted operations and energy beside the ANN twin '
                    'and the quantised twin, what each layer and its neurons do, example pictures.')
    add_network_arguments(parser, 'its network_g, and its test pictures')
    parser.add_argument('-o', '--output', required=True, type=Path, metavar='DIR',
                        help='folder for the page, NAME.html')
    add_picture_arguments(parser, 'the option file')


def run(args: argparse.Namespace) -> int:
    """Write the page.

    Returns:
        0.

    Raises:
        UserError: Arguments that do not fit together, no network, no pictures, a network that cannot restore them, or a
            folder that cannot be written to.
    """
    from basicsr.utils import get_root_logger

    from basicsr_snn.inference.calling import compute_in_full

    _check_arguments(args)
    _make_folder(args.output)
    compute_in_full()
    logger = get_root_logger()
    logger.setLevel(logging.WARNING)
    try:
        trained = trained_network(args)
        pictures = _pictures(args, trained)
        found = _examine(trained, pictures)
    finally:
        logger.setLevel(logging.INFO)
    from basicsr_snn.report.origin import origin_of
    from basicsr_snn.report.page import render

    origin = origin_of(args.command, trained.known_card().licence, pictures.folders())
    file = args.output / f'{re.sub(r"[^0-9A-Za-z_.-]+", "_", trained.name)}.html'
    try:
        file.write_text(render(found, origin), encoding='utf-8')
    except OSError as error:
        raise UserError(f'{file} cannot be written ({error}); give another folder as -o.') from error
    sys.stdout.write(f'{trained.name} on {found.pictures}: {found.mean("psnr"):.2f} dB; written to {file}\n')
    return 0


def _check_arguments(args: argparse.Namespace) -> None:
    check_network_arguments(args)
    check_picture_arguments(args, 'the option file')
    for package in ('matplotlib', 'jinja2'):
        if importlib.util.find_spec(package) is None:
            raise UserError(f'a report needs the package {package}, which is not installed; type: pip install '
                            f'{package}.')


def _make_folder(folder: Path) -> None:
    """Before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'-o {folder} cannot be made ({error}); give the path of a folder.') from error


def _pictures(args: argparse.Namespace, trained: TrainedNetwork) -> EvaluationSet:
    from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder, blocks_of_options

    if args.input is None:
        return EvaluationSet(blocks_of_options(args.opt, args.sets), args.pictures)
    return EvaluationSet(block_of_folder(args.input, args.noise, trained.deployed().in_ch), args.pictures)


def _examine(trained: TrainedNetwork, pictures: EvaluationSet) -> Findings:
    from rich.console import Console

    from basicsr_snn.cli.progress_bars import progress_bars
    from basicsr_snn.report.findings import examine

    with progress_bars(Console(stderr=True)) as bar:
        task = bar.add_task('report', total=len(pictures))
        return examine(trained, pictures, lambda: bar.advance(task))
