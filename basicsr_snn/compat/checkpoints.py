"""Repairs of saving: files are whole or absent, nothing that is not finite is kept, a state holds all that counts."""
from __future__ import annotations

import os
import shutil
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from basicsr_snn.compat.going_on import advise
from basicsr_snn.compat.replacing import replaced, replaces
from basicsr_snn.errors import MachineError, NotFiniteError, UserError, first_line
from basicsr_snn.finite import what_is_broken
from basicsr_snn.installation import find_weight_file
from basicsr_snn.weight_files.card import card_on_state_dicts
from basicsr_snn.weight_files.reading import read_weight_file


class TorchWithAtomicSave(types.ModuleType):
    """``torch`` as ``basicsr.models.base_model`` sees it: ``save`` writes beside the file, then renames.

    Args:
        also: What is saved beside the entries of each file.
    """

    failure: Exception | None = None
    file: Path

    def __init__(self, also: Mapping[str, Any]) -> None:
        super().__init__('torch')
        self.also = also

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def save(self, content: Mapping[str, Any], path: str) -> None:
        self.file, self.failure = Path(path), None
        try:
            save_atomically({**content, **self.also}, self.file)
        except Exception as error:
            self.failure = error
            raise


def save_atomically(content: Any, file: Path) -> None:
    """``torch.save`` that leaves the whole file, or what was there before."""
    partial = Path(f'{file}.partial')
    try:
        with partial.open('wb') as stream:  # torch's own writer does not say why it failed
            torch.save(content, stream)
        os.replace(partial, file)
    except Exception:
        partial.unlink(missing_ok=True)
        raise


def _save_or_raise(upstream: Callable[..., None], *args: Any, also: Mapping[str, Any], **kwargs: Any) -> None:
    saving = TorchWithAtomicSave(also)
    with replaced('torch', saving, 'basicsr.models.base_model'):
        upstream(*args, **kwargs)
    if saving.failure is not None:
        raise MachineError(f'The checkpoint {saving.file} could not be saved ({first_line(saving.failure)}; '
                           f'{free_space(saving.file)}): make room or mend the permissions, then go on with '
                           '--auto_resume from the last checkpoint, which is kept.') from saving.failure


def free_space(file: Path) -> str:
    """How much the disk of a file can take, for the middle of a sentence."""
    folder = next(folder for folder in file.absolute().parents if folder.is_dir())
    return f'{shutil.disk_usage(folder).free / 1e6:,.0f} MB are free there'


@replaces('save_network', 'basicsr.models.base_model:BaseModel')
def save_network_atomically(upstream: Callable[..., None], model: Any, net: Any, net_label: str, current_iter: int,
                            *args: Any, **kwargs: Any) -> None:
    """A kill while saving left half a file under the final name, a save that failed three times was ignored, and a file
    did not say which network it is of."""
    nets = [model.get_bare_model(one) for one in (net if isinstance(net, list) else [net])]
    for one in nets:
        _refuse_infinity(model, net_label, current_iter, one.state_dict())
    with card_on_state_dicts(nets, model.opt, net_label):
        _save_or_raise(upstream, model, net, net_label, current_iter, *args, also={}, **kwargs)


@replaces('save_training_state', 'basicsr.models.base_model:BaseModel')
def save_state_atomically(upstream: Callable[..., None], model: Any, epoch: int, current_iter: int) -> None:
    """The same for the optimiser's state, with what a resume compares and what losses and validations remember."""
    _refuse_infinity(model, 'the optimiser', current_iter, [optimizer.state_dict() for optimizer in model.optimizers])
    _save_or_raise(upstream, model, epoch, current_iter, also={
        'model_type': type(model).__name__, 'optimizer_types': optimizer_types(model),
        'networks': networks_saved(Path(model.opt['path']['models']), current_iter),
        'manual_seed': None if model.opt.get('manual_seed') is None else int(model.opt['manual_seed']),
        'losses': {name: buffer.cpu() for name, buffer in remembered_by_losses(model).items()},
        'best_metric_results': best_metrics(model)})


@replaces('load_network', 'basicsr.models.base_model:BaseModel')
def load_network_that_fits(upstream: Callable[..., None], model: Any, net: Any, load_path: str | Path,
                           strict: bool = True, param_key: str | None = 'params') -> None:
    """A file that is missing, is too large, holds a plain state dict, as those that ship, or is of another network
    ended in a traceback, or filled the memory."""
    path = find_weight_file(load_path)
    content = read_weight_file(path)[0]
    plain = not ({param_key, 'params'} & content.keys())
    try:
        upstream(model, net, str(path), strict, None if plain else param_key)
    except (KeyError, RuntimeError) as error:
        raise UserError(f'{path} does not fit the network {type(model.get_bare_model(net)).__name__} that was built '
                        f'({first_line(error, 300)}); give the options of the network that this file was trained '
                        'with.') from error


def _refuse_infinity(model: Any, what: str, iteration: int, content: Any) -> None:
    """The step before gave a finite loss and broke the weights: it counts as sound, which the one after would tell."""
    if told := what_is_broken(content, what):
        at = f'at iteration {iteration}' if iteration >= 0 else 'at the end'
        after = iteration + 1 if iteration >= 0 else sys.maxsize
        raise NotFiniteError(f'{told} {at}, so that no checkpoint was saved; {advise(model.opt, after)}')


def optimizer_types(model: Any) -> list[str]:
    """Class of each optimiser of a model."""
    return [type(optimizer).__name__ for optimizer in model.optimizers]


def networks_saved(folder: Path, iteration: int) -> list[str]:
    """Names of the network files of one checkpoint that are there, all of which a resume then needs."""
    return sorted(file.name for file in folder.glob(f'*_{iteration}.pth'))


def remembered_by_losses(model: Any) -> dict[str, Tensor]:
    """What the losses of a model keep from step to step, by name; BasicSR names losses ``cri_...``."""
    return {f'{attribute}.{name}': buffer for attribute, loss in vars(model).items()
            if attribute.startswith('cri_') and isinstance(loss, nn.Module) for name, buffer in loss.named_buffers()}


def best_metrics(model: Any) -> dict[str, dict[str, dict[str, Any]]]:
    """The best result of each metric so far by dataset, in plain numbers; empty before the first validation."""
    return {dataset: {metric: {'better': str(best['better']), 'val': float(best['val']), 'iter': best['iter']}
                      for metric, best in of_dataset.items()}
            for dataset, of_dataset in vars(model).get('best_metric_results', {}).items()}


@replaces('validation', 'basicsr.models.base_model:BaseModel')
def keep_best_metrics(upstream: Callable[..., None], model: Any, dataloader: Any, current_iter: Any, *args: Any,
                      **kwargs: Any) -> None:
    """The best metric was in no state, and a validation comes after the checkpoint of its iteration."""
    upstream(model, dataloader, current_iter, *args, **kwargs)
    if not model.is_train or model.opt.get('rank', 0) != 0:
        return
    file = Path(model.opt['path']['training_states'], f'{current_iter}.state')
    if file.is_file():
        save_atomically({**torch.load(file, map_location='cpu', weights_only=True),
                         'best_metric_results': best_metrics(model)}, file)
