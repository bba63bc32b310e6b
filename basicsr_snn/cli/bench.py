"""``basicsr-snn bench``: networks side by side on the same pictures."""
from __future__ import annotations

import argparse
import importlib.util
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from basicsr_snn.cli.network_arguments import add_engine_argument
from basicsr_snn.cli.picture_arguments import add_picture_arguments, check_picture_arguments
from basicsr_snn.errors import UserError, one_line
from basicsr_snn.inference.defaults import VIEWS

if TYPE_CHECKING:
    from rich.console import Console

    from basicsr_snn.bench.candidates import Candidate
    from basicsr_snn.bench.evaluation_set import EvaluationSet
    from basicsr_snn.bench.row import Row
    from basicsr_snn.bench.row_cache import RowCache
    from basicsr_snn.zoo.trained_network import TrainedNetwork

PLOT_FORMATS = ('.png', '.pdf', '.svg')


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``bench``."""
    parser = subparsers.add_parser(
        'bench', help='compare networks on the same pictures',
        description='Quality, counted operations and energy, size, speed and memory of networks, spiking or not, on '
                    'the same pictures: one row each. A network that fails is a row with the reason (exit status 1).')
    parser.add_argument('-opt', nargs='+', default=[], metavar='X.yml',
                        help='option files: network_g with the weights of path: pretrain_network_g; without any, only '
                             'its costs are measured')
    parser.add_argument('-n', '--name', nargs='+', default=[], metavar='NAME',
                        help='shipped networks (all names: basicsr-snn list), or weight files that say which network '
                             'they are of')
    parser.add_argument('--weights', nargs='+', default=[], metavar='W',
                        help='such weight files, as with -n; beside one -opt also files of its network_g that do not '
                             'say so themselves')
    parser.add_argument('--bm3d', action='store_true',
                        help='add BM3D, the classical reference (pip install bm3d: for non-commercial use only)')
    parser.add_argument('--views', type=int, default=1, choices=VIEWS,
                        help='each network restores so many flips and turns of a picture and answers with their mean; '
                             'they cost, and count, as time steps (default: 1)')
    add_engine_argument(parser, 'torch', 'torch; others measure quality and speed, operations are counted in torch')
    add_picture_arguments(parser, 'the first option file', ', scores averaged over all their pictures')
    parser.add_argument('--in_ch', type=int, choices=(1, 3), default=3, help='with -i: grey or RGB (default: RGB)')
    parser.add_argument('--md', type=Path, metavar='F', help='write the table as Markdown')
    parser.add_argument('--csv', type=Path, metavar='F', help='write the table as CSV')
    parser.add_argument('--json', type=Path, metavar='F', help='write everything, layers and baselines too, as JSON')
    parser.add_argument('--plot', type=Path, metavar='F.png', help='draw PSNR against energy (png, pdf, svg)')
    parser.add_argument('--cache', type=Path, default=Path('results/bench_cache'), metavar='DIR',
                        help='folder of rows from earlier runs, used again while options, weights, pictures and '
                             'package stay the same (default: %(default)s)')
    parser.add_argument('--no-cache', action='store_true', help='measure all anew, and keep nothing')


def run(args: argparse.Namespace) -> int:
    """Compare.

    Returns:
        0, or 1 if a network failed.

    Raises:
        UserError: Arguments that do not fit together, no network, no pictures, or files that cannot be written.
    """
    from basicsr.utils import get_root_logger
    from rich.console import Console

    from basicsr_snn.bench.measuring import measure_input
    from basicsr_snn.bench.row_cache import RowCache
    from basicsr_snn.bench.tables import console_table
    from basicsr_snn.inference.calling import compute_in_full

    _check_arguments(args)
    _make_folders(args)
    compute_in_full()
    logger = get_root_logger()
    logger.setLevel(logging.WARNING)
    console = Console(stderr=True)
    try:
        candidates = _candidates(args)
        pictures = _pictures(args, console)
        cache = RowCache(None if args.no_cache else args.cache, '' if args.no_cache else pictures.fingerprint())
        rows = [measure_input(pictures)] if pictures.are_pairs else []
        rows += _rows(candidates, pictures, cache, console)
    finally:
        logger.setLevel(logging.INFO)
    shown = Console()
    (shown if shown.is_terminal else Console(width=200)).print(console_table(rows, pictures.describe()))
    _write(args, rows, pictures)
    return 1 if any(row.error for row in rows) else 0


def _check_arguments(args: argparse.Namespace) -> None:
    if not (args.opt or args.name or args.weights or args.bm3d):
        raise UserError('no network was given; add -opt X.yml, or -n NAME (all names: basicsr-snn list).')
    check_picture_arguments(args, 'the first option file')
    if args.plot is not None and args.plot.suffix.lower() not in PLOT_FORMATS:
        raise UserError(f'--plot {args.plot} has no known format; end it on {", ".join(PLOT_FORMATS)}.')
    if args.plot is not None and importlib.util.find_spec('matplotlib') is None:
        raise UserError(f'--plot {args.plot} needs the package matplotlib, which is not installed; type: pip install '
                        'matplotlib, or leave --plot out.')


def _make_folders(args: argparse.Namespace) -> None:
    """Before the work, which may take hours, not after it."""
    for file in filter(None, (args.md, args.csv, args.json, args.plot)):
        with _writing(file):
            if file.is_dir():
                raise IsADirectoryError(f'{file} is a folder')
            file.parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Say which file it was that could not be written."""
    try:
        yield
    except OSError as error:
        raise UserError(f'{file} cannot be written ({error}); give the path of a file.') from error


