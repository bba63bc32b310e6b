"""``basicsr-snn export``: a trained network as a file that other programs read."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from basicsr_snn.cli.network_arguments import add_network_arguments, check_network_arguments, trained_network
from basicsr_snn.errors import UserError

FORMATS = ('onnx', 'safetensors', 'nir')


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``export``."""
    parser = subparsers.add_parser(
        'export', help='write a network as ONNX, safetensors or NIR',
        description='Writes a trained network for other programs, reads the file back and compares its pictures with '
                    'those of the source; a file that does not agree is not written.')
    add_network_arguments(parser, 'its network_g')
    parser.add_argument('--format', required=True, choices=FORMATS, help='kind of file')
    parser.add_argument('--int8', action='store_true',
                        help='with --format onnx: spike counts and the weights that read them as 8 bits '
                             '(QuantizeLinear, DequantizeLinear), which needs no calibration')
    parser.add_argument('-o', '--output', required=True, type=Path, metavar='FILE', help='file to write')
    parser.add_argument('--overwrite', action='store_true', help='replace FILE if it exists')


def run(args: argparse.Namespace) -> int:
    """Write the file.

    Returns:
        0.

    Raises:
        UserError: No network, a network that the format cannot express, a missing package, or a file that exists or
            cannot be written.
    """
    from basicsr_snn.exporting import export

    check_network_arguments(args)
    if args.int8 and args.format != 'onnx':
        raise UserError(f'--int8 was given with --format {args.format}; only --format onnx has an 8-bit form.')
    if args.output.exists() and not args.overwrite:
        raise UserError(f'{args.output} exists; add --overwrite to replace it, or give another file with -o FILE.')
    try:
        args.output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'-o {args.output} cannot be written ({error}); give another file.') from error
    trained = trained_network(args)
    how: dict[str, Any] = {} if args.format == 'nir' else {'about': trained.known_card().header()}
    if args.format == 'onnx':
        how['int8'] = args.int8
    finding = export(trained.loaded(), trained.network, args.format, args.output, **how)
    sys.stdout.write(f'{trained.name} written to {args.output} ({args.output.stat().st_size / 1000:,.0f} kB): '
                     f'{finding}\n')
    return 0
