"""Option files, checked before anything runs: unknown keys refused with the near matches, wrong values explained.

Types and keys are declared in :mod:`basicsr_snn.pipeline.option_blocks`; here is what hangs on several keys together.
Option files of other models: :mod:`basicsr_snn.pipeline.other_models`.
"""
from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sized
from typing import Any

import msgspec
import torch
from basicsr.utils.registry import MODEL_REGISTRY

from basicsr_snn.data.mixed_dataset import MixedDataset, each_set
from basicsr_snn.data.noisy_pictures_dataset import NoisyPicturesDataset
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import is_built_with_weights
from basicsr_snn.models.snn_model import SNNModel
from basicsr_snn.pipeline.block_check import BlockCheck
from basicsr_snn.pipeline.option_blocks import OptionFile
from basicsr_snn.pipeline.option_blocks.built import block_of, known, registered
from basicsr_snn.pipeline.option_blocks.wording import shown
from basicsr_snn.pipeline.other_models import check_other_model

PATHS = ('dataroot', 'meta_info', 'pretrain_', 'resume_state', 'path', 'load_path', 'vgg_path')
"""How keys begin whose values are paths."""

LONGEST_PATH, LONGEST_NAME = 4000, 255
"""Bytes of a path and of a name in it, on Linux."""

MOST_STEPS = 1000

LARGEST_OF_DATASETS = {'batch_size_per_gpu': 100_000, 'num_worker_per_gpu': 256, 'dataset_enlarge_ratio': 100_000,
                       'num_prefetch_queue': 1000, 'repeat': 100_000, 'gt_size': 100_000, 'noise_seed': 4_000_000_000}
"""Beyond these a machine runs out of memory or processes before the first iteration."""


def check_options(options: Mapping[str, Any], reads_datasets: bool = True, parsed: bool = False) -> None:
    """Check the options of one training or test.

    Args:
        options: What an option file holds; a ``train:`` block makes it a training.
        reads_datasets: Whether the datasets will be read; else only the network is wanted, for other pictures.
        parsed: Whether BasicSR's parser has added its keys, after a first check.

    Raises:
        UserError: One sentence a mistake, all of them.
    """
    check = BlockCheck(parsed)
    models = registered(MODEL_REGISTRY)
    name: Any = options.get('model_type')
    if check.choice(name, 'model_type', models) and issubclass(models[name], SNNModel):
        _check_our_model(check, options)
        _check_steps(check, options)
        if reads_datasets:
            _check_channels(check, options)
            _check_factor(check, options)
    else:
        check_other_model(check, options, models.get(str(name)))
    if reads_datasets:
        _check_pairs(check, options)
    _check_phases(check, options.get('datasets'))
    _check_dataset_names(check, options.get('datasets'))
    _check_truth(check, options)
    if not check.mistakes:
        _check_paths(check, options)
    if isinstance(options.get('num_gpu'), int) and options['num_gpu'] > torch.cuda.device_count():
        check.mistakes.append(f'num_gpu is {options["num_gpu"]}, but this machine has {torch.cuda.device_count()} CUDA '
                              'devices; write num_gpu: auto.')
    if check.mistakes:
        raise UserError('\n'.join(check.mistakes))


def _check_truth(check: BlockCheck, options: Mapping[str, Any]) -> None:
    """Pictures without a truth need a teacher, to the end of the training."""
    named = options.get('datasets')
    training = {'train': named['train']} if isinstance(named, Mapping) and 'train' in named else {}
    places = [place for place, block in _with_mixed_in(training) if block.get('type') == NoisyPicturesDataset.__name__]
    distill = options.get('distill')
    distill = distill if isinstance(distill, Mapping) else {}
    until, every, teacher = distill.get('until'), distill.get('every', 1), distill.get('teacher')
    if places and options.get('model_type') != 'ANNSNNDistillModel':
        check.mistakes.append(f'datasets: {places[0]} is a NoisyPicturesDataset, whose pictures only a teacher can '
                              'teach; write model_type: ANNSNNDistillModel with a distill: block, or take it out.')
    elif places and until is not None:
        check.mistakes.append(f'distill: until is {until}, but nothing teaches the pictures of datasets: {places[0]}, '
                              'a NoisyPicturesDataset, from there on; take `until` out.')
    elif places and every != 1:
        check.mistakes.append(f'distill: every is {every}, but nothing teaches the pictures of datasets: {places[0]}, '
                              'a NoisyPicturesDataset, in the steps between; take `every` out.')
    elif places and isinstance(teacher, Mapping) and teacher.get('trainable'):
        check.mistakes.append(f'distill: teacher: trainable is true, but a twin that learns beside the student is no '
                              f'teacher of the pictures of datasets: {places[0]}, a NoisyPicturesDataset, whose truth '
                              'nobody knows; give a trained teacher.')


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


