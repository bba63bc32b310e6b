"""``basicsr-snn list``: what is shipped and what is registered."""
from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basicsr_snn.zoo import Row

PACKAGE = 'basicsr_snn.'
WIDTH_OF_FILES = 160


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``list``."""
    parser = subparsers.add_parser('list', help='show shipped networks, registered names, neurons and losses',
                                   description='Shows the shipped networks and the names that option files may use.')
    parser.add_argument('--json', action='store_true', help='for programs: one JSON object on stdout')


def run(args: argparse.Namespace) -> int:
    """Print the inventory."""
    from rich.console import Console

    content = inventory()
    if args.json:
        sys.stdout.write(json.dumps(content, indent=2) + '\n')
        return 0
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_OF_FILES)
    console.print(_table(content['networks']))
    for kind, names in content.items():
        if kind != 'networks' and names:
            console.print(f'[bold]{kind}[/bold]: {", ".join(names)}', highlight=False)
    return 0


def inventory() -> dict[str, list]:
    """Everything that can be named: ``networks`` (one dictionary each), ``archs``, ``models``, ``datasets`` and so on.

    ``params`` of a network is ``sum(p.numel())`` in the form that runs, after folding.
    """
    from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, MODEL_REGISTRY

    from basicsr_snn import zoo
    from basicsr_snn.losses.hint_loss import CRITERIA
    from basicsr_snn.plugins.installed import import_plugins
    from basicsr_snn.spiking.neurons import NEURONS

    return {
        'networks': [_describe(row) for row in zoo.rows()],
        'archs': _ours(ARCH_REGISTRY),
        'models': _ours(MODEL_REGISTRY),
        'datasets': _ours(DATASET_REGISTRY),
        'losses': _ours(LOSS_REGISTRY),
        'neurons': list(NEURONS),
        'hint losses': list(CRITERIA),
        'plugins': list(map(str, import_plugins())),
    }


def _describe(row: Row) -> dict[str, Any]:
    from basicsr_snn import zoo
    from basicsr_snn.inference.calling import deployed
    from basicsr_snn.spiking.ternary import footprint_of, parameters_of

    net = deployed(zoo.build(row.network))
    return {'params': parameters_of(net), 'footprint_bytes': footprint_of(net), **asdict(row)}


def _ours(registry: Iterable[tuple[str, type]]) -> list[str]:
    return sorted(name for name, registered in registry if registered.__module__.startswith(PACKAGE))


def _table(networks: list[dict[str, Any]]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    numbers = ('params', 'bytes', 'T', 'D')
    for column in ('name', 'role', *numbers, 'neuron', 'task', 'file', 'sha256'):
        table.add_column(column, justify='right' if column in numbers else 'left', overflow='fold',
                         no_wrap=column != 'task')
    for network in networks:
        table.add_row(network['name'], network['role'], f'{network["params"]:,}',
                      f'{network["footprint_bytes"]:,}', _or_dash(network['T']),
                      _or_dash(network['D']), network['neuron'], network['task'], network['file'],
                      network['sha256'][:8])
    return table


def _or_dash(value: int | None) -> str:
    return '-' if value is None else str(value)