def _candidates(args: argparse.Namespace) -> list[Candidate]:
    from basicsr_snn.bench.candidates import BM3DCandidate, PlacedCandidate, with_own_names

    networks = [network.with_views(args.views) for network in _networks(args)]
    named = with_own_names(networks)
    placed = named if args.engine == 'torch' else [PlacedCandidate(network, args.engine) for network in named]
    return [*placed, *([BM3DCandidate()] if args.bm3d else [])]


def _networks(args: argparse.Namespace) -> list[TrainedNetwork]:
    from basicsr_snn.pipeline.option_files import network_of_option_file
    from basicsr_snn.zoo.trained_network import named_network, network_beside

    of_options = [network_of_option_file(file) for file in args.opt]
    only = of_options[0] if len(of_options) == 1 else None
    of_weights = [network_beside(file, only) for file in args.weights]
    if only and not only.trained and any(one.network is only.network for one in of_weights):
        of_options = []  # its rows are those of the weights that it lacks
    return [*of_options, *map(named_network, args.name), *of_weights]


def _pictures(args: argparse.Namespace, console: Console) -> EvaluationSet:
    """The pictures of the first option file, which hold for all, or those of ``-i``."""
    from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder, blocks_of_options

    if args.input is not None:
        return EvaluationSet(block_of_folder(args.input, args.noise, args.in_ch), args.pictures)
    first, *others = args.opt
    blocks = blocks_of_options(first, args.sets)
    for other in others:
        try:
            same = list(blocks_of_options(other, args.sets).values()) == list(blocks.values())
        except UserError:
            same = False
        if not same:
            _say(console, f'{other} names other pictures; all networks run on those of {first}')
    return EvaluationSet(blocks, args.pictures)


def _rows(candidates: list[Candidate], pictures: EvaluationSet, cache: RowCache, console: Console) -> list[Row]:
    from basicsr_snn.cli.progress_bars import progress_bars

    rows = []
    with progress_bars(console) as bar:
        task = bar.add_task('bench', total=len(candidates) * len(pictures))
        for done, candidate in enumerate(candidates):
            bar.update(task, description=candidate.name, completed=done * len(pictures))
            rows.append(_row(candidate, pictures, cache, console, lambda: bar.advance(task)))
            if rows[-1].error:
                _say(console, f'{candidate.name} failed: {rows[-1].error}')
            elif not candidate.trained:
                _say(console, f'{candidate.name} is untrained, since no weights were named: its costs are measured, '
                              'not its quality')
        bar.update(task, completed=len(candidates) * len(pictures))
    return rows


def _say(console: Console, sentence: str) -> None:
    console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _row(candidate: Candidate, pictures: EvaluationSet, cache: RowCache, console: Console,
         on_picture: Callable[[], None]) -> Row:
    from basicsr_snn.bench.measuring import measure
    from basicsr_snn.bench.row import Row

    try:
        kept = cache.find(candidate)
        row = kept or measure(candidate, pictures, on_picture)
    except Exception as error:  # one network must not cost the others; it is a row with its reason, and sets the status
        return Row(candidate.name, candidate.arch, error=one_line(error))
    if kept is None:
        try:
            cache.keep(candidate, row)
        except OSError as error:
            _say(console, f'the row of {candidate.name} is not kept for later runs ({error})')
    return row


def _write(args: argparse.Namespace, rows: list[Row], pictures: EvaluationSet) -> None:
    from basicsr_snn.bench import tables

    for file, text in ((args.md, tables.markdown), (args.csv, tables.csv_text), (args.json, tables.json_text)):
        if file is not None:
            with _writing(file):
                file.write_text(text(rows, pictures.describe()), encoding='utf-8')
    if args.plot is not None:
        from basicsr_snn.bench.plotting import draw

        with _writing(args.plot):
            draw(rows, pictures.describe(), args.plot)
