"""All that a GPU should do in a few minutes: time the step, run the tests by name, train the students of a list.

``python tools/gpu_kit.py --minutes 9 --data BSD432:32 IN797:40 -o OUT`` trains the students of ``gpu_trainings.yml``
side by side, each in its own stream, by captured steps (:mod:`basicsr_snn.models.captured_step`), and brings weights,
log and tables back in OUT. The schedule follows the clock, so that all end when the minutes do.
"""
from __future__ import annotations

import argparse
import json
import math
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import numpy as np
import torch
import yaml
from basicsr.metrics import calculate_psnr
from rich.console import Console
from torch import Tensor, nn

from basicsr_snn import zoo
from basicsr_snn.data.device_crops import DeviceCrops
from basicsr_snn.data.picture_source import open_source
from basicsr_snn.images.files import to_channels
from basicsr_snn.images.noise import NoiseLevel, add_gaussian_noise
from basicsr_snn.inference.calling import deployed, restore
from basicsr_snn.models.captured_step import CapturedStep
from basicsr_snn.models.snn_model import ema_decay_at
from basicsr_snn.zoo.weights import load_weights

LIST = Path(__file__).with_name('gpu_trainings.yml')
WARM_UP = 0.02
"""Share of a training in which the learning rate rises."""


NETWORK_KEYS = ('size', 'channels', 'blocks', 'neuron', 'hidden')
"""What a training of the list may say of its network instead of the shipped one that it is like."""


def network_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    row = yaml.safe_load((zoo.FOLDER / f'{plan["like"]}.yml').read_text(encoding='utf-8'))
    return {**row['network'], **{key: plan[key] for key in NETWORK_KEYS if key in plan}}


def read_sets(folders: Mapping[Path, int], in_ch: int, validation: bool) -> list[list[np.ndarray]]:
    """The decoded training (or validation) pictures of each folder, whose last so many are not trained on."""
    sets = []
    for folder, held_out_count in folders.items():
        source = open_source(folder)
        places = range(len(source.names))
        held_out = places[-held_out_count:]
        chosen = held_out if validation else [place for place in places if place not in held_out]
        sets.append([to_channels(source.read(place), in_ch, source.names[place]) for place in chosen])
    return sets


class Training:
    """One student of the list."""

    def __init__(self, plan: Mapping[str, Any], pictures: Mapping[int, list[list[np.ndarray]]], side: int, batch: int,
                 fused: bool, seed: int) -> None:
        self.plan = plan
        device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
        torch.manual_seed(seed)
        net = zoo.build(network_of(plan))
        if 'start' in plan:
            load_weights(net, zoo.FOLDER / f'{plan["start"]}.pth')
        net = net.to(device, memory_format=torch.channels_last).train()
        sigma = plan.get('sigma', 25)
        noise = NoiseLevel.from_options({'sigma_range' if isinstance(sigma, list) else 'sigma': sigma})
        generator = torch.Generator(device).manual_seed(seed)
        crops = DeviceCrops(pictures[plan.get('in_ch', 3)], side, batch, noise, device, generator)
        rate = {'target': plan['target'], 'loss_weight': 0.01} if 'target' in plan else None
        self.step = CapturedStep(net, lambda: crops.draw()[:2], generator, rate=rate, fused=fused)

    def run(self, progress: float, mse_from: float) -> None:
        """One step at a progress of 0..1."""
        rise = min(1.0, progress / WARM_UP)
        lr = self.plan['lr'] * rise * 0.5 * (1 + math.cos(math.pi * progress))
        self.step.run(max(lr, 1e-6), ema_decay_at(self.step.steps, 0.999), float(progress >= mse_from))

    def score(self, pictures: list[list[np.ndarray]], count: int) -> list[float]:
        """PSNR of the folded average on the first pictures of each validation set."""
        torch.backends.cudnn.benchmark = False  # each size of picture would be tried anew
        net, device = deployed(self.step.average), self.step.device
        sigma = self.plan.get('sigma', 25)
        level = 25 if isinstance(sigma, list) else sigma
        return [float(np.mean([psnr_of(net, picture, level, device) for picture in one[:count]])) for one in pictures]

    def save(self, folder: Path) -> None:
        torch.save({'params': _cpu(self.step.net), 'params_ema': _cpu(self.step.average)},
                   folder / f'{self.plan["name"]}.pth')


def _cpu(net: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous().clone() for key, value in net.state_dict().items()}


@torch.inference_mode()
def psnr_of(net: nn.Module, picture: np.ndarray, sigma: float, device: torch.device) -> float:
    clean = picture.astype(np.float32) / 255
    noisy = torch.from_numpy(add_gaussian_noise(clean, sigma, 0).transpose(2, 0, 1).copy()).unsqueeze(0).to(device)
    restored = restore(net, noisy.to(memory_format=torch.channels_last))[0].clamp(0, 1).mul(255).round()
    return calculate_psnr(restored.permute(1, 2, 0).cpu().numpy(), picture, crop_border=0)


