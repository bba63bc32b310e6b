"""``basicsr-snn denoise``: restores picture files, with a shipped network or your own."""
from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from basicsr_snn.cli.limit_argument import add_limit_argument
from basicsr_snn.cli.network_arguments import (
    NAME_HELP,
    add_weights_argument,
    check_network_arguments,
    trained_network,
)
from basicsr_snn.errors import UserError, near_matches, one_line
from basicsr_snn.images.limits import allow_megapixels
from basicsr_snn.inference.self_ensemble import VIEWS
from basicsr_snn.inference.tiling import AUTO_TILE, AUTO_TILE_ABOVE, TILE_PAD

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from basicsr_snn.images.scoring import Score
    from basicsr_snn.inference.contract import Restorer
    from basicsr_snn.inference.denoising import Denoiser


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``denoise``."""
    parser = subparsers.add_parser('denoise', help='restore picture files',
                                   description='Restores pictures (8 or 16 bits, grey, RGB or with alpha) of any size.')
    parser.add_argument('-i', '--input', required=True, type=Path, metavar='FILE_OR_DIR', help='picture or folder')
    parser.add_argument('-o', '--output', required=True, type=Path, metavar='DIR', help='folder for the results')
    _add_network_arguments(parser)
    parser.add_argument('-t', '--tile', type=_pixels, metavar='TILE',
                        help=f'side of a tile in pixels; 0: never tile (default: {AUTO_TILE} for pictures above '
                             f'{AUTO_TILE_ABOVE / 1e6:g} megapixels)')
    parser.add_argument('--tile_pad', type=_pixels, metavar='P',
                        help='overlap at each side of a tile (default: as far as the network looks, which leaves no '
                             f'seam; {TILE_PAD} where that is not known)')
    parser.add_argument('--views', type=int, default=1, choices=VIEWS,
                        help='restore so many flips and turns of a picture and take their mean: up to 0.1 dB better, '
                             'for that many times the work (default: 1)')
    parser.add_argument('--suffix', default='', help='results are called NAME_SUFFIX')
    parser.add_argument('--ext', default='auto', help="extension of the results (default: auto, the input's own)")
    parser.add_argument('--bits', type=int, choices=(8, 16),
                        help="bits a channel of the results (default: the input's)")
    parser.add_argument('--quality', type=_quality, metavar='Q',
                        help='1 to 100, for JPEG, WebP, AVIF and HEIC (default: a JPEG of a JPEG has its tables of '
                             'quantisation, other JPEGs have 95, WebP is lossless, AVIF and HEIC have 90)')
    parser.add_argument('--recursive', action='store_true', help='take sub-folders too, and keep them')
    parser.add_argument('--noise', type=_noise_level, metavar='SIGMA',
                        help='add Gaussian noise first, standard deviation on the 0..255 scale')
    parser.add_argument('--seed', type=int, default=0, help='seed of that noise, anew for each picture (default: 0)')
    parser.add_argument('--gt', action='store_true', help='with --noise: score the results against the clean input')
    add_limit_argument(parser)


def _add_network_arguments(parser: argparse.ArgumentParser) -> None:
    network = parser.add_mutually_exclusive_group()
    network.add_argument('-n', '--name', metavar='NAME',
                         help=f'{NAME_HELP} (default: the student for the noise level, blind if none is given; for '
                              'grey pictures the grey one)')
    network.add_argument('-opt', metavar='X.yml', help='option file whose network_g is built')
    add_weights_argument(parser)
    parser.add_argument('--sigma', type=_noise_level, metavar='S',
                        help='noise level: takes the student trained for it, else the blind one, for grey pictures the '
                             'grey one; with -n or -opt it is told to a network that takes one (default: that of '
                             '--noise)')


def _pixels(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r} is no number of pixels; write a whole number, 0 or more')
    return int(text)


def _quality(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f'{text!r} is no quality; write a whole number from 1 to 100')
    return int(text)


def _noise_level(text: str) -> float:
    try:
        level = float(text)
    except ValueError:
        level = math.nan
    if not 0 <= level <= 255:
        raise argparse.ArgumentTypeError(f'{text!r} is no noise level; write a number from 0 to 255, for example 25')
    return level


def run(args: argparse.Namespace) -> int:
    """Restore all pictures; go on after one that fails.

    Returns:
        0, or 1 if a picture failed.

    Raises:
        UserError: Arguments that do not fit together, no pictures, no such network, or results that would overwrite
            inputs.
    """
    from rich.console import Console

    if args.gt and args.noise is None:
        raise UserError('--gt was given without --noise, but scores need a clean input that noise is added to; '
                        'add for example --noise 25.')
    allow_megapixels(args.max_megapixels)
    jobs = plan(args.input, args.output, args.suffix, args.ext, args.recursive)
    batch = _Batch(_denoisers(args), args, Console(stderr=True))
    batch.restore(jobs)
    if batch.scores:
        Console().print(_score_table(batch.scores))
    sys.stdout.write(f'{len(jobs) - len(batch.failures)} of {len(jobs)} pictures written to {args.output}\n')
    if batch.failures:
        sys.stderr.write(f'{len(batch.failures)} of {len(jobs)} pictures failed:\n')
        sys.stderr.writelines(f'  {path}: {reason}\n' for path, reason in batch.failures)
    return 1 if batch.failures else 0


def plan(given: Path, output: Path, suffix: str = '', ext: str = 'auto',
         recursive: bool = False) -> list[tuple[Path, Path]]:
    """Pairs of input file and result file.

    Raises:
        UserError: No such input, no pictures, an unknown extension, or a result that would overwrite an input or
            another result.
    """
    from basicsr_snn.images.files import EXTENSIONS

    if ext != 'auto':
        ext = '.' + ext.lower().removeprefix('.')
        if ext not in EXTENSIONS:
            raise UserError(f'--ext {ext} is not known; write auto or one of {" ".join(EXTENSIONS)}.')
    if Path(suffix).name != suffix:
        raise UserError(f'--suffix {suffix} would leave the folder; write a plain word, and the folder as -o.')
    if output.exists() and not output.is_dir():
        raise UserError(f'-o {output} is a file, but results go to a folder; write -o {output.parent}.')
    root = given if given.is_dir() else given.parent
    jobs = []
    for source in _sources(given, output, recursive):
        name = f'{source.stem}_{suffix}' if suffix else source.stem
        extension = source.suffix if ext == 'auto' else ext
        jobs.append((source, output / source.relative_to(root).parent / f'{name}{extension}'))
    _refuse_overwriting(jobs)
    return jobs


def _sources(given: Path, output: Path, recursive: bool) -> list[Path]:
    from basicsr_snn.images.listing import find_pictures, real_path

    if not given.exists():
        near = near_matches(given.name, sorted(path.name for path in given.parent.glob('*')))
        instead = f'did you mean {" or ".join(near)} in {given.parent}?' if near else 'give a picture or a folder.'
        raise UserError(f'-i {given} does not exist (seen from {Path.cwd()}); {instead}')
    if given.is_file():
        return [given]
    results = real_path(output)
    listing = find_pictures(given, recursive)
    if real_path(given) in results.parents:
        listing = listing.without(results)
    left_out = listing.what_is_left_out()
    if left_out:
        sys.stderr.write(f'{left_out}\n')
    if not listing.pictures:
        raise UserError(f'-i {given} holds no pictures but those of -o {output}; give the folder of the inputs.')
    return listing.pictures


def _refuse_overwriting(jobs: list[tuple[Path, Path]]) -> None:
    from basicsr_snn.images.listing import real_path

    inputs = {real_path(source) for source, _ in jobs}
    made: dict[Path, Path] = {}
    for source, target in jobs:
        resolved = real_path(target)
        if resolved in inputs or target.exists() and target.samefile(source):
            raise UserError(f'{target} would overwrite an input; choose another folder with -o, or other names with '
                            '--suffix.')
        if resolved in made:
            raise UserError(f'{made[resolved]} and {source} would both be written to {target}; leave out --ext, or '
                            'restore them one by one into different folders.')
        made[resolved] = source


@dataclass
class _Batch:
    """One run over many pictures: what was scored, what failed, what was said."""

    denoiser_for: Callable[[int], tuple[str, Denoiser]]
    args: argparse.Namespace
    console: Console
    scores: list[tuple[str, Score]] = field(default_factory=list)
    failures: list[tuple[Path, str]] = field(default_factory=list)
    said: set[str] = field(default_factory=set)

    def restore(self, jobs: list[tuple[Path, Path]]) -> None:
        from rich import progress

        columns = (progress.TextColumn('denoise'), progress.BarColumn(), progress.MofNCompleteColumn(),
                   progress.TimeRemainingColumn())
        with progress.Progress(*columns, console=self.console) as bar:
            for source, target in bar.track(jobs):
                try:
                    self._restore_one(source, target)
                except Exception as error:  # one bad file must not cost the others; it is reported and sets the status
                    self.failures.append((source, one_line(error)))

    def _restore_one(self, source: Path, target: Path) -> None:
        from basicsr_snn.images.files import format_for, read_picture, write_picture
        from basicsr_snn.images.noise import NoiseStream
        from basicsr_snn.images.scoring import score
        from basicsr_snn.inference.denoising import restore_picture

        picture = read_picture(source, carried=True)
        if picture.inks:
            raise UserError(f'{source} stores the colours of four inks (CMYK), which no network here restores: convert '
                            'it to RGB with the program that knows its profile.')
        bits = self.args.bits or picture.bits
        format_for(target, bits, picture.alpha is not None)
        name, denoiser = self.denoiser_for(picture.stored.shape[2])
        self._announce(source, name, denoiser, *picture.stored.shape)
        noise = None if self.args.noise is None else NoiseStream(self.args.noise, self.args.seed)
        restored, compared = restore_picture(denoiser, picture, noise, bits, compare=self.args.gt)
        scored = [(source.name, score(compared.clean, compared.noisy, compared.restored))] if compared else []
        alpha, carried = picture.alpha, picture.carried
        del picture, compared  # encoding needs as much memory again
        left_out = write_picture(target, restored, alpha=alpha, carried=carried, quality=self.args.quality)
        if left_out:
            self._say_once(f'{source}: the result is without {", ".join(left_out)}')
        self.scores += scored

    def _announce(self, source: Path, name: str, denoiser: Denoiser, height: int, width: int, channels: int) -> None:
        if name:
            self._say_once(f'{"colour" if channels == 3 else "grey"} pictures are restored by {name}')
        if channels > denoiser.channels:
            self._say_once('colour pictures go through this grey network channel by channel')
        tile = denoiser.tile_for(height, width)
        if tile:
            self._say_once(f'{source}: {width}x{height} pixels, in tiles of {tile} + 2 x {denoiser.tile_pad}')

    def _say_once(self, message: str) -> None:
        if message not in self.said:
            self.said.add(message)
            self.console.print(message, markup=False, highlight=False, soft_wrap=True)


def _denoisers(args: argparse.Namespace) -> Callable[[int], tuple[str, Denoiser]]:
    """From the channels of a picture to the network that restores it, with its name where the arguments name none."""
    from basicsr_snn import zoo

    if args.opt or args.name or args.weights:
        named = _denoiser(args)
        return lambda channels: ('', named)
    level = args.noise if args.sigma is None else args.sigma

    @cache
    def choose(channels: int) -> tuple[str, Denoiser]:
        row = zoo.row(zoo.default_name(channels, level))
        contrast = row.contrast_for(level)
        told = '' if contrast == 1 else f', at {contrast:.2g} times the contrast, as it was trained for {row.noise}'
        return row.name + told, _ready(args, zoo.load(row.name), contrast)

    return choose


def _denoiser(args: argparse.Namespace) -> Denoiser:
    """The network that the arguments ask for."""
    check_network_arguments(args)
    net = trained_network(args).deployed()
    if args.sigma is not None and not net.takes_sigma:
        raise UserError(f'--sigma {args.sigma:g} was given, but {type(net.network).__name__} takes no noise level; '
                        'leave out --sigma, or choose another network with -n.')
    return _ready(args, net)


def _ready(args: argparse.Namespace, net: Restorer, contrast: float = 1.0) -> Denoiser:
    """A network on the GPU where there is one, told the noise level where it takes one."""
    import torch

    from basicsr_snn.inference.denoising import Denoiser
    from basicsr_snn.inference.self_ensemble import SelfEnsemble

    net.to('cuda' if torch.cuda.is_available() else 'cpu')
    sigma = args.noise if args.sigma is None else args.sigma
    net = SelfEnsemble(net, args.views) if args.views > 1 else net
    return Denoiser(net, net.in_ch, args.tile, args.tile_pad, sigma, contrast)


def _score_table(scores: list[tuple[str, Score]]) -> Table:
    import numpy as np
    from rich.markup import escape
    from rich.table import Table

    table = Table('picture', title='Scores against the clean pictures (PSNR in dB)')
    for column in ('noisy PSNR', 'denoised PSNR', 'noisy SSIM', 'denoised SSIM'):
        table.add_column(column, justify='right')
    values = np.array([[one.noisy_psnr, one.psnr, one.noisy_ssim, one.ssim] for _, one in scores])
    means = [column[~np.isnan(column)].mean() if not np.isnan(column).all() else math.nan for column in values.T]
    for name, row in zip([escape(name) for name, _ in scores], values, strict=True):
        table.add_row(name, *_cells(row))
    table.add_section()
    table.add_row('mean', *_cells(means))
    return table


def _cells(values: np.ndarray | list[float]) -> list[str]:
    return ['-' if math.isnan(value) else f'{value:.{digits}f}'
            for value, digits in zip(values, (2, 2, 4, 4), strict=True)]
