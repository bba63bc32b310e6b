"""``basicsr-snn train``: BasicSR's training pipeline with this package registered."""
from __future__ import annotations

import argparse


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``train``."""
    parser = subparsers.add_parser('train', help='train the network of an option file',
                                   description="BasicSR's training, with our networks, models, data and losses.")
    add_pipeline_arguments(parser)


def add_pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that BasicSR's two pipelines share; their names are BasicSR's."""
    parser.add_argument('-opt', required=True, metavar='X.yml', help='option file')
    parser.add_argument('--auto_resume', action='store_true', help='go on from the last saved state, if there is one')
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm'), default='none',
                        help='how several processes were started')
    parser.add_argument('--debug', action='store_true', help='log each iteration, validate and save every eighth')
    parser.add_argument('--force_yml', nargs='+', metavar='key:key=value', help='replace values of the option file')


def pipeline_argv(args: argparse.Namespace) -> list[str]:
    """The parsed arguments as BasicSR's own parser reads them."""
    argv = ['-opt', args.opt, '--launcher', args.launcher]
    argv += ['--auto_resume'] if args.auto_resume else []
    argv += ['--debug'] if args.debug else []
    argv += ['--force_yml', *args.force_yml] if args.force_yml else []
    return argv


def run(args: argparse.Namespace) -> int:
    """Train.

    Raises:
        UserError: An option, path or checkpoint cannot be used.
    """
    from basicsr_snn.pipeline.run import run_training

    run_training(pipeline_argv(args))
    return 0
