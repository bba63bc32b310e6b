"""``basicsr-snn denoise``: takes noise out of picture files, with a shipped network or your own."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from basicsr_snn.cli.denoise_arguments import (
    add_file_arguments,
    add_restoring_arguments,
    add_trial_arguments,
    noise_level_or_auto,
)
from basicsr_snn.cli.denoise_batch import FAILED, SKIPPED, WRITTEN, Batch, Chooser, Chosen, score_table
from basicsr_snn.cli.denoise_jobs import Plan, plan
from basicsr_snn.cli.network_arguments import (
    NAME_HELP,
    add_engine_argument,
    add_weights_argument,
    check_network_arguments,
    trained_network,
)
from basicsr_snn.errors import UserError
from basicsr_snn.images.limits import allow_megapixels
from basicsr_snn.inference.defaults import AUTO_LEVEL, AUTO_STRENGTH, TASKS

if TYPE_CHECKING:
    from basicsr_snn.zoo.trained_network import TrainedNetwork

INTERRUPTED = 130
DENOISE = 'denoise'


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``denoise``."""
    parser = subparsers.add_parser('denoise', help='take noise out of picture files',
                                   description='Restores pictures (8 or 16 bits, grey, RGB or with alpha) of any size. '
                                               'What a photograph carries is kept.')
    parser.set_defaults(task=DENOISE)
    add_arguments(parser)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all that ``denoise`` and ``restore`` have in common."""
    add_file_arguments(parser)
    _add_network_arguments(parser)
    add_restoring_arguments(parser)
    add_trial_arguments(parser)


def _add_network_arguments(parser: argparse.ArgumentParser) -> None:
    network = parser.add_mutually_exclusive_group()
    network.add_argument('-n', '--name', metavar='NAME',
                         help=f'{NAME_HELP} (default: the student that suits --sigma; without, that for the noise of '
                              'cameras)')
    network.add_argument('-opt', metavar='X.yml', help='option file whose network_g is built')
    add_weights_argument(parser)
    add_engine_argument(parser, 'auto', 'auto: OpenVINO for shipped spiking networks, where it is installed and there '
                                        'is no GPU; else torch')
    parser.add_argument('--sigma', type=noise_level_or_auto, metavar='S',
                        help='level of white noise: takes the student that suits it and the kind of picture; with -n '
                             'or -opt it is told to a network that takes one; auto: estimated for each picture '
                             '(default: that of --noise)')


def run(args: argparse.Namespace) -> int:
    """Restore all pictures; go on after one that fails.

    Returns:
        0, 1 if a picture failed, or 130 after Ctrl-C.

    Raises:
        UserError: Arguments that do not fit together, no pictures, no such network, or results that would overwrite
            inputs.
    """
    from rich.console import Console

    _check_task(args)
    if args.gt and args.noise is None:
        raise UserError('--gt was given without --noise, but scores need a clean input that noise is added to; '
                        'add for example --noise 25.')
    allow_megapixels(args.max_megapixels)
    choose = _chooser(args)  # what is wrong with weights is told whether or not there are results of before
    planned = plan(args)
    if planned.left_out:
        sys.stderr.write(' '.join(planned.left_out) + '\n')
    batch = Batch(choose, args, Console(stderr=True))
    batch.restore(planned)
    _tell(batch, planned, args)
    return INTERRUPTED if batch.interrupted else 1 if batch.of(FAILED) else 0


def _check_task(args: argparse.Namespace) -> None:
    if args.task is None and not _names_a_network(args):
        raise UserError(f'no task was given; add --task and one of {", ".join(TASKS)}, or name a network with -n.')
    for option, value in (('--sigma', args.sigma), ('--noise', args.noise), ('--gt', args.gt or None)):
        if value is not None and args.task not in (None, DENOISE):
            raise UserError(f'{option} is for --task {DENOISE}, but --task {args.task} was given; leave it out '
                            '(scores of other tasks: basicsr-snn test -opt X.yml).')


def _names_a_network(args: argparse.Namespace) -> bool:
    return bool(args.opt or args.name or args.weights)


def _tell(batch: Batch, planned: Plan, args: argparse.Namespace) -> None:
    """What became of the pictures: on stdout what was written, on stderr what was not."""
    count, failures = len(planned.jobs), batch.of(FAILED)
    written = f'{len(batch.of(WRITTEN))} of {count} pictures written to {args.output}'
    if args.json:
        sys.stdout.write(batch.report() + '\n')
    elif batch.interrupted:
        sys.stderr.write(f'stopped: {written}; the same command with --skip-existing does the rest.\n')
    else:
        if batch.scores:
            from rich.console import Console

            Console().print(score_table(batch.scores))
        sys.stdout.write(f'{written}\n')
    if args.strength == AUTO_STRENGTH:
        _tell_spared(batch)
    if batch.of(SKIPPED) and not batch.interrupted:
        sys.stderr.write(f'{len(batch.of(SKIPPED))} more left out, whose results exist.\n')
    if failures:
        sys.stderr.write(f'{len(failures)} of {count} pictures failed:\n')
        sys.stderr.writelines(f'  {outcome.told()}\n' for outcome in failures)


def _tell_spared(batch: Batch) -> None:
    """Of which pictures less than all of the change was made, because they have little noise."""
    spared = [outcome for outcome in batch.of(WRITTEN) if outcome.strength is not None and outcome.strength < 1]
    if len(spared) == 1:
        sys.stderr.write(f'{spared[0].input}: little noise, so that {spared[0].strength:.2g} of the change was made '
                         '(--strength 1: all).\n')
    elif spared:
        sys.stderr.write(f'{len(spared)} pictures have little noise, so that less of the change was made (--strength '
                         '1: all; --json tells how much).\n')


def _chooser(args: argparse.Namespace) -> Chooser:
    """From channels, and the level where it is estimated, to the network; one that was used is kept."""
    from basicsr_snn.restoring.choice import level_of_a_student

    _check_device(args.device)
    if args.sigma != AUTO_LEVEL:
        choose = _denoisers(args)
        return lambda channels, _: choose(channels)
    if _names_a_network(args):
        named = _denoiser(_with_sigma(args, None))
        if not named.denoiser.net.takes_sigma:
            raise UserError('--sigma auto was given, but the network takes no noise level; leave out --sigma, or '
                            'choose another network with -n, or none.')
        return lambda _, level: replace(named, denoiser=replace(named.denoiser, sigma=level))

    @cache
    def choose_by_level(channels: int, level: float) -> Chosen:
        return _denoisers(_with_sigma(args, level))(channels)

    return lambda channels, level: choose_by_level(channels, level_of_a_student(channels, level or 0.0))


def _with_sigma(args: argparse.Namespace, level: float | None) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(args), 'sigma': level})


def _check_device(device: str | None) -> None:
    import torch

    if device == 'cuda' and not torch.cuda.is_available():
        raise UserError('--device cuda was given, but torch finds no GPU here; write --device cpu, or leave it out.')


def _denoisers(args: argparse.Namespace) -> Callable[[int], Chosen]:
    """From the channels of a picture to the network that restores it."""
    from basicsr_snn import zoo
    from basicsr_snn.zoo.trained_network import shipped_network

    if _names_a_network(args):
        named = _denoiser(args)
        return lambda channels: named
    if args.task != DENOISE:
        return _of_task(args)
    level = args.noise if args.sigma is None else args.sigma

    @cache
    def choose(channels: int) -> Chosen:
        row = zoo.row(zoo.default_name(channels, level))
        contrast = row.contrast_for(level)
        told = '' if contrast == 1 else f', at {contrast:.2g} times the contrast, as it was trained for {row.noise}'
        return replace(_ready(args, shipped_network(row.name), contrast), name=row.name + told)

    return choose


def _of_task(args: argparse.Namespace) -> Callable[[int], Chosen]:
    """The same for another task than noise; one without a network is refused before any picture is read."""
    from basicsr_snn import zoo
    from basicsr_snn.zoo.trained_network import shipped_network

    zoo.default_of_task(args.task)

    @cache
    def choose(channels: int) -> Chosen:
        name = zoo.default_of_task(args.task, channels)
        return replace(_ready(args, shipped_network(name)), name=name)

    return choose


def _denoiser(args: argparse.Namespace) -> Chosen:
    """The network that the arguments ask for."""
    from basicsr_snn.restoring.choice import refuse_other_task

    check_network_arguments(args)
    trained = trained_network(args)
    named = _ready(args, trained)
    refuse_other_task(args.task, trained, named.denoiser.net.scale, lambda task: f'--task {task}',
                      lambda task: f'type basicsr-snn restore {"without --task" if task is None else f"--task {task}"}')
    if args.sigma is not None and not named.denoiser.net.takes_sigma:
        raise UserError(f'--sigma {args.sigma:g} was given, but {trained.arch} takes no noise level; leave out '
                        '--sigma, or choose another network with -n.')
    return named


def _ready(args: argparse.Namespace, trained: TrainedNetwork, contrast: float = 1.0) -> Chosen:
    """A network on its engine and device, by default the GPU where there is one, told the noise level where it takes
    one."""

    from basicsr_snn.engines.placing import place
    from basicsr_snn.inference.calling import compute_in_full, usual_device
    from basicsr_snn.inference.denoising import Denoiser
    from basicsr_snn.inference.self_ensemble import with_views
    from basicsr_snn.restoring.choice import usual_strength

    device = args.device or usual_device()
    compute_in_full()
    placed = place(trained, args.engine, gpu=device == 'cuda')
    net = with_views(placed.net.to(device), args.views)
    if net.written_channels != net.in_ch or net.in_ch not in (1, 3):
        raise UserError(f'{trained.name} reads {net.in_ch} channels and writes {net.written_channels}, but picture '
                        'files have 1 or 3 of them; call it from Python with basicsr_snn.load.')
    if args.gt and net.scale > 1:
        raise UserError(f'--gt was given, but {trained.name} enlarges pictures, so that the input is no truth of its '
                        'answer; score it with basicsr-snn test -opt X.yml.')
    sigma = args.noise if args.sigma is None else args.sigma
    strength = usual_strength(trained.known_card().noise) if args.strength == AUTO_STRENGTH else args.strength
    denoiser = Denoiser(net, net.in_ch, args.tile, args.tile_pad, sigma, contrast, strength)
    return Chosen(denoiser, '', '' if placed.engine == 'torch' else placed.describe(), trained.known_card().task)
