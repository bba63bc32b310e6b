"""Trainings of a few iterations and readers of results, shared by tests; trainings run in the fixture ``work``."""
from __future__ import annotations

import copy
import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import torch
import yaml
from basicsr.data import build_dataloader
from basicsr.models import build_model

import basicsr_snn.train
from basicsr_snn.data.draws import DrawSampler
from basicsr_snn.models.snn_model import SNNModel

TEACHER = {'type': 'DnCNN', 'in_nc': 3, 'out_nc': 3, 'nc': 8, 'nb': 3}


def training(name: str = 'tiny', **changes) -> dict:
    """Options of a training of a few iterations; ``changes`` replace top-level blocks."""
    dataset = {'name': 'P', 'type': 'GaussianDenoisingDataset', 'dataroot_gt': 'pictures', 'sigma': 25}
    options = {
        'name': name, 'model_type': 'SNNModel', 'num_gpu': 0, 'manual_seed': 0,
        'datasets': {'train': {**dataset, 'gt_size': 16, 'batch_size_per_gpu': 2, 'num_worker_per_gpu': 0,
                               'dataset_enlarge_ratio': 10},
                     'val': {**dataset, 'name': 'V'}},
        'network_g': {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'norm': 'bn'},
        'path': {'pretrain_network_g': None, 'resume_state': None},
        'train': {'ema_decay': 0.5, 'grad_clip': 1.0, 'optim_g': {'type': 'AdamW', 'lr': 0.01, 'weight_decay': 0.1},
                  'scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [8], 'restart_weights': [1],
                                'eta_min': 0.0},
                  'total_iter': 4, 'warmup_iter': 2, 'pixel_opt': {'type': 'L1Loss'},
                  'fft_opt': {'type': 'FFTLoss', 'loss_weight': 0.1}},
        'val': {'val_freq': 4, 'save_img': False, 'suffix': None,
                'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 0}}},
        'logger': {'print_freq': 2, 'save_checkpoint_freq': 2, 'use_tb_logger': True},
    }
    return {**options, **changes}


def distilling(name: str = 'distilled', **changes) -> dict:
    """The same with a teacher, a hint and the teacher's output."""
    distill = {'teacher': {'network': dict(TEACHER), 'path': 'teacher.pth'},
               'hints': [{'name': 'dec', 'teacher': 'model.2', 'student': 'decoder.0', 'weight': 0.1}],
               'output': {'type': 'L1Loss', 'loss_weight': 0.5}}
    return training(name, model_type='ANNSNNDistillModel', distill=distill, **changes)


def without_extras(options: dict) -> dict:
    """The same without TensorBoard and the count of operations, of which the time of a short training would consist."""
    return set_values(options, {'logger.use_tb_logger': False, 'val.energy': 0}, '.')


def repeating(options: dict, total_iter: int) -> dict:
    """The same with every crop made the same, the whole first picture without noise, for ``total_iter`` iterations.

    The data order restarts on resuming, and so makes no difference. Needs a square ``pictures/0.png``.
    """
    for dataset in options['datasets'].values():
        dataset['sigma'] = 0
    options['datasets']['train'].update(subset=[0, 1], gt_size=36, use_hflip=False, use_rot=False)
    options['train']['total_iter'] = total_iter
    return options


def make_first_picture_square() -> None:
    cv2.imwrite('pictures/0.png', cv2.imread('pictures/0.png')[:, :36])


def write(options: dict, file: str = 'options.yml') -> str:
    Path(file).write_text(yaml.safe_dump(options, sort_keys=False))
    return file


def train(options: dict, *arguments: str) -> None:
    basicsr_snn.train.main(['-opt', write(options), *arguments])


def log_of(name: str) -> str:
    return '\n'.join(file.read_text() for file in sorted(Path('experiments', name).glob('*.log')))


def checkpoint(name: str, file: str) -> dict:
    return torch.load(Path('experiments', name, 'models', file), weights_only=True)


def built(options: dict) -> SNNModel:
    """The model, without the pipeline around it."""
    options = copy.deepcopy(options)
    return build_model({**options, 'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1})


def batch(size: int = 16) -> dict:
    torch.manual_seed(7)
    gt = torch.rand(2, 3, size, size)
    return {'lq': gt + 0.1 * torch.randn_like(gt), 'gt': gt, 'sigma': torch.full((2,), 25.0)}


def read_batches(dataset: Any, options: dict, sampler: DrawSampler, epochs: Iterable[int]) -> list[dict]:
    """The batches of one process, from BasicSR's loader."""
    loader = build_dataloader(dataset, options, num_gpu=0, sampler=sampler, seed=7)
    seen = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        seen += list(loader)
    return seen


def read_csv(file):
    with file.open() as text:
        return list(csv.DictReader(text))


def set_values(options: dict, values: dict[str, Any], between: str) -> dict:
    """Options with other values, in place; their keys are paths whose parts ``between`` joins."""
    for path, value in values.items():
        block = options
        *parents, key = path.split(between)
        for parent in parents:
            block = block[int(parent) if isinstance(block, list) else parent]
        block[int(key) if isinstance(block, list) else key] = value
    return options
