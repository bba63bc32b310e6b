"""Small networks of other tasks: as weight files that say what they are of, and shipped instead of what ships."""
from __future__ import annotations

import hashlib
from pathlib import Path

import torch
import yaml

from basicsr_snn import zoo
from basicsr_snn.inference.calling import deployed
from basicsr_snn.weight_files.card import Card

NETWORK_G = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]}


def network(**options: object) -> tuple[dict, torch.nn.Module]:
    block = {**NETWORK_G, **options}
    torch.manual_seed(0)
    return block, zoo.build(block)


def weights(file: Path, task: str | None = None, **options: object) -> torch.nn.Module:
    """A weight file that says which network it is of, and that network in the form that ships."""
    block, net = network(**options)
    torch.save({'params': Card(block, task=task).on(net.state_dict())}, file)
    return deployed(net)


def ship(folder: Path, **networks: tuple[dict, dict]) -> None:
    """Write networks and their rows, by name: the options of each and what differs in its row."""
    for name, (options, row) in networks.items():
        block, net = network(**options)
        torch.save({'params': net.state_dict()}, folder / f'{name}.pth')
        told = {'name': name, 'task': 'as it says', 'role': 'student', 'file': f'{name}.pth', 'network': block,
                'sha256': hashlib.sha256((folder / f'{name}.pth').read_bytes()).hexdigest(), 'neuron': 'SignedILIF',
                'T': 1, 'D': 4, 'licence': 'CC0', 'source': 'here', **row}
        (folder / f'{name}.yml').write_text(yaml.safe_dump(told))
