"""Arguments of commands that work on one trained network: a shipped one, or that of an option file."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from basicsr_snn.errors import UserError

if TYPE_CHECKING:
    from basicsr_snn.zoo.trained_network import TrainedNetwork


def add_network_arguments(parser: argparse.ArgumentParser, option_file: str) -> None:
    """Add ``-opt``, ``-n`` and ``--weights``; ``option_file`` says what is taken from an option file."""
    parser.add_argument('-opt', metavar='X.yml', help=f'option file: {option_file}')
    parser.add_argument('-n', '--name', help='shipped network instead; all names: basicsr-snn list')
    parser.add_argument('--weights', type=Path, metavar='W',
                        help='weight file of network_g (default: path: pretrain_network_g of the option file)')


def check_network_arguments(args: argparse.Namespace) -> None:
    """Refuse arguments that do not fit together.

    Raises:
        UserError: No network, or ``--weights`` of a shipped one.
    """
    if not (args.opt or args.name):
        raise UserError('no network was given; add -opt X.yml, or -n NAME (all names: basicsr-snn list).')
    if args.weights and (args.name or not args.opt):
        raise UserError(f'--weights {args.weights} belongs to the network_g of an option file; write -opt X.yml '
                        '--weights W, without -n.')


def trained_network(args: argparse.Namespace) -> TrainedNetwork:
    """The network that the arguments name.

    Raises:
        UserError: Unknown name, an option file with mistakes, no weights.
    """
    from basicsr_snn.pipeline.option_files import network_of_option_file
    from basicsr_snn.zoo.trained_network import shipped_network

    if args.name:
        return shipped_network(args.name)
    network = network_of_option_file(args.opt)
    if args.weights:
        return network.with_weights(args.weights)
    if not network.trained:
        raise UserError(f'{args.opt} names no weights (path: pretrain_network_g); add --weights FILE.')
    return network
