"""Arguments of commands that work on one trained network: shipped, of a weight file, or of an option file."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from basicsr_snn.engines.names import ENGINES
from basicsr_snn.errors import UserError

if TYPE_CHECKING:
    from basicsr_snn.zoo.trained_network import TrainedNetwork

NAME_HELP = 'shipped network (all names: basicsr-snn list), or a weight file that says which network it is of'


def add_network_arguments(parser: argparse.ArgumentParser, option_file: str) -> None:
    """Add ``-opt``, ``-n`` and ``--weights``; ``option_file`` says what is taken from an option file."""
    parser.add_argument('-opt', metavar='X.yml', help=f'option file: {option_file}')
    parser.add_argument('-n', '--name', metavar='NAME', help=f'{NAME_HELP}, instead')
    add_weights_argument(parser)


def add_weights_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--weights``."""
    parser.add_argument('--weights', type=Path, metavar='W',
                        help='weight file: with -opt that of its network_g (default: its path: pretrain_network_g), '
                             'alone one that says which network it is of')


def add_network_in_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``-n`` and ``--weights`` to a command that works on the whole of an option file."""
    network = parser.add_mutually_exclusive_group()
    network.add_argument('-n', '--name', metavar='NAME',
                         help=f'{NAME_HELP}, instead of the network_g of the option file')
    network.add_argument('--weights', type=Path, metavar='W',
                         help='weight file of that network_g, or, where the option file has none, one that says which '
                              'network it is of (default: path: pretrain_network_g)')


def network_in_place(args: argparse.Namespace) -> TrainedNetwork | None:
    """What the arguments name in place of the network of the option file; None: nothing."""
    from basicsr_snn.pipeline.option_files import network_of_option_file, read_options
    from basicsr_snn.zoo.trained_network import named_network, network_of_weight_file

    if not (args.name or args.weights):
        return None
    options = read_options(args.opt)  # whose modules may hold the architecture
    if args.name:
        return named_network(args.name)
    if 'network_g' not in options:
        return network_of_weight_file(args.weights)
    return network_of_option_file(args.opt).with_weights(args.weights)


def add_engine_argument(parser: argparse.ArgumentParser, default: str, what: str) -> None:
    """Add ``--engine``."""
    parser.add_argument('--engine', choices=ENGINES, default=default, help=f'where networks run (default: {what})')


def check_network_arguments(args: argparse.Namespace) -> None:
    """Refuse arguments that do not fit together.

    Raises:
        UserError: No network, or two.
    """
    if not (args.opt or args.name or args.weights):
        raise UserError('no network was given; add -opt X.yml, or -n NAME (all names: basicsr-snn list).')
    if args.weights and args.name:
        raise UserError(f'--weights {args.weights} was given beside -n {args.name}, which has its own; write -opt '
                        'X.yml --weights W, without -n.')


def trained_network(args: argparse.Namespace) -> TrainedNetwork:
    """The network that the arguments name.

    Raises:
        UserError: Unknown name, an option file with mistakes, no weights, a weight file that does not fit or does not
            say which network it is of.
    """
    from basicsr_snn.pipeline.option_files import network_of_option_file, read_and_import
    from basicsr_snn.zoo.trained_network import named_network, network_of_weight_file

    if args.name:
        if args.opt:
            read_and_import(args.opt)  # whose modules may hold the architecture
        return named_network(args.name)
    if not args.opt:
        try:
            return network_of_weight_file(args.weights)
        except UserError as error:
            raise UserError(f'--weights {args.weights} was given without -opt, but {error}') from error
    network = network_of_option_file(args.opt)
    if args.weights:
        return network.with_weights(args.weights)
    if not network.trained:
        raise UserError(f'{args.opt} names no weights (path: pretrain_network_g); add --weights FILE.')
    return network
