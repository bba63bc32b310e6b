"""Repairs of BasicSR 1.4.2 for today's torch and torchvision and for machines without CUDA.

BasicSR is patched by name and never copied. Each repair is one function whose docstring says why it is there:
:data:`BEFORE_IMPORT` makes ``import basicsr`` possible, and a function under :func:`replaces` stands in for the named
attribute, which it gets as ``upstream``. ``import basicsr_snn`` applies all, before or after ``import basicsr``.
"""
from __future__ import annotations

import argparse
import ast
import functools
import importlib
import os
import re
import sys
import threading
import types
import warnings
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from basicsr_snn.errors import UserError, near_matches

OPTIMIZERS = ('Adam', 'AdamW', 'Adamax', 'SGD', 'ASGD', 'RMSprop', 'Rprop', 'RAdam', 'NAdam', 'Adagrad')
OWN_FOLDERS = ('experiments_root', 'models', 'training_states', 'results_root', 'log', 'visualization')
INTEGER = re.compile(r'[-+]?\d+')
NUMBER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?')
NUMBER_WITH_EXPONENT = re.compile(r'^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$')

REPLACEMENTS: dict[str, Callable[[], None]] = {}
_applied = False
_kept_libraries: list[torch.library.Library] = []


def module(name: str) -> types.ModuleType:
    """Import on use: at the top of this file ``basicsr`` cannot be imported yet."""
    return importlib.import_module(name)


def replaces(attribute: str, *owners: str) -> Callable[[Callable], Callable]:
    """Register a function to be called as ``function(upstream, *args)`` in place of ``attribute``.

    ``owners`` are all modules (``package.module``) or classes (``package.module:Class``) that hold the attribute: a
    module that imported it by name has its own reference.
    """

    def register(function: Callable) -> Callable:

        def install() -> None:
            holders = [functools.reduce(getattr, path.split(':')[1:], module(path.split(':')[0])) for path in owners]
            upstream = getattr(holders[0], attribute)

            @functools.wraps(upstream, updated=())
            def replacement(*args: Any, **kwargs: Any) -> Any:
                return function(upstream, *args, **kwargs)

            for holder in holders:
                setattr(holder, attribute, replacement)

        REPLACEMENTS[function.__name__] = install
        return function

    return register


def define_missing_torchvision_ops() -> None:
    """PyPI's torchvision is a CUDA build: beside a CPU torch its C++ part cannot load and the import dies on `nms`."""
    try:
        module('torchvision')
    except RuntimeError as error:
        if 'torchvision::' not in str(error):
            raise
        library = torch.library.Library('torchvision', 'FRAGMENT')
        _kept_libraries.append(library)  # the definitions live as long as this object
        for name in ('nms', 'qnms'):
            library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
        module('torchvision')


def alias_functional_tensor() -> None:
    """torchvision 0.17 removed `transforms.functional_tensor`, which BasicSR's degradations import (BasicSR#533)."""
    name = 'torchvision.transforms.functional_tensor'
    try:
        module(name)
    except ModuleNotFoundError:
        try:
            sys.modules[name] = module('torchvision.transforms._functional_tensor')
        except ModuleNotFoundError:  # the public module has all that BasicSR takes from it: rgb_to_grayscale
            sys.modules[name] = module('torchvision.transforms.functional')


@replaces('ordered_yaml', 'basicsr.utils.options')
def read_exponents_as_numbers(upstream: Callable[[], tuple[type, type]]) -> tuple[type, type]:
    """PyYAML follows YAML 1.1 and reads `lr: 1e-3` as a string (yaml/pyyaml#173); only BasicSR's loader is changed."""
    loader, dumper = upstream()
    loader = type('OptionLoader', (loader,), {})
    loader.add_implicit_resolver('tag:yaml.org,2002:float', NUMBER_WITH_EXPONENT, list('-+.0123456789'))
    return loader, dumper


@replaces('_postprocess_yml_value', 'basicsr.utils.options')
def read_forced_numbers(upstream: Callable[[str], Any], value: str) -> Any:
    """`--force_yml a:b=1e-4` and `=-1` stayed strings, and lists went through `eval`."""
    if INTEGER.fullmatch(value):
        return int(value)
    if NUMBER.fullmatch(value):
        return float(value)
    if not value.startswith('['):
        return upstream(value)
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return _list_of_bare_words(value)


def _list_of_bare_words(value: str) -> list[Any]:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f'--force_yml got {value}, which is no list; a list is [1, 2] or [a, b]: type it so, in quotes '
                        'for the shell.') from error


