"""Trials of network options and recipes under one protocol: ``python studies/design/trials.py VARIANTS.yml``.

Every trial trains on the first 400 pictures of BSD432 and is scored on pictures of the last 32, folded for inference.
The batch of a step depends on seed and step alone, so variants of one patch and batch size see the same crops and the
same noise. A finished trial is not run again; a broken one goes on from its last state. Steps are timed in seconds of
CPU, which other programs on the machine hardly change.
"""
from __future__ import annotations

import argparse
import copy
import csv
import json
import math
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import basicsr_snn  # noqa: F401 - before spikingjelly and basicsr

# isort: split
import numpy as np
import torch
import yaml
from basicsr.metrics import calculate_psnr
from interventions import CHANGES, counts_at, scale_branches, set_counts, share_blocks, without_branches
from rich.console import Console
from torch import Tensor, nn

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.compat.checkpoints import save_atomically
from basicsr_snn.data.picture_source import FolderSource
from basicsr_snn.energy import EnergyReport, OperationCounter
from basicsr_snn.errors import UserError
from basicsr_snn.images.noise import add_gaussian_noise
from basicsr_snn.inference.calling import deployed
from basicsr_snn.zoo.weights import load_weights

SIGMA = 25
LEVELS = (15, 25, 50)
TRAINED_ON, SCORED_ON = slice(0, 400), slice(400, 432)
RECIPE: dict[str, Any] = {
    'steps': 1000, 'batch': 8, 'patch': 40, 'lr': 1e-3, 'threshold_lr': 1.0, 'warmup': 50, 'final_lr': 0.0,
    'betas': [0.9, 0.99], 'weight_decay': 0.0, 'clip': 1.0, 'loss': 'l1', 'ema': 0.0,
    'score_at': [], 'pictures': 12, 'branches': 1.0, 'shared': False, 'counts': {}, 'change': '', 'blind': False,
    'start': '',
}
"""Recipe of a trial that names nothing else. ``branches``, ``shared``, ``counts`` (``{first step: D}``) and ``change``:
:mod:`interventions`. ``blind``: each crop with noise of a level of its own, 5 to 55, and scores at the mean of 15, 25
and 50; a network that reads a fourth channel is told the level in it. ``start``: weights that it begins with."""
COLUMNS = ('name', 'options', 'seed', 'steps', 'params', 'acs_per_px', 'macs_per_px', 'events_per_neuron', 'nj_per_px',
           'cpu_s_per_step', 'psnr_at', 'psnr', 'commit')
SAVE_EVERY = 500
LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    'l1': lambda error: error.abs().mean(),
    'charbonnier': lambda error: (error.square() + 1e-6).sqrt().mean(),
    'psnr': lambda error: 0.1 * error.square().mean((1, 2, 3)).add(1e-8).log().mean(),
}


