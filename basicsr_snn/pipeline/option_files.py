"""Option files: read, parsed by BasicSR and checked, and the network that one names."""
from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from basicsr.utils import options as basicsr_options

from basicsr_snn.errors import UserError, near_matches, one_line
from basicsr_snn.pipeline.option_checks import check_options
from basicsr_snn.zoo.trained_network import TrainedNetwork, network_of_options


def read_options(file: str | Path) -> dict[str, Any]:
    """Read an option file; a ``UserError`` names a file that is missing or is no YAML."""
    file = Path(file)
    if not file.is_file():
        raise UserError(f'-opt got {file}, but there is no such file; give the path of an option file (YAML).')
    try:
        options = yaml.load(file.read_text(encoding='utf-8'), Loader=basicsr_options.ordered_yaml()[0])
    except UserError:
        raise
    except (yaml.YAMLError, ValueError, KeyError, RecursionError) as error:  # PyYAML lets errors of Python through
        raise UserError(f'{file} is not valid YAML ({one_line(error)}); mend that line.') from error
    if not isinstance(options, Mapping) or 'model_type' not in options:
        raise UserError(f'{file} names no model_type, so it is no option file; start from one such as '
                        'options/train/demo.yml.')
    return dict(options)


def parse_checked_options(root_path: str, is_train: bool = True) -> tuple[dict[str, Any], argparse.Namespace]:
    """BasicSR's ``parse_options``, whose result is checked before anything is made of it.

    Raises:
        UserError: The file cannot be read, or has mistakes.
    """
    command_line = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    command_line.add_argument('-opt')
    command_line.add_argument('--force_yml', nargs='+', default=[])
    command_line.add_argument('--launcher', default='none')
    given = command_line.parse_known_args()[0]
    if given.opt is not None:  # the parser breaks on many mistakes
        written = with_forced_values(read_options(given.opt), given.force_yml)
        check_options(written)
        _check_launcher(written, given.launcher)
    options, arguments = basicsr_options.parse_options(root_path, is_train)
    check_options(options)
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


def keep_datasets(options: dict[str, Any], names: Iterable[str]) -> None:
    """Leave only the datasets of these names in parsed options; a ``UserError`` names one that is not there."""
    known = {block.get('name'): phase for phase, block in options['datasets'].items()}
    for name in names:
        if name not in known:
            raise UserError(f'--sets got {name}, but the option file has no dataset of that name; did you mean '
                            f'{" or ".join(near_matches(name, known))}?')
    options['datasets'] = {known[name]: options['datasets'][known[name]] for name in names}


def network_of_option_file(file: str | Path) -> TrainedNetwork:
    """The network of an option file of a test or training, with the weights that the file names.

    Raises:
        UserError: The file is no option file, has mistakes, or no ``network_g``.
    """
    options = read_options(file)
    check_options(options, reads_datasets=False)
    return network_of_options(file, options, str(options.get('name') or Path(file).stem))
