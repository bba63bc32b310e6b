"""Option files, checked before anything runs: unknown keys refused with the near matches, wrong values explained.

Types and keys are declared in :mod:`basicsr_snn.pipeline.option_blocks`; here is what hangs on several keys together.
Option files of BasicSR's own models pass with their top level checked only: their blocks are not ours to judge, but
for the ``train:`` block of ``SRModel``, whose keys are known.
"""
from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sized
from typing import Any

import msgspec
import torch
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import MODEL_REGISTRY

from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import is_built_with_weights
from basicsr_snn.models.snn_model import SNNModel
from basicsr_snn.pipeline.block_check import BlockCheck
from basicsr_snn.pipeline.option_blocks import OptionFile
from basicsr_snn.pipeline.option_blocks.built import block_of, known, registered
from basicsr_snn.pipeline.option_blocks.datasets import GaussianDenoisingDataset
from basicsr_snn.pipeline.option_blocks.training import StockTrain

READ_BY_THE_PARSER = ('name', 'num_gpu', 'datasets', 'path')
"""Keys without which BasicSR's parser breaks."""


def check_options(options: Mapping[str, Any], reads_datasets: bool = True) -> None:
    """Check the options of one training or test.

    Args:
        options: What an option file holds, parsed by BasicSR or not; a ``train:`` block makes it a training.
        reads_datasets: Whether the datasets will be read; else only the network is wanted, for other pictures.

    Raises:
        UserError: One sentence a mistake, all of them.
    """
    check = BlockCheck()
    models = registered(MODEL_REGISTRY)
    name: Any = options.get('model_type')
    if check.choice(name, 'model_type', models) and issubclass(models[name], SNNModel):
        _check_our_model(check, options)
        if reads_datasets:
            _check_pairs(check, options)
            _check_channels(check, options)
    else:
        _check_other_model(check, options)
    _check_dataset_names(check, options.get('datasets'))
    if isinstance(options.get('num_gpu'), int) and options['num_gpu'] > torch.cuda.device_count():
        check.mistakes.append(f'num_gpu is {options["num_gpu"]}, but this machine has {torch.cuda.device_count()} CUDA '
                              'devices; write num_gpu: auto.')
    if check.mistakes:
        raise UserError('\n'.join(check.mistakes))


def _check_dataset_names(check: BlockCheck, datasets: Any) -> None:
    """Scores and saved pictures are kept by the names of the data sets of a validation or test."""
    phases: dict[str, str] = {}
    for phase, block in (datasets.items() if isinstance(datasets, Mapping) else ()):
        if str(phase).startswith('train') or not isinstance(block, Mapping) or 'name' not in block:
            continue
        other = phases.setdefault(str(block['name']), phase)
        if other != phase:
            check.mistakes.append(f'datasets: {other} and {phase} are both named {block["name"]}, but scores and saved '
                                  f'pictures are kept by name; write for example `name: {block["name"]}_{phase}`.')


def _check_other_model(check: BlockCheck, options: Mapping[str, Any]) -> None:
    check.required_keys(options, 'The option file', READ_BY_THE_PARSER)
    declared = {field.name: field for field in msgspec.structs.fields(OptionFile)}
    for key in ('name', 'num_gpu', 'manual_seed', 'max_megapixels'):
        if options.get(key) is not None:
            check.value(options[key], declared[key].type, key, options)
    for key in ('datasets', 'path'):
        if options.get(key) is not None and not isinstance(options[key], Mapping):
            check.mistakes.append(f'{key} is {options[key]!r}, but must be a block of keys.')
    if options.get('model_type') == SRModel.__name__ and 'train' in options:
        check.block(options['train'], StockTrain, 'train')


def _check_our_model(check: BlockCheck, options: Mapping[str, Any]) -> None:
    training = 'train' in options
    check.block(options, OptionFile, also=[key for key in options if str(key).startswith('network_')])
    check.required_keys(options, 'The option file', ['train', 'logger'] if training else ['val'])
    _check_datasets(check, options.get('datasets'), training)
    if isinstance(options.get('val'), Mapping):
        _check_validation(check, options['val'], training)
    if isinstance(options.get('train'), Mapping):
        _check_training(check, options['train'])
    if isinstance(options.get('logger'), Mapping):
        _check_wandb(check, options['logger'])
    if options['model_type'] == 'ANNSNNDistillModel':
        _check_distillation(check, options.get('distill'))
    elif 'distill' in options:
        check.mistakes.append(f'model_type {options["model_type"]} does not read the distill: block; write model_type: '
                              'ANNSNNDistillModel, or take the block out.')


def _check_datasets(check: BlockCheck, datasets: Any, training: bool) -> None:
    if not isinstance(datasets, Mapping):
        return
    if not datasets:
        check.mistakes.append('datasets must hold at least one dataset, such as `test_1: {name: CBSD68, type: ...}`.')
    phases = ('train', 'val') if training else ('test', 'val')
    for phase, block in datasets.items():
        where = f'datasets: {phase}'
        if str(phase).split('_')[0] not in phases or str(phase).startswith('train_'):
            check.mistakes.append(f'{where} is no phase of a {"training" if training else "test"}; write '
                                  f'{" or ".join(phases)}, and {phases[1]}_2 for another.')
        elif phase == 'train' and isinstance(block, Mapping):
            check.required_keys(block, where, ('batch_size_per_gpu', 'num_worker_per_gpu'))
    if training and datasets and 'train' not in datasets:
        check.mistakes.append('datasets lacks a train: block, and the option file has a train: block; add '
                              '`datasets: {train: ...}`.')


