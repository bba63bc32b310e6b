"""``basicsr-snn check``: everything of an option file but the training itself."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from basicsr_snn.cli.network_arguments import add_network_in_place_arguments, network_in_place


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``check``."""
    parser = subparsers.add_parser(
        'check', help='check an option file: keys, paths, hints, a training step, a picture of each validation set',
        description='Checks keys, data, weights and hint paths of an option file, takes training steps on two crops, '
                    'validates the first picture of each set with all metrics, and reads the others for a few '
                    'seconds. Keeps nothing of it, writes nothing.')
    parser.add_argument('-opt', required=True, metavar='X.yml', help='option file of a training or a test')
    parser.add_argument('--force_yml', nargs='+', metavar='K:K=V', help='options that replace those of the file')
    add_network_in_place_arguments(parser)
    parser.add_argument('--max_parameters', metavar='N', help='largest number of parameters of a network '
                        '(default: 1e9, or the environment variable BASICSR_SNN_MAX_PARAMETERS)')
    parser.add_argument('--paths', choices=('student', 'teacher'),
                        help='first list the paths that hints can name in this network, with the shapes of their '
                             'features at the size of the training crops')
    parser.add_argument('--match', nargs='?', const='', metavar='W',
                        help='first measure how much of each feature of the teacher a linear map finds in each of the '
                             'student (R2 on other pictures than it was made from), with these weights of a trained '
                             'student, or with those that the training begins with')
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Carry the verb out; a ``UserError`` lists what is wrong."""
    from basicsr_snn.pipeline.dry_run import check_option_file
    from basicsr_snn.zoo.size_limit import allow_parameters, checked_parameters

    if args.max_parameters is not None:
        allow_parameters(checked_parameters(args.max_parameters, '--max_parameters'))
    if args.paths:
        _print_paths(args)
    if args.match is not None:
        _print_matches(args)
    _print_columns(check_option_file(args.opt, args.force_yml, network_in_place(args)))
    sys.stdout.write(f'{args.opt} is good.\n')
    return 0


def _print_paths(args: argparse.Namespace) -> None:
    from basicsr_snn.pipeline.hint_paths import hint_paths

    for title, rows in hint_paths(args.opt, args.paths, args.force_yml or ()).items():
        sys.stdout.write(f'{title}\n')
        _print_columns([('path', 'layer', 'feature', 'place'), *rows])
        sys.stdout.write('\n')


def _print_matches(args: argparse.Namespace) -> None:
    from basicsr_snn.pipeline.hint_matching import hint_matches

    for title, rows in hint_matches(args.opt, args.match or None, args.force_yml or ()).items():
        sys.stdout.write(f'{title}: R2 of the teacher\'s feature in the student\'s and the noisy picture\n')
        _print_columns(rows)
        sys.stdout.write('\n')


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = '  '.join(f'{cell:<{width}}' for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f'{line.rstrip()}\n')
