"""Score the students of ``tools/gpu_trainings.yml``: ``python studies/gpu/score.py --data FOLDER``.

FOLDER holds the standard sets. The weights are those that ship, or, by ``--weights DIR``, those that ``gpu_kit.py -o
DIR`` brought back. Every network is scored on whole pictures by the test protocol, at sigma 25, folded; its operations
are counted on the first four pictures of the first set.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import numpy as np
import torch
import yaml
from rich.console import Console

from basicsr_snn import zoo
from basicsr_snn.data.picture_source import open_source
from basicsr_snn.energy import OperationCounter
from basicsr_snn.images.files import to_channels
from basicsr_snn.inference.calling import deployed
from basicsr_snn.zoo.weights import load_weights

sys.path.insert(0, str(Path(__file__).parents[2] / 'tools'))
from gpu_kit import LIST
from kit_training import network_of, psnr_of

SIGMA = 25
COUNTED = 4
SETS = {3: ('CBSD68', 'Kodak24', 'Urban100_10', 'BSD432[-32:]', 'IN797[-40:]'),
        1: ('Set12', 'BSD68', 'BSD432[-32:]', 'IN797[-40:]')}
"""Sets by the channels of the network; the last two are the validation pictures, none of which was trained on."""


def read_set(data: Path, name: str, in_ch: int) -> list[np.ndarray]:
    """The pictures of a set, or the last so many of it."""
    folder, _, last = name.partition('[-')
    source = open_source(data / folder)
    places = range(len(source.names))
    chosen = places[-int(last.rstrip(':]')):] if last else places
    return [to_channels(source.read(place), in_ch, source.names[place]) for place in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--weights', type=Path, help='folder that tools/gpu_kit.py wrote; default: what ships')
    parser.add_argument('--names', nargs='+', help='of tools/gpu_trainings.yml; default: all that have weights')
    args = parser.parse_args()
    cpu, console = torch.device('cpu'), Console(width=200)
    for plan in yaml.safe_load(LIST.read_text(encoding='utf-8')):
        name = f'{plan["name"]}.pth'
        file = args.weights / name if args.weights else zoo.FOLDER / f'spikerir_{name}'
        if not file.is_file() or args.names and plan['name'] not in args.names:
            continue
        net = zoo.build(network_of(plan))
        load_weights(net, file)
        folded, in_ch = deployed(net), plan.get('in_ch', 3)
        cells = [plan['name'], f'{sum(p.numel() for p in net.parameters()):,d}']
        for index, name in enumerate(SETS[in_ch]):
            pictures = read_set(args.data, name, in_ch)
            if index == 0:
                with OperationCounter(folded) as counter:
                    for picture in pictures[:COUNTED]:
                        psnr_of(folded, picture, SIGMA, cpu)
                report = counter.report()
                cells.append(f'{report.acs_per_px:,.0f} ACs/px, {report.energy_nj_px():.1f} nJ/px')
            cells.append(f'{name} {np.mean([psnr_of(folded, picture, SIGMA, cpu) for picture in pictures]):.3f}')
        console.print(f'| {" | ".join(cells)} |', markup=False)


if __name__ == '__main__':
    main()