def _check_pairs(check: BlockCheck, options: Mapping[str, Any]) -> None:
    """BasicSR reads some keys of pairs without asking whether they are there."""
    for phase, block in _datasets(options, 'PairedImageDataset'):
        where = f'datasets: {phase}'
        if 'scale' not in options:
            check.mistakes.append(f'{where} is a PairedImageDataset, which reads scale; add `scale: 1` at the top of '
                                  'the option file.')
        if phase == 'train':
            check.required_keys(block, where, ('gt_size', 'use_hflip', 'use_rot'))


def _check_channels(check: BlockCheck, options: Mapping[str, Any]) -> None:
    """A network whose class tells its channels has those of the pictures."""
    network = options.get('network_g')
    if not isinstance(network, Mapping) or str(network.get('type')) not in known('network'):
        return
    declared = {field.name: field.default for field in msgspec.structs.fields(block_of('network', network['type']))}
    key = next((key for key in ('in_ch', 'in_nc') if key in declared), None)
    if key is None:
        return
    channels = network.get(key, declared[key])
    for phase, block in _datasets(options, GaussianDenoisingDataset.__name__):
        of_pictures = block.get('in_ch', 3)
        if channels in (1, 3) and of_pictures in (1, 3) and channels != of_pictures:
            check.mistakes.append(f'network_g: {key} is {channels}, but datasets: {phase} has in_ch: {of_pictures}; '
                                  f'write {key}: {of_pictures}.')


def _datasets(options: Mapping[str, Any], kind: str) -> list[tuple[str, Mapping[str, Any]]]:
    datasets = options.get('datasets')
    return [(str(phase), block) for phase, block in (datasets.items() if isinstance(datasets, Mapping) else ())
            if isinstance(block, Mapping) and block.get('type') == kind]


def _check_validation(check: BlockCheck, val: Mapping[str, Any], training: bool) -> None:
    if training:
        check.required_keys(val, 'val', ('val_freq',))
    for key in ('save_img', *(() if training else ('suffix',))):
        if key not in val:
            instead = 'save_img: false' if key == 'save_img' else 'suffix: ~'
            check.mistakes.append(f'val lacks {key}, which BasicSR reads; add `{instead}`.')


def _check_wandb(check: BlockCheck, logger: Mapping[str, Any]) -> None:
    """A project at Weights & Biases copies the log of TensorBoard, by a package that is not required."""
    wandb = logger.get('wandb')
    if not isinstance(wandb, Mapping) or wandb.get('project') is None:
        return
    if logger.get('use_tb_logger') is False:
        check.mistakes.append('logger: wandb has a project, but use_tb_logger is false, and it is the log of '
                              'TensorBoard that is copied there; write use_tb_logger: true.')
    if importlib.util.find_spec('wandb') is None:
        check.mistakes.append('logger: wandb has a project, but the package wandb is not installed; type pip install '
                              'wandb, or write project: ~.')


def _check_training(check: BlockCheck, train: Mapping[str, Any]) -> None:
    if train.get('pixel_opt') is None and train.get('perceptual_opt') is None:
        check.mistakes.append('train has no image loss; add `pixel_opt: {type: L1Loss}`.')
    if train.get('tandem') is not None and train.get('rate_opt') is not None:
        check.mistakes.append('train has both tandem and rate_opt, but a layer that does not spike yet has no rate; '
                              'take one out.')
    if isinstance(train.get('scheduler'), Mapping):
        _check_scheduler(check, train['scheduler'], train.get('total_iter'))


def _check_scheduler(check: BlockCheck, scheduler: Mapping[str, Any], total: Any) -> None:
    periods: Any = scheduler.get('periods')
    if _are_numbers(periods) and _are_numbers([total]) and sum(periods) < total:
        check.mistakes.append(f'train: scheduler: periods {periods} end before total_iter {total}, where BasicSR '
                              f'fails; write periods: [{total}].')
    counted = 'periods' if periods is not None else 'restarts'
    one_each, weights = scheduler.get(counted, (0,)), scheduler.get('restart_weights', (1,))
    if isinstance(one_each, Sized) and isinstance(weights, Sized) and len(one_each) != len(weights):
        check.mistakes.append(f'train: scheduler has {len(one_each)} {counted} and {len(weights)} restart_weights; '
                              f'write restart_weights: {[1] * len(one_each)}, one for each.')


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, int | float) for value in values)


def _check_distillation(check: BlockCheck, distill: Any) -> None:
    if not isinstance(distill, Mapping):
        if distill is None:
            check.mistakes.append('distill is None, but must be a block of keys.')
        return
    teachers = distill.get('teachers')
    if teachers is None:
        check.required_keys(distill, 'distill', ('teacher',))
    for index, teacher in enumerate(teachers if isinstance(teachers, list) else []):
        _check_teacher(check, teacher, f'distill: teachers: {index}')
        if isinstance(teacher, Mapping) and teacher.get('trainable'):
            check.mistakes.append(f'distill: teachers: {index} is trainable, but a twin stands alone; write it as '
                                  '`teacher:`, or take `trainable` out.')
    _check_teacher(check, distill.get('teacher'), 'distill: teacher')


def _check_teacher(check: BlockCheck, teacher: Any, where: str) -> None:
    """A teacher needs a weight file, unless it is trained here, or built with its weights."""
    if isinstance(teacher, Mapping) and not teacher.get('trainable'):
        network = teacher.get('network')
        arch = known('network').get(str(network.get('type'))) if isinstance(network, Mapping) else None
        if not is_built_with_weights(arch):
            check.required_keys(teacher, where, ('path',))
