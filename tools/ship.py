"""Put a trained network into the zoo: weights, YAML row with its model card, validation curve.

``python tools/ship.py -opt X.yml --name NAME --task "colour denoising, sigma 25"`` reads what the training
left under ``experiments/``: the last weights and the logs, from which steps, hours and validation scores are taken.
``python tools/ship.py --kit OUT --plan fine_color25 --name NAME --task ...`` does it with what ``gpu_kit.py -o OUT``
brought back, and measures the validation score itself.
"""
from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import numpy as np
import torch
import yaml
from kit_training import network_of as network_of_plan
from kit_training import psnr_of
from torch import Tensor

from basicsr_snn import zoo
from basicsr_snn.bench.training_log import read_training_log
from basicsr_snn.data.picture_source import open_source
from basicsr_snn.images.files import to_channels
from basicsr_snn.inference.calling import deployed
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.spiking.neurons import neurons_in
from basicsr_snn.spiking.ternary import packed_state
from basicsr_snn.version import __version__
from basicsr_snn.weight_files.card import Card, card_of_options, plain
from basicsr_snn.zoo.weights import load_weights

CURVES = Path(__file__).with_name('results') / 'curves.csv'
TERMS = 'pictures released for non-commercial research and education'
LICENCE = f'Apache-2.0; trained on BSD432, {TERMS}'
LICENCE_OF_KIT = f'Apache-2.0; trained on BSD432 and on pictures of ImageNet, {TERMS}'
VALIDATION = Path('datasets/BSD432'), 32
"""Folder of the validation pictures, and how many at its end they are."""
UNTOLD = ('GaussianDenoisingDataset', 'CameraNoiseDataset', 'RealPairsDataset')
"""Datasets whose kind a card tells elsewhere, as the noise that a network is for."""
BLIND_LEVEL = 25
END = re.compile(r'end (\S+) (\d+) steps .* validation \[([\d.]+)')


@dataclass(frozen=True)
class Trained:
    """A training that ended.

    Attributes:
        network: Its ``network_g`` block in plain YAML types.
        weights: The entry that ships.
        noise: One level, or the lowest and the highest; None: it is for another task.
        task: That of ``basicsr-snn restore``.
        source: The command that trained it.
        training: Its model card.
        curve: (step, validation PSNR).
    """

    network: dict[str, Any]
    weights: Mapping[str, Tensor]
    noise: float | list[float] | str | None
    task: str
    licence: str
    source: str
    training: dict[str, Any]
    curve: list[tuple[int, float]]


def trained_by_options(args: argparse.Namespace) -> Trained:
    """What BasicSR's training of an option file left."""
    options = read_options(args.opt)
    folder = args.experiments / options['name']
    file = folder / 'models/net_g_latest.pth'
    log = read_training_log(folder)
    if not log.curve:
        sys.exit(f'{folder} has no validation, so that the card has no score; train with a val: block.')
    data = options['datasets']['train']
    training = {
        'options': str(args.opt), 'data': ', '.join(map(described, data.get('sets', [data]))),
        'steps': log.curve[-1][0], 'batch': f'{data["batch_size_per_gpu"]}x{data["gt_size"]}x{data["gt_size"]}',
        'seed': options['manual_seed'], 'hours': round(log.hours, 2), 'hardware': args.hardware, 'entry': args.entry,
        'val_psnr': round(log.curve[-1][1], 3),
        'starts_from': args.starts_from or (options.get('path') or {}).get('pretrain_network_g')}
    return Trained(network_of(options), torch.load(file, weights_only=True)[args.entry], noise_of(options),
                   options.get('task', 'denoise'), args.licence or LICENCE, f'basicsr-snn train -opt {args.opt}',
                   training, log.curve)


def noise_of(options: Mapping[str, Any]) -> float | list[float] | str | None:
    """What noise a training was for; None: it was for another task."""
    card = card_of_options(options) if options.get('task', 'denoise') == 'denoise' else None
    return card and card.noise


def described(data: Mapping[str, Any]) -> str:
    """The pictures of a training set in words, with what is done to them and the share of the crops that they have."""
    folder = data['dataroot_gt'] if 'dataroot_gt' in data else f'{data["dataroot_lq"]} without its truth'
    part = '[{}:{}]'.format(*data['subset']) if 'subset' in data else ''
    kind = '' if data['type'] in UNTOLD else f'{data["type"].removesuffix("Dataset")} of '
    return kind + folder + part + (f', share {data["share"]}' if 'share' in data else '')


