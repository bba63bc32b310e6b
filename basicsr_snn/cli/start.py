"""``basicsr-snn start``: the weights that a training begins with, made of those of another network."""
from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basicsr_snn.errors import UserError

if TYPE_CHECKING:
    from basicsr_snn.archs.spikerir_arch import SpikerIR


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``start``."""
    parser = subparsers.add_parser(
        'start', help='make the weights that the training of a student begins with',
        description='Makes the weights that the training of a SpikerIR begins with, and writes them where its option '
                    'file reads them. Nothing that exists is overwritten.')
    parser.add_argument('-opt', required=True, metavar='X.yml', help='option file of the training that is to begin')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--from-twin', type=Path, metavar='W',
                        help='weights of its ANN twin; thresholds are fitted on crops of the training pictures')
    source.add_argument('--from-counts', type=Path, metavar='W',
                        help='for binary spikes in T steps: weights of the student that counts 0..T in one step')
    source.add_argument('--from-smaller', type=Path, metavar='W',
                        help='weights of a student with other widths or fewer blocks; new blocks begin as identity')
    parser.add_argument('-o', '--output', type=Path, metavar='FILE',
                        help='file to write (default: path: pretrain_network_g of the option file)')
    parser.add_argument('--share', type=float, metavar='S',
                        help='fitted thresholds in standard deviations of what the neurons receive (default: 0.4)')
    parser.add_argument('--head', type=float, metavar='S', help='the same for the head, from a twin (default: 0.1)')


def run(args: argparse.Namespace) -> int:
    """Write the weights.

    Returns:
        0.

    Raises:
        UserError: Arguments that do not fit together, an option file without a SpikerIR or pictures, weights of another
            network, or a file that exists or cannot be written.
    """
    from basicsr_snn.compat.checkpoints import save_atomically
    from basicsr_snn.finite import check_numbers
    from basicsr_snn.pipeline.option_checks import check_options
    from basicsr_snn.pipeline.option_files import read_options
    from basicsr_snn.weight_files.card import card_on_state_dicts

    _check_shares(args)
    options = read_options(args.opt)
    check_options(options, reads_datasets=False)
    output = _output(args, options)
    net = _student(args.opt, options)
    _start(net, args, options)
    check_numbers(net.state_dict(), 'the student that was made', ', so that nothing was written')
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with card_on_state_dicts([net], options, 'net_g'):
            save_atomically({'params': net.state_dict()}, output)
    except OSError as error:
        raise UserError(f'{output} cannot be written ({error}); give another file with -o.') from error
    sys.stdout.write(f'start weights in {output}; next: basicsr-snn train -opt {args.opt}\n')
    return 0


def _check_shares(args: argparse.Namespace) -> None:
    if args.head is not None and not args.from_twin:
        raise UserError(f'--head {args.head} was given without --from-twin, the only start that fits the head; leave '
                        'it out.')
    if args.share is not None and args.from_counts:
        raise UserError(f'--share {args.share} was given with --from-counts, which keeps the thresholds of the counts; '
                        'leave it out.')
    for name, value in (('--share', args.share), ('--head', args.head)):
        if value is not None and not 0 < value < math.inf:
            raise UserError(f'{name} {value} was given, but a threshold is a number above 0; write {name} 0.4.')


def _output(args: argparse.Namespace, options: Mapping[str, Any]) -> Path:
    output = args.output or (options.get('path') or {}).get('pretrain_network_g')
    if output is None:
        raise UserError(f'{args.opt} names no file to begin with (path: pretrain_network_g); write one there, or give '
                        '-o FILE.')
    output = Path(os.path.expanduser(output))
    if output.exists():
        raise UserError(f'{output} exists and is never overwritten; remove it, or give another file with -o FILE.')
    return output


def _student(file: str, options: Mapping[str, Any]) -> SpikerIR:
    import torch

    from basicsr_snn import zoo
    from basicsr_snn.archs.spikerir_arch import SpikerIR

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # for the weights that no other network gives
        net = zoo.build(options.get('network_g') or {})
    if not isinstance(net, SpikerIR):
        raise UserError(f'{file} trains a {type(net).__name__}, but start makes weights of a SpikerIR; give the option '
                        'file of one.')
    return net


def _start(net: SpikerIR, args: argparse.Namespace, options: Mapping[str, Any]) -> None:
    from basicsr_snn.bench.evaluation_set import training_crops
    from basicsr_snn.models import starting
    from basicsr_snn.zoo.weights import read_weights

    share = starting.SHARE if args.share is None else args.share
    weights = read_weights(args.from_twin or args.from_counts or args.from_smaller)
    if args.from_counts:
        starting.start_from_counts(net, weights)
    elif args.from_smaller:
        starting.start_from_smaller(net, weights, training_crops(options), share)
    else:
        head = starting.SHARE_OF_HEAD if args.head is None else args.head
        starting.start_from_twin(net, weights, training_crops(options), share, head)
