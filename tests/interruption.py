"""Trainings that end before their end and go on: every loss and option of ours, and whether that made a difference."""
from __future__ import annotations

import random as python_random
import shutil
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from trainings import TEACHER, train, training

NEURON = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'norm': 'bn'}
HINT = {'name': 'dec', 'teacher': 'model.2', 'student': 'decoder.0', 'weight': 0.1}
FROZEN = {'teacher': {'network': dict(TEACHER), 'path': 'teacher.pth'}}


class DrawnLoss(nn.Module):
    """A loss with random weights from all generators that there are, and with a memory."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer('steps', torch.zeros(()))

    def forward(self, restored: Tensor, truth: Tensor) -> Tensor:
        self.steps += 1
        drawn = torch.rand(()) + np.random.rand() + python_random.random()
        return (restored - truth).abs().mean() * drawn * (1 + self.steps)


if 'DrawnLoss' not in LOSS_REGISTRY:
    LOSS_REGISTRY.register(DrawnLoss)


def hint(loss: dict, **changes) -> dict:
    return {**HINT, 'loss': loss, **changes}


DISTILLATIONS: list[dict[str, Any] | None] = [
    None,
    {**FROZEN, 'hints': [hint({'type': 'BlurredHintLoss', 'drop': 0.3})]},
    {**FROZEN, 'hints': [hint({'type': 'FeatureHintLoss', 'criterion': criterion}, name=criterion)
                         for criterion in ('mse', 'l1', 'cosine', 'attention')],
     'schedule': {'type': 'cosine', 'end_iter': 4}, 'output': {'type': 'L1Loss'}},
    {**FROZEN, 'tails': [{'name': 'mid', 'teacher': 'model.2', 'student': 'middle'}], 'until': 3},
    {'teacher': {'network': {**NEURON, 'neuron': {'type': 'relu'}}, 'trainable': True, 'start_iter': 3,
                 'optim': {'type': 'SGD', 'lr': 0.01, 'momentum': 0.9}}, 'output': {'type': 'MSELoss'}},
    {**FROZEN, 'every': 2, 'adapter_lr': 0.003, 'schedule': {'type': 'linear', 'end_iter': 9},
     'hints': [hint({'type': 'FeatureHintLoss'}, relative=True, adapter={'resize': 'unshuffle', 'picture': True,
                                                                          'unit': True, 'fit': True}),
               {**HINT, 'name': 'noise', 'of': 'truth', 'teacher': 'residual', 'adapter': {'fit': True}}]},
]
"""Blocks of ``distill:``."""

TRAIN: dict[str, list[Any]] = {
    'optim_g': [{'type': 'AdamW', 'lr': 0.01, 'weight_decay': 0.1}, {'type': 'SGD', 'lr': 0.05, 'momentum': 0.9},
                {'type': 'Adam', 'lr': 0.01, 'amsgrad': True, 'betas': [0.9, 0.99]}, {'type': 'RMSprop', 'lr': 0.001},
                {'type': 'RAdam', 'lr': 0.01}, {'type': 'NAdam', 'lr': 0.01}, {'type': 'Adagrad', 'lr': 0.01},
                {'type': 'Adamax', 'lr': 0.01}, {'type': 'ASGD', 'lr': 0.01}, {'type': 'Rprop', 'lr': 0.001}],
    'scheduler': [{'type': 'CosineAnnealingRestartLR', 'periods': [3, 3], 'restart_weights': [1, 0.5], 'eta_min': 1e-6},
                  {'type': 'MultiStepLR', 'milestones': [1, 3], 'gamma': 0.5}],
    'warmup_iter': [-1, 3], 'grad_clip': [None, 0.1], 'ema_decay': [0, 0.5],
    'pixel_opt': [{'type': 'L1Loss'}, {'type': 'CharbonnierLoss'}, {'type': 'DrawnLoss'}],
    'fft_opt': [None, {'type': 'FFTLoss', 'loss_weight': 0.1}],
    'rate_opt': [None, {'type': 'SpikeRateLoss', 'target': 1000, 'loss_weight': 0.1}],
    'micro_batches': [1, 2], 'amp': [False, True], 'every_step': [False, True],
    'tandem': [None, {'every': 1, 'groups': 3}],
    'pruning': [None, {'type': 'GradientRewiring', 'sparsity': 0.6, 'end_iter': 3},
                {'type': 'GradientRewiring', 'sparsity': 0.9, 'penalty': 2.0},
                {'type': 'MagnitudePruning', 'sparsity': 0.5, 'start_iter': 1, 'end_iter': 4}],
}
"""Values of the keys of ``train:``."""

NETWORKS = [NEURON, {**NEURON, 'norm': 'none', 'T': 2, 'neuron': {'type': 'LIFNode'}},
            {**NEURON, 'norm': 'none', 'weights': 'ternary'}, dict(TEACHER)]

PAIRS = {'type': 'PairedImageDataset', 'dataroot_gt': 'pictures', 'dataroot_lq': 'pictures',
         'io_backend': {'type': 'disk'}, 'use_hflip': True, 'use_rot': True}

SETS: list[dict[str, Any]] = [
    {'type': 'GaussianDenoisingDataset', 'dataroot_gt': 'pictures', 'sigma_range': [0, 55]},
    {'type': 'CameraNoiseDataset', 'dataroot_gt': 'pictures', 'resize_range': [0.7, 1]},
    {'type': 'JPEGDataset', 'dataroot_gt': 'pictures'}, {'type': 'MotionBlurDataset', 'dataroot_gt': 'pictures'},
    {'type': 'RainStreaksDataset', 'dataroot_gt': 'pictures'},
    {'type': 'BorrowedRainDataset', 'dataroot_gt': 'pictures', 'dataroot_rainy': 'rainy', 'dataroot_dry': 'pictures'},
    {'type': 'RealPairsDataset', 'dataroot_gt': 'pairs'}, {**PAIRS}]
"""Data sets that stand beside each other in a MixedDataset; :func:`mix` makes their folders."""

WITHOUT_TRUTH = {'type': 'NoisyPicturesDataset', 'dataroot_lq': 'pictures'}


def drawn_training(random: Random, name: str = 'drawn') -> dict:
    """Options of four iterations, with a checkpoint after each, that no check refuses."""
    options = training(name)
    options['train'] |= {key: random.choice(values) for key, values in TRAIN.items()} | {'total_iter': 4}
    options['datasets']['train'].update(dataset_enlarge_ratio=random.choice([1, 10]))
    random.choice([lambda options: None, pair_up, mix])(options)
    options['datasets']['train']['num_worker_per_gpu'] = random.choice([0, 0, 1])
    options['logger'].update(print_freq=1, save_checkpoint_freq=1, use_tb_logger=False)
    options['val'].update(val_freq=2, energy=0)
    options['manual_seed'] = random.choice([0, 7, None])
    options['network_g'] = dict(random.choice(NETWORKS))
    distill = random.choice(DISTILLATIONS)
    spiking = options['network_g']['type'] == 'SpikerIR'
    if distill and (spiking or 'hints' not in distill and 'tails' not in distill):
        options.update(model_type='ANNSNNDistillModel', distill=distill)
    if not spiking or options['train']['tandem']:
        options['train']['rate_opt'] = None
    if not spiking:
        options['train'].update(tandem=None, every_step=False)
    return options


def pair_up(options: dict) -> None:
    """Let a training read pictures by BasicSR's own dataset, which crops and flips by Python's generator."""
    options['datasets']['train'] = _of_any_set(options) | PAIRS
    options['scale'] = 1


def mix(options: dict, *more: dict) -> None:
    """Let a training read pictures by all data sets at once, made of those in ``pictures``."""
    for folder in ('rainy', 'pairs'):
        Path(folder).mkdir()
    for file in Path('pictures').iterdir():
        dry = cv2.imread(str(file))
        streaks = dry.mean(axis=(1, 2), keepdims=True).astype(np.uint8)
        cv2.imwrite(f'rainy/{file.name}', np.maximum(dry, streaks))
        for mark in ('mean', 'real'):
            shutil.copy(file, f'pairs/{file.stem}_{mark}.png')
    options['datasets']['train'] = _of_any_set(options) | {'type': 'MixedDataset', 'sets': [*map(dict, SETS), *more]}
    options['scale'] = 1


def _of_any_set(options: dict) -> dict:
    """What the block of the training set says whatever its type."""
    kept = ('name', 'gt_size', 'batch_size_per_gpu', 'num_worker_per_gpu', 'dataset_enlarge_ratio')
    return {key: options['datasets']['train'][key] for key in kept}


def types_in(tried: Any) -> set[str]:
    """All values of ``type`` in nested blocks."""
    blocks = tried.values() if isinstance(tried, dict) else tried if isinstance(tried, list) else ()
    here = {tried['type']} if isinstance(tried, dict) and 'type' in tried else set()
    return here.union(*map(types_in, blocks))


def assert_resumes_exactly(options: dict, at: int = 2) -> None:
    """Train, forget all that came after the checkpoint ``at``, as a kill does, resume, and compare all that is kept."""
    train(options)
    folder = Path('experiments', options['name'])
    whole = everything_saved(folder, options['train']['total_iter'])
    forget_after(folder, at)
    train(options, '--auto_resume')
    assert everything_saved(folder, options['train']['total_iter']) == whole


def forget_after(folder: Path, iteration: int) -> None:
    """Delete the checkpoints after an iteration."""
    for file in [*folder.glob('models/*.pth'), *folder.glob('training_states/*.state')]:
        number = file.stem.rpartition('_')[2]
        if number == 'latest' or int(number) > iteration:
            file.unlink()


def everything_saved(folder: Path, iteration: int) -> dict[str, Any]:
    """Contents of a checkpoint by file, in a form that ``==`` compares bit for bit."""
    files = [*folder.glob(f'models/*_{iteration}.pth'), folder / f'training_states/{iteration}.state']
    return {file.name: _comparable(torch.load(file, weights_only=True)) for file in files}


def _comparable(content: Any) -> Any:
    if isinstance(content, Tensor):
        return content.dtype, content.shape, content.contiguous().numpy().tobytes()
    if isinstance(content, dict):
        return {key: _comparable(value) for key, value in content.items()}
    return [_comparable(value) for value in content] if isinstance(content, list | tuple) else content


def keep_copy(folder: Path, name: str) -> None:
    """Copy an experiment beside itself."""
    shutil.copytree(folder, folder.with_name(name))