def _check_paths(check: BlockCheck, block: Any, where: str = '') -> None:
    """Every path of the file is one that the system can look for, and a home folder in it that of a user."""
    for key, value in block.items() if isinstance(block, Mapping) else enumerate(block):
        place = f'{where}: {key}' if where else str(key)
        if isinstance(value, Mapping | list):
            _check_paths(check, value, place)
        elif isinstance(value, str) and str(key).startswith(PATHS):
            if value.startswith('~') and os.path.expanduser(value) == value:
                check.mistakes.append(f'{place} is {shown(value)}, but there is no such home folder; write the path in '
                                      'full.')
            elif len(os.fsencode(value)) > LONGEST_PATH or any(len(os.fsencode(part)) > LONGEST_NAME
                                                               for part in value.split('/')):
                check.mistakes.append(f'{place} is {shown(value)}, which is longer than a path can be; write the path '
                                      'of a file or folder.')


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
    if isinstance(datasets.get('train'), Mapping) and training:
        check.required_keys(datasets['train'], 'datasets: train', ('batch_size_per_gpu', 'num_worker_per_gpu'))
    for place, block in _with_mixed_in(datasets):
        if block.get('type') == MixedDataset.__name__ and not place.startswith('train'):
            check.mistakes.append(f'datasets: {place} is a MixedDataset, which is for training; write a data set for '
                                  'each of its sets.')
        for key, most in LARGEST_OF_DATASETS.items():
            if isinstance(block.get(key), int | float) and block[key] > most:
                check.mistakes.append(f'datasets: {place}: {key} is {block[key]}, but must be at most {most:,d}.')
    if training and datasets and 'train' not in datasets:
        check.mistakes.append('datasets lacks a train: block, and the option file has a train: block; add '
                              '`datasets: {train: ...}`.')


def _check_phases(check: BlockCheck, datasets: Any) -> None:
    """BasicSR tells data sets apart by their keys, whatever the model is."""
    named = [str(phase) for phase in (datasets if isinstance(datasets, Mapping) else ())]
    training = any(phase.split('_')[0] == 'train' for phase in named)
    phases = ('train', 'val') if training else ('test', 'val')
    for phase in named:
        if training and phase.startswith('train_'):
            check.mistakes.append(f'datasets: {phase} is no phase of a training, which has one training set; write '
                                  'several into one, `train: {type: MixedDataset, sets: [...]}`.')
        elif phase.split('_')[0] not in phases or phase.startswith('train_'):
            check.mistakes.append(f'datasets: {phase} is no phase of a {"training" if training else "test"}; write '
                                  f'{" or ".join(phases)}, and {phases[1]}_2 for another.')


def _check_pairs(check: BlockCheck, options: Mapping[str, Any]) -> None:
    """BasicSR reads some keys of pairs without asking whether they are there."""
    for place, block in _with_mixed_in(options.get('datasets')):
        where = f'datasets: {place}'
        factor = options.get('scale', 1)
        if block.get('type') == 'SuperResolutionDataset' and factor == 1:
            check.mistakes.append(f'{where} is a SuperResolutionDataset, which reads scale; add `scale: 2` at the top '
                                  'of the option file.')
        if block.get('type') != 'PairedImageDataset':
            continue
        if 'scale' not in options:
            check.mistakes.append(f'{where} is a PairedImageDataset, which reads scale; add `scale: 1` at the top of '
                                  'the option file.')
        if place.startswith('train'):
            check.required_keys(block, where, ('gt_size', 'use_hflip', 'use_rot'))