@replaces('parse_options', 'basicsr.utils.options', 'basicsr.train', 'basicsr.test')
def refuse_unknown_forced_blocks(upstream: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A mistyped block in `--force_yml` ended in a bare KeyError out of an `exec`."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('-opt')
    parser.add_argument('--force_yml', nargs='+')
    given = parser.parse_known_args()[0]
    if given.opt is not None and not Path(given.opt).is_file():
        raise UserError(f'-opt got {given.opt}, but there is no such file; give the path of an option file (YAML).')
    if given.opt is not None and given.force_yml:
        with open(given.opt, encoding='utf-8') as stream:
            options = yaml.load(stream, Loader=module('basicsr.utils.options').ordered_yaml()[0])
        for entry in given.force_yml:
            _check_forced_block(options, entry)
    return upstream(*args, **kwargs)


def _check_forced_block(options: Mapping[str, Any], entry: str) -> None:
    keys, _, value = entry.partition('=')
    if entry.count('=') != 1 or not keys or not value:
        raise UserError(f'--force_yml got {entry}, but an entry is key:key=value; type e.g. train:total_iter=1000.')
    block = options
    for key in keys.strip().split(':')[:-1]:
        if not isinstance(block.get(key), Mapping):
            blocks = [name for name, content in block.items() if isinstance(content, Mapping)]
            instead = f'type {" or ".join(near_matches(key, blocks))}' if blocks else 'there are no blocks inside it'
            raise UserError(f'--force_yml got {entry}, but the option file has no block "{key}" there; allowed are its '
                            f'own blocks ({", ".join(blocks) or "none"}): {instead}.')
        block = block[key]


@replaces('make_exp_dirs', 'basicsr.utils.misc', 'basicsr.utils', 'basicsr.train', 'basicsr.test')
def make_own_folders_only(upstream: Callable[[dict], None], opt: dict[str, Any]) -> None:
    """`make_exp_dirs` made a folder of every unknown `path:` key and died on one without a value."""
    folders = {key: folder for key, folder in opt['path'].items() if key in OWN_FOLDERS and folder is not None}
    upstream({**opt, 'path': folders})


class TorchWithAtomicSave(types.ModuleType):
    """``torch`` as ``basicsr.models.base_model`` sees it: ``save`` writes beside the file, then renames."""

    failure: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def save(self, content: Any, path: str) -> None:
        partial = Path(f'{path}.partial')
        self.failure = None
        try:
            torch.save(content, partial)
            os.replace(partial, path)
        except Exception as error:
            self.failure = error
            partial.unlink(missing_ok=True)
            raise


def _save_or_raise(upstream: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    base_model = module('basicsr.models.base_model')
    if base_model.torch is torch:
        base_model.torch = TorchWithAtomicSave('torch')
    base_model.torch.failure = None
    upstream(*args, **kwargs)
    failure = base_model.torch.failure
    if failure is not None:
        raise OSError(f'The checkpoint could not be saved: {failure}') from failure


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
        raise UserError(f'path: resume_state is {path}, which cannot be resumed ({_first_line(error)}); allowed is a '
                        'whole <iteration>.state with its networks: name one, or type --auto_resume.') from error


def _newest_readable_state(opt: dict[str, Any]) -> dict[str, Any] | None:
    folder = Path(opt['path']['training_states'])
    files = sorted((file for file in folder.glob('*.state') if file.stem.isdigit()), key=lambda file: -int(file.stem))
    for file in files:
        try:
            return _read_checkpoint(opt, file)
        except Exception as error:  # not by the logger: it would miss its file if it were made this early
            warnings.warn(f'Checkpoint {file.stem} in {folder} is broken ({_first_line(error)}); trying an older one.',
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


def _first_line(error: Exception) -> str:
    return f'{type(error).__name__}: {error}'.splitlines()[0]


@replaces('create_train_val_dataloader', 'basicsr.train')
def draw_alike_everywhere(upstream: Callable[..., tuple], opt: dict[str, Any], logger: Any) -> tuple:
    """Items hung on workers and ranks, a resumed epoch began anew, and epochs with a rest ended a training early."""
    return module('basicsr_snn.data.loaders').create_loaders(upstream, opt, logger)


@replaces('get_optimizer', 'basicsr.models.base_model:BaseModel')
def accept_more_optimizers(upstream: Callable[..., Any], model: Any, optim_type: str, params: Any, lr: float,
                           **kwargs: Any) -> torch.optim.Optimizer:
    """The release knows Adam only."""
    if optim_type in OPTIMIZERS:
        return getattr(torch.optim, optim_type)(params, lr, **kwargs)
    try:
        return upstream(model, optim_type, params, lr, **kwargs)
    except NotImplementedError as error:
        raise UserError(f'The optimizer type is {optim_type}; allowed are {", ".join(OPTIMIZERS)}: type '
                        f'{" or ".join(near_matches(optim_type, OPTIMIZERS))}.') from error


@replaces('_init_dist_pytorch', 'basicsr.utils.dist_util')
def distribute_without_cuda(upstream: Callable[..., None], backend: str, **kwargs: Any) -> None:
    """`--launcher pytorch` divided by the number of GPUs and wanted nccl; gloo trains on CPUs."""
    if 'RANK' not in os.environ:
        raise UserError('--launcher pytorch was given to a process that no launcher started; allowed is torchrun: type '
                        '"torchrun --nproc_per_node=2 -m basicsr_snn.train -opt X.yml --launcher pytorch".')
    if torch.cuda.is_available():
        upstream(backend, **kwargs)
    else:
        torch.distributed.init_process_group('gloo', **kwargs)


@replaces('model_to_device', 'basicsr.models.base_model:BaseModel')
def distribute_cpu_networks(upstream: Callable[..., Any], model: Any, net: torch.nn.Module) -> torch.nn.Module:
    """DistributedDataParallel was always given the current CUDA device."""
    if not model.opt['dist'] or model.device.type != 'cpu':
        return upstream(model, net)
    unused = model.opt.get('find_unused_parameters', False)
    return torch.nn.parallel.DistributedDataParallel(net.to(model.device), find_unused_parameters=unused)


@replaces('run', 'basicsr.data.prefetch_dataloader:PrefetchGenerator')
def catch_prefetch_errors(upstream: Callable[[Any], None], generator: Any) -> None:
    """An error in a data worker killed the prefetch thread, and the training waited for it for ever."""
    try:
        upstream(generator)
    except BaseException as error:
        generator.queue.put(error)


@replaces('__next__', 'basicsr.data.prefetch_dataloader:PrefetchGenerator')
def raise_prefetch_errors(upstream: Callable[[Any], Any], generator: Any) -> Any:
    """The consumer's half of the same repair."""
    item = upstream(generator)
    if isinstance(item, BaseException):
        raise item
    return item


@replaces('CUDAPrefetcher', 'basicsr.train')
def prefetch_without_cuda(upstream: type, loader: Any, opt: dict[str, Any]) -> Any:
    """`prefetch_mode: cuda` opens a CUDA stream, also where there is none."""
    if torch.cuda.is_available() and opt['num_gpu'] != 0:
        return upstream(loader, opt)
    module('basicsr.utils').get_root_logger().warning('No CUDA: prefetch_mode cuda becomes the plain loader.')
    return module('basicsr.train').CPUPrefetcher(loader)


class SharedEnvironment:
    """One LMDB, opened once in each process that reads it.

    After a fork lmdb still counts the parent's handle as open, so the child closes its copy before it opens its own.
    """

    opening = threading.Lock()

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        self.path, self.options = path, options
        self.environment, self.process = None, None

    def begin(self, **kwargs: Any) -> Any:
        with SharedEnvironment.opening:
            if self.process != os.getpid():
                self.close()
                self.environment = module('lmdb').open(self.path, **self.options)
                self.process = os.getpid()
        return self.environment.begin(**kwargs)

    def close(self) -> None:
        if self.environment is not None:
            self.environment.close()

    __del__ = close


_environments: weakref.WeakValueDictionary[tuple, SharedEnvironment] = weakref.WeakValueDictionary()
if hasattr(os, 'register_at_fork'):  # a fork can copy the lock while another thread holds it
    os.register_at_fork(after_in_child=lambda: setattr(SharedEnvironment, 'opening', threading.Lock()))


@replaces('__init__', 'basicsr.utils.file_client:LmdbBackend')
def share_lmdb_environments(upstream: Callable[..., None], backend: Any, db_paths: str | list[str],
                            client_keys: str | list[str] = 'default', **options: Any) -> None:
    """lmdb 3 refuses a second open of one environment in a process, also when the first one came over a fork."""
    paths = db_paths if isinstance(db_paths, list) else [db_paths]
    names = client_keys if isinstance(client_keys, list) else [client_keys]
    if len(paths) != len(names):
        raise UserError(f'io_backend has {len(paths)} db_paths and {len(names)} client_keys; there is one key for each '
                        'path: type as many.')
    options = {'readonly': True, 'lock': False, 'readahead': False, **options}
    backend.db_paths = [str(path) for path in paths]
    backend._client = {}
    for name, path in zip(names, backend.db_paths, strict=True):
        key = (os.path.realpath(path), *sorted(options.items()))
        backend._client[name] = _environments.setdefault(key, SharedEnvironment(path, options))


BEFORE_IMPORT = (define_missing_torchvision_ops, alias_functional_tensor)


def apply() -> None:
    """Apply every repair once; later calls do nothing."""
    global _applied
    if _applied:
        return
    for repair in (*BEFORE_IMPORT, *REPLACEMENTS.values()):  # the first of the latter imports basicsr
        repair()
    _applied = True
