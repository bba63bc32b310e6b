"""Repairs of resuming: the newest whole checkpoint, on any device, and what the option file says from there on.

A checkpoint brings back what was learnt: weights, moments of the optimiser, what losses remember, the best metrics.
What stands in the option file comes from there: learning rate and its course, weight decay, lengths. What cannot take
effect on a checkpoint is refused, with how to begin from its weights instead.
"""
from __future__ import annotations

import inspect
import itertools
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from basicsr_snn.compat.checkpoints import optimizer_types, remembered_by_losses
from basicsr_snn.compat.distributed import on_first_process
from basicsr_snn.compat.replacing import module, replaces
from basicsr_snn.errors import UserError, first_line
from basicsr_snn.finite import what_is_broken
from basicsr_snn.weight_files.checksum import zip_is_as_written
from basicsr_snn.weight_files.declared_size import check_declared_size

ENTRIES = {'epoch': int, 'iter': int, 'optimizers': list, 'schedulers': list}
"""What every state holds."""


class DrawnSeed(int):
    """A ``manual_seed`` that no option file gives; a resume takes that of the checkpoint."""


def agree_on_drawn_seed(opt: dict[str, Any]) -> None:
    """Mark the ``manual_seed`` that BasicSR's parser has drawn, that of process 0 for all."""
    _set_seed(opt, DrawnSeed(on_first_process(opt, lambda: opt['manual_seed'])))


def _set_seed(opt: dict[str, Any], seed: int) -> None:
    opt['manual_seed'] = seed
    module('basicsr.utils').set_random_seed(seed + opt['rank'])


@replaces('load_resume_state', 'basicsr.train')
def resume_without_cuda(upstream: Callable[..., Any], opt: dict[str, Any]) -> dict[str, Any] | None:
    """Resuming asked CUDA for its device, looked under the current folder and died on a broken newest file.

    ``--auto_resume`` takes the newest whole checkpoint of the experiment, and ``path: resume_state`` where it has none.
    """
    named = opt['path'].get('resume_state')
    state = _newest_whole_state(opt) if opt['auto_resume'] else None
    if state is not None and named and Path(named).resolve() != Path(opt['path']['resume_state']).resolve():
        _tell(f'--auto_resume goes on from {opt["path"]["resume_state"]}, the newest checkpoint of this experiment, '
              f'and not from path: resume_state, {named}; leave --auto_resume out to take that.')
    if state is None and named:
        state = _named_state(opt, Path(named))
    if state is not None and isinstance(opt.get('manual_seed'), DrawnSeed) and state.get('manual_seed') is not None:
        _set_seed(opt, state['manual_seed'])
    return state


def _tell(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=3)  # not by the logger: it would miss its file if it were made this early


def _named_state(opt: dict[str, Any], file: Path) -> dict[str, Any]:
    try:
        state = read_checkpoint(opt, file)
    except Exception as error:
        raise UserError(f'path: resume_state is {file}, which cannot be resumed ({_told_by(error)}); allowed is a '
                        f'whole <iteration>.state whose networks lie in {opt["path"]["models"]}: name one, or take '
                        'resume_state out.') from error
    later = [other.name for other in file.parent.glob('*.state') if _iteration_of(other) > state['iter']]
    if later:
        _tell(f'Later checkpoints than {file.name} are kept ({", ".join(sorted(later))}): until the training has '
              'passed them, --auto_resume would go on from those.')
    return state


def _newest_whole_state(opt: dict[str, Any]) -> dict[str, Any] | None:
    folder = Path(opt['path']['training_states'])
    files = sorted((file for file in folder.glob('*.state') if file.stem.isdigit()), key=_iteration_of, reverse=True)
    for file in files:
        try:
            return read_checkpoint(opt, file)
        except Exception as error:
            _tell(f'Checkpoint {file.stem} in {folder} is broken ({_told_by(error)}); trying an older one.')
    if files:
        raise UserError(f'--auto_resume found {len(files)} checkpoints in {folder}, but a whole one is needed; restore '
                        'one, or leave --auto_resume out to start anew (the folder is kept under another name).')
    if Path(opt['path']['models']).is_dir():
        _tell(f'--auto_resume found no checkpoint in {folder}: the training begins anew, and the earlier one is kept '
              'under another name. Checkpoints are saved every logger: save_checkpoint_freq iterations.')
    return None


