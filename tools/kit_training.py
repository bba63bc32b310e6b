"""A training of ``gpu_kit.py``: a denoiser of a list, or a network for the task of an option file."""
from __future__ import annotations

import json
import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import numpy as np
import torch
import yaml
from captured_step import CapturedStep
from drawn_pairs import DrawnPairs, draw_pairs
from torch import Tensor, nn

from basicsr_snn import zoo
from basicsr_snn.bench.evaluation_set import EvaluationSet, blocks_of_options
from basicsr_snn.data.device_crops import DeviceCrops
from basicsr_snn.data.picture_source import open_source
from basicsr_snn.images.files import to_channels, to_float, to_tensor
from basicsr_snn.images.noise import NoiseLevel, add_gaussian_noise
from basicsr_snn.images.scoring import eight_bits, psnr, quality
from basicsr_snn.inference.calling import deployed, restore
from basicsr_snn.models.snn_model import ema_decay_at
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.version import __version__
from basicsr_snn.weight_files.card import Card
from basicsr_snn.zoo.weights import load_weights

WARM_UP = 0.02
"""Share of a training in which the learning rate rises."""

NETWORK_KEYS = ('size', 'channels', 'blocks', 'neuron', 'hidden')
"""What a training of the list may say of its network instead of the shipped one that it is like."""

Sets = list[list[np.ndarray]]
Draw = Callable[[], tuple[Tensor, Tensor]]