def pace(trainings: list[Training], rounds: int) -> float:
    """Seconds of a round of one step each."""
    wait()
    began = time.perf_counter()
    for _ in range(rounds):
        for training in trainings:
            training.run(1e-3, 1.0)
    wait()
    return (time.perf_counter() - began) / rounds


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def prepare(plans: list[dict[str, Any]], folders: Mapping[Path, int], args: argparse.Namespace,
            tell: Any) -> Iterator[Training]:
    pictures = {channels: read_sets(folders, channels, validation=False)
                for channels in sorted({plan.get('in_ch', 3) for plan in plans})}
    tell(f'pictures read: {[[len(one) for one in sets] for sets in pictures.values()]}')
    for plan in plans:
        training = Training(plan, pictures, args.side, args.batch, not args.plain, args.seed)
        capture(training, tell)
        seconds = pace([training], 50 if torch.cuda.is_available() else 1)
        tell(f'{plan["name"]}: captured, {1e3 * seconds:.2f} ms a step')
        yield training


def capture(training: Training, tell: Any) -> None:
    try:
        training.step.capture()
    except Exception:  # the minutes are paid for: train uncaptured, and tell why
        tell(f'{training.plan["name"]} runs uncaptured: {traceback.format_exc()}')
        training.step.graph = None


def train(trainings: list[Training], seconds: float, mse_from: float, watched: Mapping[int, list[list[np.ndarray]]],
          tell: Any, folder: Path) -> None:
    began, told, rounds = time.monotonic(), 0, 0
    while (progress := (time.monotonic() - began) / seconds) < 1:
        for training in trainings:
            training.run(progress, mse_from)
        rounds += 1
        if rounds % 20 == 0:
            wait()
        if progress > (told + 1) / 8:
            told += 1
            for training in trainings:
                log = training.step.read_log()
                few = training.score(watched[training.plan.get('in_ch', 3)], 4)
                tell(f'{progress:.2f} {training.plan["name"]} {training.step.steps} steps '
                     f'{json.dumps({key: round(value, 5) for key, value in log.items()})} few {few}')
                training.save(folder)


def main(plan_file: Path = LIST) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, required=True, help='in all, preparation included')
    parser.add_argument('--data', nargs='+', required=True, metavar='DIR:HELD_OUT')
    parser.add_argument('-o', type=Path, required=True)
    parser.add_argument('--names', nargs='+', help='of the list of trainings; default: all')
    parser.add_argument('--least-steps', type=int, default=20_000)
    parser.add_argument('--side', type=int, default=64)
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--mse-from', type=float, default=0.75)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--plain', action='store_true', help='neurons uncompiled')
    parser.add_argument('--tests', help='arguments of pytest, which runs beside the training')
    parser.add_argument('--end-seconds', type=float, default=25, help='kept for the last validation')
    args = parser.parse_args()
    args.o.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    log_file = (args.o / 'log.txt').open('a')

    def tell(line: str) -> None:
        line = f'[{time.monotonic() - began:6.1f}] {line}'
        for console in (Console(file=log_file, width=1000), Console(width=1000)):
            console.print(line, markup=False, highlight=False)

    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = True
    tell(f'{torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"}, torch {torch.__version__}, '
         f'batch {args.batch}x{args.side}x{args.side}')
    folders = {Path(folder): int(held_out) for folder, held_out in (one.rsplit(':', 1) for one in args.data)}
    plans = [plan for plan in yaml.safe_load(plan_file.read_text(encoding='utf-8'))
             if not args.names or plan['name'] in args.names]
    trainings: list[Training] = []
    for training in prepare(plans, folders, args, tell):
        trainings.append(training)
    left = 60 * args.minutes - (time.monotonic() - began) - args.end_seconds
    round_seconds = pace(trainings, 50 if torch.cuda.is_available() else 1)
    tell(f'{len(trainings)} trainings: {1e3 * round_seconds:.2f} ms a round')
    while len(trainings) > 1 and left / round_seconds < args.least_steps:
        dropped = trainings.pop()
        round_seconds = pace(trainings, 50)
        tell(f'without {dropped.plan["name"]}: {1e3 * round_seconds:.2f} ms a round')
        del dropped
    tests = None
    if args.tests is not None:
        tests = subprocess.Popen([sys.executable, '-m', 'pytest', *shlex.split(args.tests)],
                                 stdout=(args.o / 'tests.txt').open('w'), stderr=subprocess.STDOUT)
    watched = {channels: read_sets(folders, channels, validation=True)
               for channels in {training.plan.get('in_ch', 3) for training in trainings}}
    left = 60 * args.minutes - (time.monotonic() - began) - args.end_seconds
    try:
        train(trainings, left, args.mse_from, watched, tell, args.o)
    finally:
        for training in trainings:
            training.save(args.o)
    for training in trainings:
        log = training.step.read_log()
        tell(f'end {training.plan["name"]} {training.step.steps} steps {json.dumps(log)} '
             f'validation {training.score(watched[training.plan.get("in_ch", 3)], 12)}')
    if tests is not None:
        tests.kill()


if __name__ == '__main__':
    main()
