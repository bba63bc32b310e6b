"""Training steps as the option files make them: model, losses, clipping, optimiser and moving average, without data."""
from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from basicsr.models import build_model

from basicsr_snn.models.snn_model import SNNModel
from basicsr_snn.pipeline.option_files import read_options

OPTIONS = Path('options/train/SpikerIR')
BATCH = (8, 3, 64, 64)
NEVER = 10 ** 9
"""Steps between two lines of a log that is not wanted."""


def trained_model(options: dict[str, Any], batch: tuple[int, ...] = BATCH, num_gpu: int = 0,
                  **neuron: Any) -> SNNModel:
    """The model of an option file, ``neuron`` merged into that of its network, fed with one random batch."""
    options = copy.deepcopy(options)
    options['logger']['print_freq'] = NEVER
    options['network_g']['neuron'] = {**options['network_g'].get('neuron', {}), **neuron}
    torch.manual_seed(0)
    model = build_model({**options, 'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1, 'num_gpu': num_gpu})
    clean = torch.rand(batch)
    model.feed_data({'gt': clean, 'lq': clean + 0.1 * torch.randn(batch), 'sigma': torch.full(batch[:1], 25.0)})
    return model


def step(model: SNNModel) -> Callable[[], None]:
    """A task that takes one optimiser step on the batch that the model holds; statistics are not counted in it."""
    iterations = itertools.count(1)
    return lambda: model.optimize_parameters(next(iterations))


def spiking_step(**neuron: Any) -> Callable[[], None]:
    return step(trained_model(read_options(OPTIONS / 'control_color25.yml'), **neuron))


def binary_step(micro_batches: int = 1) -> Callable[[], None]:
    """Binary neurons over four steps, compiled."""
    options = read_options(OPTIONS / 'control_color25.yml')
    options['network_g'] = {'type': 'SpikerIR', 'size': 'small', 'T': 4, 'neuron': {'type': 'LIFNode', 'compile': True}}
    options['train']['micro_batches'] = micro_batches
    return step(trained_model(options))


def twin_step() -> Callable[[], None]:
    return step(trained_model(read_options(OPTIONS / 'twin_color25.yml')))


def distilling_step(hint: str | None = None, **neuron: Any) -> Callable[[], None]:
    """H-KD with FFDNet as in the option file, or with its hint at another module of the teacher."""
    options = read_options(OPTIONS / 'hkd_ffdnet_color25.yml')
    if hint:
        options['distill']['hints'][0]['teacher'] = hint
    return step(trained_model(options, **neuron))