def trained_by_kit(args: argparse.Namespace) -> Trained:
    """What ``gpu_kit.py`` brought back."""
    plan = next((plan for plan in yaml.safe_load(args.list.read_text(encoding='utf-8')) if plan['name'] == args.plan),
                None)
    if plan is None or args.hours is None:
        sys.exit(f'--kit needs --hours H and --plan NAME of {args.list}; given were {args.hours} and {args.plan}.')
    options = read_options(plan['options']) if 'options' in plan else {}
    network, file = network_of_plan(plan), args.kit / f'{args.plan}.pth'
    noise = noise_of(options) if options else plan.get('sigma', 25)
    ends = {name: (int(steps), float(psnr))
            for name, steps, psnr in END.findall((args.kit / 'log.txt').read_text(encoding='utf-8'))}
    steps, psnr = ends[args.plan]
    if not options:  # on all pictures that are held out, where the log tells of some
        psnr = validated(network, file, args.entry, BLIND_LEVEL if isinstance(noise, list) else noise)
    training = {'options': str(args.list), 'data': args.data, 'steps': steps, 'batch': args.batch,
                'seed': args.seed, 'hours': args.hours, 'hardware': args.hardware, 'entry': args.entry,
                'val_psnr': round(psnr, 3), 'starts_from': args.starts_from}
    return Trained(network, torch.load(file, weights_only=True)[args.entry], noise, options.get('task', 'denoise'),
                   args.licence or LICENCE_OF_KIT, f'python tools/gpu_kit.py --list {args.list} --names {args.plan}',
                   training, [(steps, psnr)])


def validated(network: dict[str, Any], file: Path, entry: str, sigma: float) -> float:
    """PSNR in dB of the folded network on the validation pictures."""
    net = zoo.build(network)
    load_weights(net, file, entry)
    folded, in_ch, (folder, count) = deployed(net), network['in_ch'], VALIDATION
    source = open_source(folder)
    places = range(len(source.names))[-count:]
    pictures = (to_channels(source.read(place), in_ch, source.names[place]) for place in places)
    return float(np.mean([psnr_of(folded, picture, sigma, torch.device('cpu')) for picture in pictures]))


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


def network_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """The network block as plain YAML types."""
    return plain(options['network_g'])


def ship(trained: Trained, name: str, task: str, notes: str, goes_on: bool, default: bool) -> str:
    """Write weights, row and curve; the text of the row."""
    built = zoo.build(trained.network)
    file = zoo.FOLDER / f'{name}.pth'
    shipped_before = zoo.sha256_of(file) if file.exists() else None
    card = Card(trained.network, trained.noise, licence=trained.licence, version=__version__, task=trained.task)
    torch.save(card.on(packed_state(trained.weights, built)), file)
    if not goes_on or zoo.sha256_of(file) != shipped_before:  # else the curve has these steps
        write_curve(name, trained.curve, goes_on)
    neurons = neurons_in(built)
    spiking = any(neuron.is_spiking for neuron in neurons)
    role = 'teacher' if trained.network['type'] != 'SpikerIR' else 'student' if spiking else 'twin'
    row = {
        'name': name, 'task': task, 'role': role, 'file': file.name, 'sha256': zoo.sha256_of(file),
        'network': trained.network,
        'neuron': trained.network.get('neuron', {'type': 'SignedILIF' if spiking else 'relu'})['type'],
        'T': trained.network.get('T', 1) if spiking else None,
        'D': max(neuron.max_count for neuron in neurons) if spiking else None,
        'noise': trained.noise, 'licence': trained.licence, 'source': trained.source, 'training': trained.training,
        'notes': notes,
        **({} if trained.task == 'denoise' else {'does': trained.task}),
        **({'default': True} if default else {}),
    }
    text = yaml.safe_dump(row, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    (zoo.FOLDER / f'{name}.yml').write_text(text, encoding='utf-8')
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument('-opt', type=Path, help='option file of a training under --experiments')
    way.add_argument('--kit', type=Path, help='folder that gpu_kit.py wrote')
    parser.add_argument('--name', required=True, help='name in the zoo')
    parser.add_argument('--task', required=True)
    parser.add_argument('--experiments', type=Path, default=Path('experiments'))
    parser.add_argument('--entry', default='params_ema', help='of the weight file (default: %(default)s)')
    parser.add_argument('--goes-on', action='store_true', help='a training that starts from what ships under this name')
    parser.add_argument('--overwrite', action='store_true', help='replace what ships under this name')
    parser.add_argument('--starts-from', help='what it began with, if not what the option file says')
    parser.add_argument('--hardware', default='one shared CPU core', help='for the model card (default: %(default)s)')
    parser.add_argument('--licence', help='of the weights (default: that of the pictures it was trained on)')
    parser.add_argument('--notes', default='')
    parser.add_argument('--default', action='store_true', help='the network of its task, where several ship')
    kit = parser.add_argument_group('with --kit')
    kit.add_argument('--list', type=Path, default=Path('tools/gpu_trainings.yml'),
                     help='of trainings (default: %(default)s)')
    kit.add_argument('--plan', help='name in the list')
    kit.add_argument('--data', help='pictures, for the model card')
    kit.add_argument('--batch', default='32x64x64')
    kit.add_argument('--seed', type=int, default=0)
    kit.add_argument('--hours', type=float)
    args = parser.parse_args()
    if (zoo.FOLDER / f'{args.name}.pth').exists() and not (args.goes_on or args.overwrite):
        parser.error(f'{args.name} ships already; add --overwrite, or --goes-on where the training went on from it')
    trained = trained_by_options(args) if args.opt else trained_by_kit(args)
    print(ship(trained, args.name, args.task, args.notes, args.goes_on, args.default))


if __name__ == '__main__':
    main()
