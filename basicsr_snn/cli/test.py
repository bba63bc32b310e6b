"""``basicsr-snn test``: BasicSR's test pipeline with this package registered."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from basicsr_snn.cli.network_arguments import NAME_HELP
from basicsr_snn.cli.train import add_pipeline_arguments, pipeline_argv

if TYPE_CHECKING:
    from basicsr_snn.zoo.trained_network import TrainedNetwork


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``test``."""
    parser = subparsers.add_parser('test', help='score the network of an option file',
                                   description="BasicSR's test: PSNR and SSIM, and for spiking networks their cost.")
    add_pipeline_arguments(parser)
    network = parser.add_mutually_exclusive_group()
    network.add_argument('-n', '--name', metavar='NAME',
                         help=f'{NAME_HELP}, instead of the network_g of the option file')
    network.add_argument('--weights', type=Path, metavar='W',
                         help='weight file of that network_g, or, where the option file has none, one that says which '
                              'network it is of (default: path: pretrain_network_g)')
    parser.add_argument('--sets', nargs='+', default=[], metavar='NAME',
                        help='only these datasets of the option file (default: all)')


def run(args: argparse.Namespace) -> int:
    """Test.

    Raises:
        UserError: An option or path cannot be used.
    """
    from basicsr_snn.pipeline.run import run_test

    run_test(pipeline_argv(args), args.sets, _network(args))
    return 0


def _network(args: argparse.Namespace) -> TrainedNetwork | None:
    """What the arguments name in place of the network of the option file."""
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