def network_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The ``network_g`` block of a training of the list."""
    if 'options' in plan:
        network = yaml.safe_load(Path(plan['options']).read_text(encoding='utf-8'))['network_g']
    else:
        network = yaml.safe_load((zoo.FOLDER / f'{plan["like"]}.yml').read_text(encoding='utf-8'))['network']
    return {**network, **{key: plan[key] for key in NETWORK_KEYS if key in plan}}


def start_of(plan: Mapping[str, Any], usual: str | None) -> Path | None:
    """The weights that a training of the list begins with: those of its ``start``, a network that ships (``~``: none),
    or where it says nothing the usual ones."""
    if 'start' not in plan:
        return Path(usual) if usual else None
    return zoo.FOLDER / f'{plan["start"]}.pth' if plan['start'] else None


def read_sets(folders: Mapping[Path, int], in_ch: int, validation: bool) -> Sets:
    """The decoded training (or validation) pictures of each folder, whose last so many are not trained on."""
    sets = []
    for folder, held_out_count in folders.items():
        source = open_source(folder)
        places = range(len(source.names))
        held_out = places[len(places) - held_out_count:]
        chosen = held_out if validation else [place for place in places if place not in held_out]
        sets.append([to_channels(source.read(place), in_ch, source.names[place]) for place in chosen])
    return sets


@torch.inference_mode()
def psnr_of(net: nn.Module, picture: np.ndarray, sigma: float, device: torch.device) -> float:
    """PSNR in dB of a picture (H, W, C) uint8 that gets the noise of the protocol and is restored."""
    noisy = to_tensor(add_gaussian_noise(to_float(picture), sigma, 0)).unsqueeze(0).to(device)
    restored = restore(net, noisy.to(memory_format=torch.channels_last))
    return psnr(eight_bits(restored.cpu()), picture)


class Training(ABC):
    """One network of the list: its captured step, its schedule by the clock, its scores.

    Args:
        plan: The training of the list.
        draw_with: Makes the source of batches from the device and its generator.
        start: Weights to begin from.
        strict: Whether they must fit the network.
        target: Budget of accumulations a pixel.
        fused: Compile the neurons' kernels.
        seed: Of weights and batches.
    """

    def __init__(self, plan: Mapping[str, Any], draw_with: Callable[[torch.device, torch.Generator], Draw],
                 start: Path | None, strict: bool, target: float | None, fused: bool, seed: int) -> None:
        self.plan = plan
        device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
        torch.manual_seed(seed)
        net = zoo.build(network_of(plan))
        if start is not None:
            load_weights(net, start, strict=strict)
        net = net.to(device, memory_format=torch.channels_last).train()
        generator = torch.Generator(device).manual_seed(seed)
        rate = None if target is None else {'target': target, 'loss_weight': 0.01}
        self.step = CapturedStep(net, draw_with(device, generator), generator, rate=rate, fused=fused)

    def run(self, progress: float, mse_from: float) -> None:
        """One step at a progress of 0..1."""
        rise = min(1.0, progress / WARM_UP)
        lr = self.plan['lr'] * rise * 0.5 * (1 + math.cos(math.pi * progress))
        self.step.run(max(lr, 1e-6), ema_decay_at(self.step.steps, 0.999), float(progress >= mse_from))

    @abstractmethod
    def score(self, count: int) -> list[float]:
        """PSNR in dB of the folded average on the first ``count`` pictures of each validation set."""

    def averaged(self) -> nn.Module:
        """The folded average of the weights."""
        torch.backends.cudnn.benchmark = False  # each size of picture would be tried anew
        return deployed(self.step.average)

    def save(self, folder: Path) -> None:
        card = Card(network_of(self.plan), version=__version__)
        torch.save({'params': _cpu(self.step.net), 'params_ema': _cpu(self.step.average), **card.entries()},
                   folder / f'{self.plan["name"]}.pth')


def _cpu(net: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous().clone() for key, value in net.state_dict().items()}


class DenoiserTraining(Training):
    """A denoiser like one that ships, trained on the pictures of ``--data`` with noise drawn on the device."""

    def __init__(self, plan: Mapping[str, Any], pictures: Sets, watched: Sets, side: int, batch: int, fused: bool,
                 seed: int) -> None:
        self.watched = watched
        sigma = plan.get('sigma', 25)
        self.level = 25 if isinstance(sigma, list) else sigma
        noise = NoiseLevel.from_options({'sigma_range' if isinstance(sigma, list) else 'sigma': sigma})

        def draw_with(device: torch.device, generator: torch.Generator) -> Draw:
            crops = DeviceCrops(pictures, side, batch, noise, device, generator)
            return lambda: crops.draw()[:2]

        super().__init__(plan, draw_with, start_of(plan, None), plan.get('strict', True), plan.get('target'), fused,
                         seed)

    def score(self, count: int) -> list[float]:
        net, device = self.averaged(), self.step.device
        return [statistics.fmean(psnr_of(net, picture, self.level, device) for picture in pictures[:count])
                for pictures in self.watched]


class TaskTraining(Training):
    """A network of an option file, trained on crops that its own dataset draws before the training begins."""

    def __init__(self, plan: Mapping[str, Any], batch: int, fused: bool, seed: int, workers: int) -> None:
        options = read_options(plan['options'])
        train = options['train']
        self.file = plan['options']

        def draw_with(device: torch.device, generator: torch.Generator) -> Draw:
            block = with_pictures_at_hand(options['datasets']['train'])
            pairs = _pairs(json.dumps(block), options.get('scale', 1), plan['crops'], seed, workers)
            return DrawnPairs(pairs, batch, device, generator).draw

        target = plan.get('target', train['rate_opt']['target'] if 'rate_opt' in train else None)
        weights = options['path']
        super().__init__(plan, draw_with, start_of(plan, weights.get('pretrain_network_g')),
                         weights.get('strict_load_g', True), target, fused, seed)

    @torch.inference_mode()
    def score(self, count: int) -> list[float]:
        names = [block['name'] for phase, block in read_options(self.file)['datasets'].items()
                 if phase.startswith('val')]
        net, device = self.averaged(), self.step.device
        scores = []
        for phase, block in blocks_of_options(self.file, names).items():
            pictures = EvaluationSet({phase: block}, count)
            scores.append(statistics.fmean(
                quality(eight_bits(restore(net, given.to(device)).cpu()), eight_bits(clean), block.get('scale', 1))[0]
                for given, clean, _ in pictures))
        return scores


@lru_cache(maxsize=1)
def _pairs(block: str, scale: int, count: int, seed: int, workers: int) -> tuple[Tensor, Tensor]:
    """A twin, which comes next in the list, reads the crops of its student."""
    return draw_pairs(json.loads(block), scale, count, seed, workers)


def with_pictures_at_hand(block: Mapping[str, Any]) -> dict[str, Any]:
    """A dataset block whose ``subset`` ends where the folder does: not every machine has room for all pictures."""
    if 'sets' in block:
        return {**block, 'sets': [with_pictures_at_hand(one) for one in block['sets']]}
    if 'subset' not in block:
        return dict(block)
    there = len(open_source(Path(block['dataroot_gt'])).names)
    return {**block, 'subset': [block['subset'][0], min(block['subset'][1], there)]}