def _iteration_of(file: Path) -> int:
    return int(file.stem) if file.stem.isdigit() else -1


def read_checkpoint(opt: dict[str, Any], file: Path) -> dict[str, Any]:
    """Read the state ``file`` and prove that its networks are there, load and are finite, before ``opt`` is changed.

    On the CPU, always: ``Optimizer.load_state_dict`` moves each tensor to its parameter's device.

    Raises:
        ValueError: The set of files is not complete, or not finite.
        Exception: Whatever reading one of them raises.
    """
    state = _read(file)
    wrong = [key for key, kind in ENTRIES.items() if not isinstance(state.get(key), kind)]
    if wrong:
        raise ValueError(f'{file.name} lacks {", ".join(wrong)}')
    _require_finite(file.name, state)
    models = Path(opt['path']['models'])
    networks = {models / name for name in state.get('networks', ())} | set(models.glob(f'net_*_{state["iter"]}.pth'))
    ignored = opt['path'].get('ignore_resume_networks') or ()
    if 'network_g' in opt and 'network_g' not in ignored:
        networks.add(models / f'net_g_{state["iter"]}.pth')
    for network in sorted(networks):
        content = _read(network)
        if not content.get('params'):
            raise ValueError(f'{network.name} lacks params')
        _require_finite(network.name, content)
    opt['path']['resume_state'] = str(file)
    module('basicsr.utils').check_resume(opt, state['iter'])
    _take_networks_whole(opt['path'])
    return state


def _read(file: Path) -> Any:
    check_declared_size(file)
    if not zip_is_as_written(file):
        raise ValueError(f'{file.name} was damaged since it was written')
    return torch.load(file, map_location='cpu', weights_only=True)


def _require_finite(name: str, content: Any) -> None:
    if told := what_is_broken(content, name):
        raise ValueError(told)


def _take_networks_whole(path: dict[str, Any]) -> None:
    """An entry or a looseness that the file wants for other weights would take the average, or a part, of these."""
    for key in path:
        if key.startswith('param_key'):
            path[key] = 'params'
        elif key.startswith('strict_load'):
            path[key] = True


def _told_by(error: Exception) -> str:
    return f'{type(error).__name__}: {first_line(error)}'


@replaces('resume_training', 'basicsr.models.base_model:BaseModel')
def resume_as_the_file_says(upstream: Callable[..., None], model: Any, resume_state: dict[str, Any]) -> None:
    """Learning rate, weight decay and schedule of a checkpoint silently beat those of the option file."""
    _refuse_what_cannot_take_effect(model, resume_state)
    optimizers = [_with_options_of(optimizer, saved)
                  for optimizer, saved in zip(model.optimizers, resume_state['optimizers'], strict=True)]
    fresh = [scheduler.state_dict() for scheduler in model.schedulers]
    upstream(model, {**resume_state, 'optimizers': optimizers, 'schedulers': fresh})
    _replay_learning_rate(model, resume_state['iter'])
    for name, buffer in remembered_by_losses(model).items():
        if name in resume_state.get('losses', {}):
            buffer.copy_(resume_state['losses'][name])
    _bring_back_best_metrics(model, resume_state.get('best_metric_results', {}))


def _with_options_of(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> dict[str, Any]:
    """The saved moments under the learning rate, weight decay and so on that the optimiser was built with."""
    groups = [{**{key: value for key, value in built.items() if key != 'params'}, 'params': group['params']}
              for built, group in zip(optimizer.param_groups, saved['param_groups'], strict=True)]
    return {'state': saved['state'], 'param_groups': groups}


def _replay_learning_rate(model: Any, iterations: int) -> None:
    """Let the learning rate run its course up to here: milestones and warm-up build on what was before."""
    warmup = (model.opt.get('train') or {}).get('warmup_iter', -1)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='.*lr_scheduler.step.*')  # no optimiser steps between them
        for iteration in range(1, iterations + 1):
            model.update_learning_rate(iteration, warmup_iter=warmup)


