"""``basicsr-snn test``: BasicSR's test pipeline with this package registered."""
from __future__ import annotations

import argparse

from basicsr_snn.cli.network_arguments import add_network_in_place_arguments, network_in_place
from basicsr_snn.cli.train import add_pipeline_arguments, pipeline_argv


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``test``."""
    parser = subparsers.add_parser('test', help='score the network of an option file',
                                   description="BasicSR's test: PSNR and SSIM, and for spiking networks their cost.")
    add_pipeline_arguments(parser)
    add_network_in_place_arguments(parser)
    parser.add_argument('--sets', nargs='+', default=[], metavar='NAME',
                        help='only these datasets of the option file (default: all)')


def run(args: argparse.Namespace) -> int:
    """Test.

    Raises:
        UserError: An option or path cannot be used.
    """
    from basicsr_snn.pipeline.run import run_test

    run_test(pipeline_argv(args), args.sets, network_in_place(args))
    return 0