def _check_channels(check: BlockCheck, options: Mapping[str, Any]) -> None:
    """Networks whose classes tell their channels have those of the pictures, which students and teachers share."""
    for where, network in _networks(options):
        declared = {field.name: field.default for field in msgspec.structs.fields(block_of('network', network['type']))}
        key = next((key for key in ('in_ch', 'in_nc') if key in declared), None)
        for place, block in _with_mixed_in(options.get('datasets')):
            channels, of_pictures = network.get(key, declared[key]) if key else 0, block.get('in_ch', 3)
            told = ': sets: ' not in place and 'in_ch' in block_of('dataset', str(block.get('type'))).__struct_fields__
            if told and key and isinstance(channels, int) and of_pictures in (1, 3) and channels != of_pictures:
                check.mistakes.append(f'{where}: {key} is {channels}, but datasets: {place} has in_ch: {of_pictures}; '
                                      f'write {key}: {of_pictures}.')


def _check_factor(check: BlockCheck, options: Mapping[str, Any]) -> None:
    """Networks whose classes tell by how much they enlarge have the factor of the pictures."""
    factor = options.get('scale', 1)
    for where, network in _networks(options):
        declared = {field.name: field.default for field in msgspec.structs.fields(block_of('network', network['type']))}
        own = network.get('scale', declared.get('scale'))
        if isinstance(own, int) and isinstance(factor, int) and own != factor:
            check.mistakes.append(f'{where}: scale is {own}, but that of the pictures, at the top of the option file, '
                                  f'is {factor}; write scale: {own} there, or scale: {factor} here.')


def _networks(options: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The student and its teachers, where their types are known."""
    distill = options.get('distill')
    distill = distill if isinstance(distill, Mapping) else {}
    several = distill.get('teachers')
    teachers = {'distill: teacher': distill.get('teacher')}
    teachers |= {f'distill: teachers: {index}': teacher
                 for index, teacher in enumerate(several if isinstance(several, list) else ())}
    named = {'network_g': options.get('network_g')}
    named |= {f'{where}: network': teacher.get('network') for where, teacher in teachers.items()
              if isinstance(teacher, Mapping)}
    return [(where, network) for where, network in named.items()
            if isinstance(network, Mapping) and str(network.get('type')) in known('network')]


def _check_steps(check: BlockCheck, options: Mapping[str, Any]) -> None:
    """Time steps cost time each, also in the check; a network of more than a thousand is a slip of the keyboard."""
    for where, network in _networks(options):
        steps = network.get('T')
        if isinstance(steps, int) and steps > MOST_STEPS:
            check.mistakes.append(f'{where}: T is {steps}, but at most {MOST_STEPS} time steps are allowed; write '
                                  'T: 4.')


def _with_mixed_in(datasets: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All dataset blocks, each after its place; behind a ``MixedDataset`` its sets, with what stands beside them."""
    for place, block in datasets.items() if isinstance(datasets, Mapping) else ():
        if isinstance(block, Mapping):
            yield from each_set(str(place), block)


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
    spec = importlib.util.find_spec('wandb')
    if spec is None or spec.origin is None:  # a folder of runs is no package
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
        _check_lowest_rate(check, train['scheduler'].get('eta_min', 0), train.get('optim_g'))


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


def _check_lowest_rate(check: BlockCheck, lowest: Any, optimizer: Any) -> None:
    rate = optimizer.get('lr') if isinstance(optimizer, Mapping) else None
    if _are_numbers([lowest, rate]) and lowest > rate:
        check.mistakes.append(f'train: scheduler: eta_min is {lowest}, but the learning rate falls to it from optim_g: '
                              f'lr: {rate}; write eta_min: 0.')


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
