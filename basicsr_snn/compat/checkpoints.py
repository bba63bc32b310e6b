"""Repairs of saving and resuming: files are whole or absent, and a resume needs no GPU."""
from __future__ import annotations

import os
import shutil
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from basicsr_snn.compat.replacing import module, replaced, replaces
from basicsr_snn.errors import MachineError, UserError, first_line


class TorchWithAtomicSave(types.ModuleType):
    """``torch`` as ``basicsr.models.base_model`` sees it: ``save`` writes beside the file, then renames."""

    failure: Exception | None = None
    file: Path

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def save(self, content: Any, path: str) -> None:
        self.file, partial = Path(path), Path(f'{path}.partial')
        self.failure = None
        try:
            with partial.open('wb') as stream:  # torch's own writer does not say why it failed
                torch.save(content, stream)
            os.replace(partial, path)
        except Exception as error:
            self.failure = error
            partial.unlink(missing_ok=True)
            raise


def _save_or_raise(upstream: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    saving = TorchWithAtomicSave('torch')
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
def save_network_atomically(upstream: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """A kill while saving left half a file under the final name, and a save that failed three times was ignored."""
    _save_or_raise(upstream, *args, **kwargs)


@replaces('save_training_state', 'basicsr.models.base_model:BaseModel')
def save_state_atomically(upstream: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """The same for the optimiser's state."""
    _save_or_raise(upstream, *args, **kwargs)


@replaces('load_resume_state', 'basicsr.train')
def resume_without_cuda(upstream: Callable[..., Any], opt: dict[str, Any]) -> dict[str, Any] | None:
    """Resuming asked CUDA for its device, looked under the current folder and died on a broken newest file."""
    if opt['auto_resume']:
        return _newest_readable_state(opt)
    path = opt['path'].get('resume_state')
    if not path:
        return None
    try:
        return _read_checkpoint(opt, Path(path))
    except Exception as error:
        raise UserError(f'path: resume_state is {path}, which cannot be resumed ({_told_by(error)}); allowed is a '
                        'whole <iteration>.state with its networks: name one, or type --auto_resume.') from error


def _newest_readable_state(opt: dict[str, Any]) -> dict[str, Any] | None:
    folder = Path(opt['path']['training_states'])
    files = sorted((file for file in folder.glob('*.state') if file.stem.isdigit()), key=lambda file: -int(file.stem))
    for file in files:
        try:
            return _read_checkpoint(opt, file)
        except Exception as error:  # not by the logger: it would miss its file if it were made this early
            warnings.warn(f'Checkpoint {file.stem} in {folder} is broken ({_told_by(error)}); trying an older one.',
                          stacklevel=2)
    if files:
        raise UserError(f'--auto_resume found {len(files)} checkpoints in {folder}, but a whole one is needed; restore '
                        'one, or leave --auto_resume out to start anew (the folder is kept under another name).')
    return None


def _read_checkpoint(opt: dict[str, Any], file: Path) -> dict[str, Any]:
    """Read the state ``file`` and prove that its networks load, before anything in ``opt`` is changed.

    On the CPU, always: ``Optimizer.load_state_dict`` moves each tensor to its parameter's device.
    """
    state = torch.load(file, map_location='cpu')
    models = Path(opt['path']['models'])
    networks = set(models.glob(f'net_*_{state["iter"]}.pth'))
    if 'network_g' in opt and 'network_g' not in (opt['path'].get('ignore_resume_networks') or ()):
        networks.add(models / f'net_g_{state["iter"]}.pth')
    for network in sorted(networks):
        torch.load(network, map_location='cpu')
    opt['path']['resume_state'] = str(file)
    module('basicsr.utils').check_resume(opt, state['iter'])
    return state


def _told_by(error: Exception) -> str:
    return f'{type(error).__name__}: {first_line(error)}'
