"""Option files, checked before anything runs: unknown keys refused with the near matches, missing keys named.

Blocks that build a class (network, loss, optimiser, dataset) are checked against that class, so a new one needs no
entry here. Option files of BasicSR's own models pass with their top level checked only: their blocks are not ours to
judge.
"""
from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from basicsr.utils.registry import (
    ARCH_REGISTRY,
    DATASET_REGISTRY,
    LOSS_REGISTRY,
    METRIC_REGISTRY,
    MODEL_REGISTRY,
    Registry,
)

from basicsr_snn.compat.options import OWN_FOLDERS
from basicsr_snn.data.gaussian_denoising_dataset import OPTION_KEYS, GaussianDenoisingDataset
from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.inference.contract import is_built_with_weights
from basicsr_snn.models.snn_model import SNNModel

TOP_KEYS = ('name', 'model_type', 'scale', 'num_gpu', 'manual_seed', 'datasets', 'path', 'train', 'val', 'logger',
            'dist_params', 'find_unused_parameters', 'distill')
LOADER_KEYS = ('name', 'type', 'io_backend', 'dataset_enlarge_ratio', 'num_worker_per_gpu', 'batch_size_per_gpu',
               'persistent_workers', 'pin_memory', 'prefetch_mode', 'num_prefetch_queue', 'phase', 'scale')
PARSED_KEYS = ('dist', 'rank', 'world_size', 'auto_resume', 'is_train', 'root_path')
"""Top-level keys that BasicSR's parser adds."""

PATH_KEYS = (*OWN_FOLDERS, 'pretrain_network_g', 'param_key_g', 'strict_load_g', 'resume_state',
             'ignore_resume_networks')
TRAIN_KEYS = ('ema_decay', 'grad_clip', 'optim_g', 'scheduler', 'total_iter', 'warmup_iter', 'pixel_opt',
              'perceptual_opt', 'fft_opt', 'rate_opt', 'micro_batches', 'amp', 'every_step', 'tandem')
VAL_KEYS = ('val_freq', 'save_img', 'suffix', 'pbar', 'metrics', 'tile', 'tile_pad', 'energy')
LOGGER_KEYS = ('print_freq', 'save_checkpoint_freq', 'use_tb_logger', 'wandb')
DISTILL_KEYS = ('teacher', 'teachers', 'hints', 'tails', 'output', 'schedule', 'until')
TEACHER_KEYS = ('name', 'network', 'path', 'param_key', 'trainable', 'optim', 'start_iter')
HINT_KEYS = ('name', 'of', 'teacher', 'student', 'loss', 'weight', 'time')
TANDEM_KEYS = ('every', 'groups')
READ_BY_THE_PARSER = {'name': str, 'num_gpu': int | str, 'datasets': Mapping, 'path': Mapping}
"""Keys without which BasicSR's parser breaks."""

SCHEDULE_KEYS = ('type', 'end_iter', 'end_weight')
NO_SINGLE_TERM = ('PerceptualLoss', 'SpikeRateLoss')
"""Losses that answer with two terms, or compare no two features."""
SCHEDULERS = {'MultiStepLR': ('milestones', 'gamma', 'restarts', 'restart_weights'),
              'MultiStepRestartLR': ('milestones', 'gamma', 'restarts', 'restart_weights'),
              'CosineAnnealingRestartLR': ('periods', 'restart_weights', 'eta_min')}


class OptionCheck:
    """Collects every mistake of one option file, so that the user sees all of them at once."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def keys(self, block: Any, where: str, allowed: Iterable[str], required: Iterable[str] = ()) -> bool:
        """Check the keys of a block; tell whether it is a block at all."""
        if not isinstance(block, Mapping):
            self.mistakes.append(f'{where} is {block!r}, but must be a block of keys.')
            return False
        allowed = tuple(allowed)
        for key in block:
            if key not in allowed:
                self.mistakes.append(f'{where} has an unknown key "{key}"; did you mean '
                                     f'{" or ".join(near_matches(key, allowed))}?')
        missing = [key for key in required if block.get(key) is None]
        if missing:
            self.mistakes.append(f'{where} lacks {", ".join(missing)}; add '
                                 f'{" and ".join(f"`{key}:`" for key in missing)}.')
        return True

    def choice(self, value: Any, where: str, allowed: Iterable[str]) -> bool:
        """Check a name against what is known."""
        allowed = tuple(allowed)
        if value in allowed:
            return True
        self.mistakes.append(f'{where} is "{value}", which is not known; did you mean '
                             f'{" or ".join(near_matches(value, allowed))}?')
        return False

    def built_by(self, block: Any, where: str, known: Mapping[str, Callable[..., Any]],
                 given: Iterable[str] = ()) -> None:
        """Check ``{type: NAME, ...}`` against the signature of the class ``NAME``, but for arguments ``given`` in
        code."""
        if not isinstance(block, Mapping) or 'type' not in block:
            self.mistakes.append(f'{where} must be a block with a `type:`, one of {", ".join(sorted(known))}.')
        elif self.choice(block['type'], f'{where}: type', known):
            parameters = inspect.signature(known[block['type']]).parameters.values()
            named = [p for p in parameters if p.kind is not p.VAR_KEYWORD and p.name not in given]
            takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
            self.keys(block, where, block if takes_any else ['type', *(p.name for p in named)],
                      [p.name for p in named if p.default is p.empty])

    def number(self, block: Any, where: str, key: str, lowest: float) -> None:
        """Check that ``block[key]``, where given, is a number of at least ``lowest``."""
        value = block.get(key) if isinstance(block, Mapping) else None
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < lowest):
            self.mistakes.append(f'{where}: {key} is {value!r}, but must be a number of at least {lowest:g}.')


def registered(registry: Registry) -> dict[str, Any]:
    """Names and classes of one of BasicSR's registries."""
    return {name: entry for name, entry in registry}  # noqa: C416 - dict() would look for keys() and subscripts