class Pictures:
    """BSD432 in memory as uint8, with crops for training by step and noisy pictures for scoring."""

    def __init__(self, folder: Path) -> None:
        source = FolderSource(folder)
        self.train = [source.read(i) for i in range(len(source.names))[TRAINED_ON]]
        self.val = [source.read(i) for i in range(len(source.names))[SCORED_ON]]

    def batch(self, seed: int, step: int, count: int, patch: int, blind: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy and clean crops (N, 3, patch, patch) and their levels of noise (N, 1, 1, 1) on the 0..1 scale, the same
        for one seed and step; noise not clipped."""
        rng = np.random.default_rng((seed, step))
        crops = []
        for _ in range(count):
            picture = self.train[rng.integers(len(self.train))]
            top, left = (int(rng.integers(side - patch + 1)) for side in picture.shape[:2])
            crop = np.rot90(picture[top:top + patch, left:left + patch], int(rng.integers(4)))
            crops.append(crop[:, ::-1] if rng.integers(2) else crop)
        clean = np.stack(crops).astype(np.float32) / 255
        levels = rng.uniform(5, 55, (count, 1, 1, 1)) if blind else np.full((count, 1, 1, 1), SIGMA)
        levels = levels.astype(np.float32) / 255
        noisy = clean + rng.standard_normal(clean.shape, dtype=np.float32) * levels
        return _nchw(noisy), _nchw(clean), torch.from_numpy(levels)


def _nchw(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)  # channels last in memory


def given(net: SpikerIR, noisy: Tensor, levels: Tensor) -> Tensor:
    """What a network reads: noisy pictures, and their level as one more channel if it has one for it."""
    return torch.cat([noisy, levels.expand_as(noisy[:, :1])], 1) if net.in_ch > noisy.shape[1] else noisy


@torch.no_grad()
def score(net: SpikerIR, pictures: list[np.ndarray], sigma: float = SIGMA) -> float:
    """Mean 8-bit PSNR of the folded network by the test protocol: the noise of seed 0 on each picture."""
    folded, total = deployed(without_branches(net)), 0.0
    for picture in pictures:
        noisy = _nchw(add_gaussian_noise(picture.astype(np.float32) / 255, sigma)[None])
        restored = folded(given(net, noisy, torch.full((1, 1, 1, 1), sigma / 255)))[0].clamp(0, 1).mul(255).round()
        total += calculate_psnr(restored.byte().permute(1, 2, 0).numpy(), picture, crop_border=0)
    return total / len(pictures)


@torch.no_grad()
def count(net: SpikerIR, pictures: list[np.ndarray]) -> EnergyReport:
    folded = deployed(without_branches(net))
    with OperationCounter(folded) as counter:
        for picture in pictures:
            noisy = _nchw(add_gaussian_noise(picture.astype(np.float32) / 255, SIGMA)[None])
            folded(given(net, noisy, torch.full((1, 1, 1, 1), SIGMA / 255)))
    return counter.report()


class Trial:
    """One training: network, optimiser, running mean of the weights, scores so far."""

    def __init__(self, name: str, network: dict[str, Any], recipe: dict[str, Any], seed: int,
                 pictures: Pictures) -> None:
        self.name, self.network, self.recipe, self.seed, self.pictures = name, network, recipe, seed, pictures
        torch.manual_seed(seed)
        self.net = SpikerIR(**network).to(memory_format=torch.channels_last)
        if recipe['start']:
            load_weights(self.net, Path(recipe['start']), strict=False)
        scale_branches(self.net, recipe['branches'])
        if recipe['shared']:
            share_blocks(self.net)
        if recipe['change']:
            CHANGES[recipe['change']](self.net)
            self.net.to(memory_format=torch.channels_last)
        self.mean = copy.deepcopy(self.net) if recipe['ema'] else self.net
        thresholds = [p for n, p in self.net.named_parameters() if 'log_threshold' in n]
        weights = [p for n, p in self.net.named_parameters() if 'log_threshold' not in n]
        groups = [{'params': weights, 'factor': 1.0}, {'params': thresholds, 'factor': recipe['threshold_lr'],
                                                       'weight_decay': 0.0}]
        self.optimizer = torch.optim.AdamW([g for g in groups if g['params']], lr=recipe['lr'],
                                           betas=tuple(recipe['betas']), weight_decay=recipe['weight_decay'])
        self.step, self.seconds, self.scores = 0, 0.0, {}

    def learning_rate(self) -> float:
        recipe, done = self.recipe, self.step / self.recipe['steps']
        low = recipe['final_lr']
        cosine = low + (1 - low) * (1 + math.cos(math.pi * done)) / 2
        return recipe['lr'] * cosine * min(1.0, (self.step + 1) / max(recipe['warmup'], 1))

    def train_step(self) -> None:
        recipe = self.recipe
        noisy, clean, levels = self.pictures.batch(self.seed, self.step, recipe['batch'], recipe['patch'],
                                                   recipe['blind'])
        start = time.process_time()
        self.follow_counts(self.step)
        for group in self.optimizer.param_groups:
            group['lr'] = self.learning_rate() * group['factor']
        loss = LOSSES[recipe['loss']](self.net(given(self.net, noisy, levels)) - clean)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if recipe['clip']:
            nn.utils.clip_grad_norm_(self.net.parameters(), recipe['clip'])
        self.optimizer.step()
        self.step += 1
        if recipe['ema']:
            self.follow(min(recipe['ema'], (1 + self.step) / (10 + self.step)))
        self.seconds += time.process_time() - start

    def follow_counts(self, step: int) -> None:
        if self.recipe['counts']:
            set_counts(self.net, counts_at(step, self.recipe['counts']))

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        for kept, new in zip(self.mean.parameters(), self.net.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)

    def run(self, states: Path) -> dict[str, Any]:
        file = states / f'{self.name}_{self.seed}_{self.recipe["steps"]}.pth'
        if file.exists():
            self.load(torch.load(file, weights_only=False))
        val = self.pictures.val[:self.recipe['pictures']]
        score_at = {round(share * self.recipe['steps']) for share in self.recipe['score_at']}
        while self.step < self.recipe['steps']:
            self.train_step()
            if self.step in score_at:
                self.scores[self.step] = round(self.score(val), 3)
            if self.step % SAVE_EVERY == 0 or self.step == self.recipe['steps']:
                save_atomically(self.state(), file)
        report = count(self.mean, val[:2])
        return {'name': self.name, 'options': self.options(), 'seed': self.seed, 'steps': self.step,
                'params': report.params, 'acs_per_px': round(report.acs_per_px),
                'macs_per_px': round(report.macs_per_px), 'events_per_neuron': round(report.firing_rate, 3),
                'nj_per_px': round(report.energy_nj_px(), 1),
                'cpu_s_per_step': round(self.seconds / self.step, 4), 'psnr_at': json.dumps(self.scores),
                'psnr': round(self.score(val), 3), 'commit': current_commit()}

    def score(self, pictures: list[np.ndarray]) -> float:
        levels = LEVELS if self.recipe['blind'] else (SIGMA,)
        return fmean(score(self.mean, pictures, level) for level in levels)

    def options(self) -> str:
        return json.dumps({'network': self.network, 'recipe': self.recipe}, sort_keys=True)

    def state(self) -> dict[str, Any]:
        return {'options': self.options(), 'net': self.net.state_dict(),
                'mean': self.mean.state_dict(), 'optimizer': self.optimizer.state_dict(),
                'step': self.step, 'seconds': self.seconds, 'scores': self.scores}

    def load(self, state: dict[str, Any]) -> None:
        if state['options'] != self.options():
            raise SystemExit(f'{self.name} was begun with other options ({state["options"]}); remove its state, or '
                             'give it another name.')
        self.follow_counts(max(0, state['step'] - 1))  # before the thresholds that belong to them
        for part in ('net', 'mean', 'optimizer'):
            getattr(self, part).load_state_dict(state[part])
        self.step, self.seconds, self.scores = state['step'], state['seconds'], state['scores']


def current_commit() -> str:
    """Short hash of the commit that the trial ran on, with ``+`` where files were changed since; empty outside git."""
    command = ['git', 'describe', '--always', '--dirty=+']
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def finished(table: Path) -> set[tuple[str, int, int]]:
    if not table.exists():
        return set()
    with table.open(newline='') as rows:
        return {(row['name'], int(row['seed']), int(row['steps'])) for row in csv.DictReader(rows)}


def append(table: Path, row: dict[str, Any]) -> None:
    new = not table.exists()
    with table.open('a', newline='') as rows:
        writer = csv.DictWriter(rows, COLUMNS, lineterminator='\n')
        if new:
            writer.writeheader()
        writer.writerow(row)


def planned(variants: list[dict[str, Any]], table: Path, pictures: Pictures) -> Iterator[Trial]:
    """The trials of a list that the table does not have yet."""
    for entry in variants:
        recipe, seed = {**RECIPE, **entry.get('recipe', {})}, entry.get('seed', 0)
        if unknown := recipe.keys() - RECIPE.keys():
            raise UserError(f'the recipe of trial {entry["name"]} has {", ".join(sorted(unknown))}; it may have '
                            f'{", ".join(RECIPE)}.')
        if (entry['name'], seed, recipe['steps']) not in finished(table):
            yield Trial(entry['name'], entry.get('network', {}), recipe, seed, pictures)


def main() -> None:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('variants', type=Path, help='YAML list of trials: name, network, recipe, seed')
    parser.add_argument('--pictures', type=Path, default=Path('datasets/BSD432'), help='default: %(default)s')
    parser.add_argument('--table', type=Path, default=here / 'trials.csv', help='default: %(default)s')
    parser.add_argument('--states', type=Path, default=Path('experiments/design'), help='default: %(default)s')
    args = parser.parse_args()
    args.states.mkdir(parents=True, exist_ok=True)
    pictures, console = Pictures(args.pictures), Console()
    for trial in planned(yaml.safe_load(args.variants.read_text(encoding='utf-8')), args.table, pictures):
        row = trial.run(args.states)
        append(args.table, row)
        console.print({key: value for key, value in row.items() if key != 'options'})


if __name__ == '__main__':
    main()
