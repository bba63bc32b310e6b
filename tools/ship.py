"""Put a trained network into the zoo: weights, YAML row with its model card, validation curve.

``python tools/ship.py -opt X.yml --name NAME --task "colour denoising, sigma 25"`` reads what the training
left under ``experiments/``: the last weights and the logs, from which steps, hours and validation scores are taken.
"""
from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import torch
import yaml

from basicsr_snn import zoo
from basicsr_snn.bench.training_log import read_training_log
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.spiking.neurons import neurons_in
from basicsr_snn.spiking.ternary import packed_state
from basicsr_snn.weight_files.card import card_of_options

CURVES = Path(__file__).with_name('results') / 'curves.csv'
LICENCE = 'Apache-2.0; trained on BSD432, pictures released for non-commercial research and education'


def write_curve(name: str, curve: list[tuple[int, float]], goes_on: bool) -> None:
    """Write the curve of a network in place of the one before, or behind it, steps counted from there on."""
    rows = []
    if CURVES.exists():
        with CURVES.open(newline='') as file:
            rows = [row for row in csv.reader(file) if row[0] != 'name' and (goes_on or row[0] != name)]
    before = max((int(row[1]) for row in rows if row[0] == name), default=0)
    rows += [[name, str(before + step), f'{psnr:.4f}'] for step, psnr in curve]
    with CURVES.open('w', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['name', 'step', 'val_psnr'])
        writer.writerows(sorted(rows, key=lambda row: (row[0], int(row[1]))))


def network_of(options: dict[str, Any]) -> dict[str, Any]:
    """The network block as plain YAML types."""
    return yaml.safe_load(yaml.safe_dump(_plain(options['network_g'])))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-opt', required=True, type=Path)
    parser.add_argument('--name', required=True, help='name in the zoo')
    parser.add_argument('--task', required=True)
    parser.add_argument('--experiments', type=Path, default=Path('experiments'))
    parser.add_argument('--entry', default='params_ema', help='of the weight file (default: %(default)s)')
    parser.add_argument('--goes-on', action='store_true', help='a training that starts from what ships under this name')
    parser.add_argument('--hardware', default='one shared CPU core', help='for the model card (default: %(default)s)')
    parser.add_argument('--notes', default='')
    args = parser.parse_args()
    options = read_options(args.opt)
    folder = args.experiments / options['name']
    network = network_of(options)
    weights = torch.load(folder / 'models/net_g_latest.pth', weights_only=True)[args.entry]
    built = zoo.build(network)
    file = zoo.FOLDER / f'{args.name}.pth'
    shipped_before = zoo.sha256_of(file) if file.exists() else None
    card = replace(card_of_options(options), network_g=network, licence=LICENCE)
    torch.save(card.on(packed_state(weights, built)), file)
    log = read_training_log(folder)
    if not args.goes_on or zoo.sha256_of(file) != shipped_before:  # else the curve has these steps
        write_curve(args.name, log.curve, args.goes_on)
    train = options['datasets']['train']
    neurons = neurons_in(built)
    spiking = any(neuron.is_spiking for neuron in neurons)
    start = (options.get('path') or {}).get('pretrain_network_g')
    row = {
        'name': args.name, 'task': args.task, 'role': 'student', 'file': file.name,
        'sha256': zoo.sha256_of(file), 'network': network,
        'neuron': network.get('neuron', {}).get('type', 'SignedILIF'), 'T': network.get('T', 1) if spiking else None,
        'D': max(neuron.max_count for neuron in neurons) if spiking else None,
        'noise': train.get('sigma', train.get('sigma_range')), 'licence': LICENCE,
        'source': f'basicsr-snn train -opt {args.opt}',
        'training': {
            'options': str(args.opt), 'data': f'{train["dataroot_gt"]}[{train["subset"][0]}:{train["subset"][1]}]',
            'steps': log.curve[-1][0], 'batch': f'{train["batch_size_per_gpu"]}x{train["gt_size"]}x{train["gt_size"]}',
            'seed': options['manual_seed'], 'hours': round(log.hours, 2), 'hardware': args.hardware,
            'entry': args.entry, 'val_psnr': round(log.curve[-1][1], 3),
            'starts_from': start},
        'notes': args.notes,
    }
    text = yaml.safe_dump(row, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    (zoo.FOLDER / f'{args.name}.yml').write_text(text, encoding='utf-8')
    print(text)


if __name__ == '__main__':
    main()