def check_options(options: Mapping[str, Any]) -> None:
    """Check the options of one training or test.

    Args:
        options: What an option file holds, parsed by BasicSR or not; a ``train:`` block makes it a training.

    Raises:
        UserError: One sentence a mistake, all of them.
    """
    check = OptionCheck()
    models, name = registered(MODEL_REGISTRY), options.get('model_type')
    if check.choice(name, 'model_type', models) and issubclass(models[name], SNNModel):
        _check_our_model(check, options, training='train' in options)
    else:
        check.keys(options, 'The option file', options, READ_BY_THE_PARSER)
    check.mistakes += [f'{key} is {options[key]!r}, which is of another kind than it must be; write {example}.'
                       for key, example in (('name', 'name: a_word'), ('num_gpu', 'num_gpu: auto'))
                       if options.get(key) is not None and not isinstance(options[key], READ_BY_THE_PARSER[key])]
    if isinstance(options.get('num_gpu'), int) and options['num_gpu'] > torch.cuda.device_count():
        check.mistakes.append(f'num_gpu is {options["num_gpu"]}, but this machine has {torch.cuda.device_count()} CUDA '
                              'devices; write num_gpu: auto.')
    if check.mistakes:
        raise UserError('\n'.join(check.mistakes))


def _check_our_model(check: OptionCheck, options: Mapping[str, Any], training: bool) -> None:
    networks = [key for key in options if key.startswith('network_')]
    check.keys(options, 'The option file', [*TOP_KEYS, *PARSED_KEYS, *networks],
               ['name', 'num_gpu', 'datasets', 'path', 'logger' if training else 'val'])
    check.built_by(options.get('network_g'), 'network_g', registered(ARCH_REGISTRY))
    if options.get('path') is not None:
        check.keys(options['path'], 'path', PATH_KEYS)
    _check_datasets(check, options.get('datasets'), training)
    if options.get('val') is not None:
        _check_validation(check, options['val'], training)
    if training:
        _check_training(check, options['train'])
        check.keys(options.get('logger'), 'logger', LOGGER_KEYS,
                   ('print_freq', 'save_checkpoint_freq', 'use_tb_logger'))
    if options['model_type'] == 'ANNSNNDistillModel':
        _check_distillation(check, options.get('distill'))
    elif 'distill' in options:
        check.mistakes.append(f'model_type {options["model_type"]} does not read the distill: block; write model_type: '
                              'ANNSNNDistillModel, or take the block out.')


def _check_datasets(check: OptionCheck, datasets: Any, training: bool) -> None:
    if not isinstance(datasets, Mapping) or not datasets:
        check.mistakes.append('datasets must hold at least one dataset, such as `test_1: {name: CBSD68, type: ...}`.')
        return
    phases = ('train', 'val') if training else ('test', 'val')
    for phase, block in datasets.items():
        where = f'datasets: {phase}'
        if phase.split('_')[0] not in phases:
            check.mistakes.append(f'{where} is no phase of a {"training" if training else "test"}; write '
                                  f'{" or ".join(phases)}, and {phases[1]}_2 for another.')
        elif check.keys(block, where, block, ('name', 'type')):
            if check.choice(block.get('type'), f'{where}: type', registered(DATASET_REGISTRY)) and \
                    block['type'] == GaussianDenoisingDataset.__name__:
                check.keys(block, where, [*LOADER_KEYS, *OPTION_KEYS])
            if phase == 'train':
                check.keys(block, where, block, ('batch_size_per_gpu', 'num_worker_per_gpu'))
                check.number(block, where, 'batch_size_per_gpu', 1)
                check.number(block, where, 'num_worker_per_gpu', 0)
    if training and 'train' not in datasets:
        check.mistakes.append('datasets lacks a train: block, and the option file has a train: block; add '
                              '`datasets: {train: ...}`.')


def _check_validation(check: OptionCheck, val: Any, training: bool) -> None:
    if not check.keys(val, 'val', VAL_KEYS, ('val_freq',) if training else ()):
        return
    for key in ('save_img', *(() if training else ('suffix',))):
        if key not in val:
            instead = 'save_img: false' if key == 'save_img' else 'suffix: ~'
            check.mistakes.append(f'val lacks {key}, which BasicSR reads; add `{instead}`.')
    for key, lowest in (('val_freq', 1), ('tile', 1), ('tile_pad', 0), ('energy', 0)):
        check.number(val, 'val', key, lowest)
    for name, metric in (val.get('metrics') or {}).items():
        check.built_by({k: v for k, v in metric.items() if k != 'better'} if isinstance(metric, Mapping) else metric,
                       f'val: metrics: {name}', registered(METRIC_REGISTRY), given=('img', 'img2'))


