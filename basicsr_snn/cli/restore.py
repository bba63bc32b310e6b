"""``basicsr-snn restore``: restores picture files, whatever is wrong with them, with a shipped network or your own."""
from __future__ import annotations

import argparse

from basicsr_snn.cli.denoise import add_arguments, run
from basicsr_snn.inference.defaults import TASKS

__all__ = ['add_parser', 'run']


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``restore``."""
    parser = subparsers.add_parser('restore', help='restore picture files: noise, size, rain, JPEG, blur',
                                   description='Restores pictures (8 or 16 bits, grey, RGB or with alpha) of any size. '
                                               'What a photograph carries is kept.')
    parser.add_argument('--task', choices=TASKS,
                        help='what is to be done: takes noise away (denoise, the same as the verb denoise), makes '
                             'pictures twice or four times as large (sr2, sr4), takes rain, traces of JPEG or blur '
                             'away; chooses the network that ships for it (default: what the named network does)')
    add_arguments(parser)
