"""Option files: read, parsed by BasicSR and checked, and the network that one names."""
from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from basicsr.utils import options as basicsr_options

from basicsr_snn.compat.resuming import agree_on_drawn_seed
from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.images.limits import OPTION, allow_megapixels
from basicsr_snn.pipeline.option_checks import check_options
from basicsr_snn.plugins.installed import import_plugins
from basicsr_snn.plugins.own_modules import import_own_modules
from basicsr_snn.yaml_files import read_yaml_file
from basicsr_snn.zoo.trained_network import TrainedNetwork, network_of_options


def read_options(file: str | Path) -> dict[str, Any]:
    """Read the options of a training or test, and import the modules that they name, and those of plugins.

    Raises:
        UserError: The file is missing, no YAML or no option file, or a module cannot be imported.
    """
    options = read_and_import(file)
    if not isinstance(options, Mapping) or 'model_type' not in options:
        raise UserError(f'{file} names no model_type, so it is no option file; start from one such as '
                        'options/train/demo.yml.')
    return dict(options)


def read_and_import(file: str | Path) -> Any:
    """What a YAML file holds, once the modules of plugins and those that it names are imported.

    Raises:
        UserError: The file is missing or no YAML, or a module cannot be imported.
    """
    file = Path(file)
    if not file.is_file():
        raise UserError(f'-opt got {file}, but there is no such file; give the path of an option file (YAML).')
    options = read_yaml_file(file)
    import_plugins()
    import_own_modules(options, file)
    return options


def parse_checked_options(root_path: str, is_train: bool = True,
                          network: TrainedNetwork | None = None) -> tuple[dict[str, Any], argparse.Namespace]:
    """BasicSR's ``parse_options``, whose result is checked before anything is made of it.

    Args:
        root_path: Where results go.
        is_train: Whether it is a training.
        network: What is tested in place of the ``network_g`` of the option file.

    Raises:
        UserError: The file cannot be read, or has mistakes.
    """
    command_line = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    command_line.add_argument('-opt')
    command_line.add_argument('--force_yml', nargs='+', default=[])
    command_line.add_argument('--launcher', default='none')
    given = command_line.parse_known_args()[0]
    seedless = False
    if given.opt is not None:  # the parser breaks on many mistakes
        asked = with_network(read_forced_options(given.opt, given.force_yml), network)
        check_options(asked)
        seedless = asked.get('manual_seed') is None
        _check_launcher(asked, given.launcher)
    options, arguments = basicsr_options.parse_options(root_path, is_train)
    options = with_network(options, network)
    check_options(options, parsed=True)
    allow_megapixels(options.get(OPTION))
    if seedless:
        agree_on_drawn_seed(options)
    return options, arguments


def _check_launcher(options: Mapping[str, Any], launcher: str) -> None:
    """Only slurm's processes find each other by ``dist_params``; BasicSR leaves it unread elsewhere, without a word."""
    if options.get('dist_params') is None or launcher == 'slurm':
        return
    sentence = (f'The option file has dist_params, which is not read with --launcher {launcher}, but with --launcher '
                'slurm only; take it out')
    if launcher == 'none':
        warnings.warn(f'{sentence}, or leave it for trainings by slurm.', stacklevel=2)
    else:
        raise UserError(f'{sentence}: torchrun itself takes --master_port, and the backend is nccl on GPUs, gloo '
                        'elsewhere.')


def read_forced_options(file: str | Path, entries: Iterable[str]) -> dict[str, Any]:
    """Options as read, with the values of ``--force_yml``, which may name modules too; errors as when they are read."""
    options = with_forced_values(read_options(file), entries)
    import_own_modules(options, file)
    return options


def with_forced_values(options: Mapping[str, Any], entries: Iterable[str]) -> dict[str, Any]:
    """Options with the values of ``--force_yml``; entries that name no block are left to BasicSR's parser to refuse."""
    forced = copy.deepcopy(dict(options))
    for entry in entries:
        keys, _, value = entry.partition('=')
        *parents, last = keys.strip().split(':')
        block: Any = forced
        for parent in parents:
            block = block.get(parent) if isinstance(block, dict) else None
        if isinstance(block, dict) and value:
            block[last] = basicsr_options._postprocess_yml_value(value.strip())
    return forced


def with_network(options: dict[str, Any], network: TrainedNetwork | None) -> dict[str, Any]:
    """Options with another network and its weights; as they are where none is given."""
    if network is None:
        return options
    weights = {'pretrain_network_g': str(network.weight_file()), 'param_key_g': network.param_key,
               'strict_load_g': network.strict}
    return {**options, 'network_g': dict(network.network), 'path': {**(options.get('path') or {}), **weights}}


def keep_datasets(options: dict[str, Any], names: Iterable[str]) -> None:
    """Leave only the datasets of these names in parsed options; a ``UserError`` names one that is not there."""
    known = {block.get('name'): phase for phase, block in options['datasets'].items()}
    for name in names:
        if name not in known:
            raise UserError(f'--sets got {name}, but the option file has no dataset of that name; did you mean '
                            f'{" or ".join(near_matches(name, known))}?')
    options['datasets'] = {known[name]: options['datasets'][known[name]] for name in names}


def leave_out_training_sets(options: dict[str, Any]) -> None:
    """Leave only what a network is scored on in parsed options, also in those of a training.

    Raises:
        UserError: There is nothing else.
    """
    scored = {phase: block for phase, block in options['datasets'].items() if phase.split('_')[0] != 'train'}
    if not scored:
        raise UserError('datasets has pictures to train on only; add a val: or test_1: block with the pictures to test '
                        'on.')
    options['datasets'] = scored


def network_of_option_file(file: str | Path) -> TrainedNetwork:
    """The network of an option file, with the weights that the file names.

    Args:
        file: Of a test or training, or with a ``network_g`` alone.

    Raises:
        UserError: The file is no option file, has mistakes, or no ``network_g``.
    """
    options = read_and_import(file)
    if isinstance(options, Mapping) and 'model_type' in options:
        check_options(options, reads_datasets=False)
    name = options.get('name') if isinstance(options, Mapping) else None
    return network_of_options(file, options, str(name or Path(file).stem))