def _check_training(check: OptionCheck, train: Any) -> None:
    if not check.keys(train, 'train', TRAIN_KEYS, ('total_iter', 'optim_g', 'scheduler')):
        return
    for key, lowest in (('total_iter', 1), ('ema_decay', 0), ('grad_clip', 0), ('warmup_iter', -1),
                        ('micro_batches', 1)):
        check.number(train, 'train', key, lowest)
    if train.get('pixel_opt') is None and train.get('perceptual_opt') is None:
        check.mistakes.append('train has no image loss; add `pixel_opt: {type: L1Loss}`.')
    for key in ('pixel_opt', 'perceptual_opt', 'fft_opt', 'rate_opt'):
        if train.get(key) is not None:
            check.built_by(train[key], f'train: {key}', registered(LOSS_REGISTRY))
    if train.get('optim_g') is not None:
        _check_optimizer(check, train['optim_g'], 'train: optim_g')
    if train.get('tandem') is not None:
        check.keys(train['tandem'], 'train: tandem', TANDEM_KEYS, TANDEM_KEYS)
        if train.get('rate_opt') is not None:
            check.mistakes.append('train has both tandem and rate_opt, but a layer that does not spike yet has no '
                                  'rate; take one out.')
    scheduler = train.get('scheduler')
    if isinstance(scheduler, Mapping) and check.choice(scheduler.get('type'), 'train: scheduler: type', SCHEDULERS):
        check.keys(scheduler, 'train: scheduler', ['type', *SCHEDULERS[scheduler['type']]])
        _check_periods(check, train, scheduler)


def _check_optimizer(check: OptionCheck, options: Any, where: str) -> None:
    optimizers = {name: kind for name, kind in vars(torch.optim).items() if inspect.isclass(kind)}
    check.built_by(options, where, optimizers, given=('params',))
    check.number(options, where, 'lr', 0)


def _check_periods(check: OptionCheck, train: Mapping[str, Any], scheduler: Mapping[str, Any]) -> None:
    periods, total = scheduler.get('periods'), train.get('total_iter')
    if isinstance(periods, list) and isinstance(total, int | float) and sum(periods) < total:
        check.mistakes.append(f'train: scheduler: periods {periods} end before total_iter {total}, where BasicSR '
                              f'fails; write periods: [{total}].')


def _check_distillation(check: OptionCheck, distill: Any) -> None:
    several = isinstance(distill, Mapping) and distill.get('teachers') is not None
    if not check.keys(distill, 'distill', DISTILL_KEYS, () if several else ('teacher',)):
        return
    losses = {name: kind for name, kind in registered(LOSS_REGISTRY).items() if name not in NO_SINGLE_TERM}
    if distill.get('teacher') is not None:
        _check_teacher(check, distill['teacher'], 'distill: teacher')
    for index, teacher in enumerate(distill.get('teachers') or []):
        _check_teacher(check, teacher, f'distill: teachers: {index}')
        if isinstance(teacher, Mapping) and teacher.get('trainable'):
            check.mistakes.append(f'distill: teachers: {index} is trainable, but a twin stands alone; write it as '
                                  '`teacher:`, or take `trainable` out.')
    for kind in ('hints', 'tails'):
        for index, hint in enumerate(distill.get(kind) or []):
            where = f'distill: {kind}: {index}'
            if check.keys(hint, where, HINT_KEYS, ('name', 'teacher', 'student')):
                check.number(hint, where, 'weight', 0)
                if hint.get('loss') is not None:
                    check.built_by(hint['loss'], f'{where}: loss', losses)
    if distill.get('output') is not None:
        check.built_by(distill['output'], 'distill: output', losses)
    check.number(distill, 'distill', 'until', 1)
    if distill.get('schedule') is not None:
        check.keys(distill['schedule'], 'distill: schedule', SCHEDULE_KEYS)


def _check_teacher(check: OptionCheck, teacher: Any, where: str) -> None:
    archs = registered(ARCH_REGISTRY)
    required = ('network',) if _needs_no_path(teacher, archs) else ('network', 'path')
    if check.keys(teacher, where, TEACHER_KEYS, required):
        check.built_by(teacher.get('network'), f'{where}: network', archs)
        if teacher.get('optim') is not None:
            _check_optimizer(check, teacher['optim'], f'{where}: optim')
        check.number(teacher, where, 'start_iter', 0)


def _needs_no_path(teacher: Any, archs: Mapping[str, Any]) -> bool:
    """Whether a teacher is trained here, or built with its weights."""
    if not isinstance(teacher, Mapping):
        return False
    network = teacher.get('network')
    arch = archs.get(network.get('type')) if isinstance(network, Mapping) else None
    return bool(teacher.get('trainable')) or is_built_with_weights(arch)
