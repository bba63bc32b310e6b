"""``basicsr-snn check``: everything of an option file but the training itself."""
from __future__ import annotations

import argparse
import sys


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``check``."""
    parser = subparsers.add_parser(
        'check', help='check an option file: keys, paths, hint paths, one forward; no training',
        description='Checks keys, data, weights and hint paths of an option file, and runs one forward. Trains '
                    'nothing, writes nothing.')
    parser.add_argument('-opt', required=True, metavar='X.yml', help='option file of a training or a test')
    parser.add_argument('--force_yml', nargs='+', metavar='K:K=V', help='options that replace those of the file')
    parser.add_argument('--max_parameters', metavar='N', help='largest number of parameters of a network '
                        '(default: 1e9, or the environment variable BASICSR_SNN_MAX_PARAMETERS)')
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Carry the verb out; a ``UserError`` lists what is wrong."""
    from basicsr_snn.pipeline.dry_run import check_option_file
    from basicsr_snn.zoo.size_limit import allow_parameters, checked_parameters

    if args.max_parameters is not None:
        allow_parameters(checked_parameters(args.max_parameters, '--max_parameters'))
    report = check_option_file(args.opt, args.force_yml)
    width = max(len(name) for name, _ in report)
    for name, finding in report:
        sys.stdout.write(f'{name:<{width}}  {finding}\n')
    sys.stdout.write(f'{args.opt} is good.\n')
    return 0