def _bring_back_best_metrics(model: Any, saved: Mapping[str, Any]) -> None:
    """Those of the metrics that the option file still has; a new metric begins without a best."""
    if not (model.opt.get('val') or {}).get('metrics'):
        return
    for dataset, of_dataset in saved.items():
        model._initialize_best_metric_results(dataset)
        for metric, best in model.best_metric_results[dataset].items():
            if metric in of_dataset and of_dataset[metric]['better'] == best['better']:
                best.update(of_dataset[metric])


def _refuse_what_cannot_take_effect(model: Any, state: Mapping[str, Any]) -> None:
    if problem := _problem_with(model, state):
        raise UserError(f'{problem}, {instead_of_resuming(model.opt, state["iter"])}')


def instead_of_resuming(opt: Mapping[str, Any], iteration: int) -> str:
    """The end of a sentence that refuses to resume: how to begin from the weights of that checkpoint."""
    weights = Path(opt['path'].get('models', 'models'), f'net_g_{iteration}.pth')
    shown = weights.relative_to(Path.cwd()) if weights.is_relative_to(Path.cwd()) else weights
    return ('or begin from its weights: leave --auto_resume and path: resume_state out, and write path: '
            f'pretrain_network_g: {shown}.')


def _problem_with(model: Any, state: Mapping[str, Any]) -> str | None:
    """What the option file says that cannot be on this checkpoint, and what to write instead; None: nothing."""
    checkpoint = f'the checkpoint of iteration {state["iter"]}'
    own, saved = type(model).__name__, state.get('model_type', type(model).__name__)
    if own != saved:
        return f'model_type is {own}, but {checkpoint} is of {saved}; write model_type: {saved}'
    total = (model.opt.get('train') or {}).get('total_iter')
    if total is not None and total < state['iter']:
        return (f'train: total_iter is {total}, but {checkpoint} is beyond that; write at least '
                f'total_iter: {state["iter"]}')
    kinds, saved_kinds = optimizer_types(model), state.get('optimizer_types', optimizer_types(model))
    if kinds != saved_kinds:
        return (f'train: optim_g: type is {", ".join(kinds)}, but {checkpoint} was trained by '
                f'{", ".join(saved_kinds)}; write type: {saved_kinds[0]}')
    if len(model.optimizers) != len(state['optimizers']) or not all(map(_fits, model.optimizers, state['optimizers'])):
        return (f'The networks that are trained are not those of {checkpoint} (network_g or distill: differ); write '
                'both as they were')
    for optimizer, one in zip(model.optimizers, state['optimizers'], strict=True):
        if lacking := _moments_lacking(optimizer, one['state']):
            return (f'train: optim_g: {type(optimizer).__name__} now needs {", ".join(sorted(lacking))}, which '
                    f'{checkpoint} lacks; write the options of optim_g as they were')
    return None


def _fits(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> bool:
    """Whether the saved moments are those of as many parameters of the same shapes, group by group."""
    built = [group['params'] for group in optimizer.param_groups]
    numbers = [group['params'] for group in saved['param_groups']]
    if [len(one) for one in built] != [len(one) for one in numbers]:
        return False
    pairs = zip(itertools.chain(*built), itertools.chain(*numbers), strict=True)
    return all(moment.shape == parameter.shape for parameter, number in pairs
               for moment in saved['state'].get(number, {}).values() if isinstance(moment, Tensor) and moment.dim())


def _moments_lacking(optimizer: torch.optim.Optimizer, saved: Mapping[Any, Mapping[str, Any]]) -> set[str]:
    """What the optimiser will look up in its state and a saved one does not hold, told by a step of another."""
    probe = nn.Parameter(torch.zeros(1, device=optimizer.param_groups[0]['params'][0].device))
    probe.grad = torch.zeros_like(probe)
    known = inspect.signature(type(optimizer)).parameters
    trial = type(optimizer)([probe], **{key: value for key, value in optimizer.defaults.items() if key in known})
    trial.step()
    needed = {key for key, value in trial.state[probe].items() if value is not None}
    return {key for one in saved.values() for key in needed if one.get(key) is None}
