"""BasicSR's training and test pipelines, run with checked options from the current folder."""
from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from basicsr import test as basicsr_test
from basicsr import train as basicsr_train
from basicsr.utils import logger as basicsr_logger

from basicsr_snn.compat.archiving import put_back_if_refused
from basicsr_snn.compat.replacing import replaced
from basicsr_snn.errors import MachineError, UserError
from basicsr_snn.inference.calling import compute_in_full
from basicsr_snn.pipeline.machine_errors import errors_of_machine_in_sentences
from basicsr_snn.pipeline.option_files import keep_datasets, leave_out_training_sets, parse_checked_options
from basicsr_snn.pipeline.processes import watched_processes
from basicsr_snn.pipeline.run_lock import one_run_of_a_name
from basicsr_snn.pipeline.stopping import stoppable_training
from basicsr_snn.pipeline.untrained import say_what_is_untrained
from basicsr_snn.zoo.trained_network import TrainedNetwork


def train_pipeline(root_path: str) -> None:
    """BasicSR's ``train_pipeline`` for a script of one's own, with the checks of ``basicsr-snn train``.

    The option file of the command line is checked before anything is built, and what its ``import:`` names is imported.
    A training that is told to stop saves first, and two of one name are refused.

    Args:
        root_path: Folder for ``experiments/`` and ``tb_logger/``.

    Raises:
        SystemExit: After one sentence on stderr: 2 for a mistake of the user, 1 for a fault of the machine. SIGINT or
            SIGTERM stopped the training: 128 plus the signal number.
    """
    exit_on_user_error(lambda: run_training(root_path=root_path))


def test_pipeline(root_path: str) -> None:
    """BasicSR's ``test_pipeline`` for a script of one's own, with the checks of ``basicsr-snn test``.

    Args:
        root_path: Folder for ``results/``.

    Raises:
        SystemExit: After one sentence on stderr: 2 for a mistake of the user, 1 for a fault of the machine.
    """
    exit_on_user_error(lambda: run_test(root_path=root_path))


def run_training(argv: list[str] | None = None, root_path: str | None = None) -> None:
    """Train as the option file says; ``experiments/`` and ``tb_logger/`` are made in ``root_path``.

    Args:
        argv: ``-opt X.yml [--auto_resume] [--launcher pytorch] [--force_yml k:k=v ...]``; ``None``: the command line.
        root_path: The current folder by default.

    Raises:
        UserError: An option, path or checkpoint cannot be used, or a training of that name goes on.
        MachineError: A disk is full, a data worker or another process is lost; the last checkpoint is kept.
        SystemExit: SIGINT or SIGTERM stopped the training, after a checkpoint; the code is 128 plus the signal number.
    """
    with (errors_of_machine_in_sentences(), pipeline_arguments(argv), watched_processes(),
          one_run_of_a_name(parse_checked_options) as parse, put_back_if_refused(),
          replaced('parse_options', parse, 'basicsr.train'), stoppable_training()):  # unknown keys are refused
        basicsr_train.train_pipeline(root_path or os.getcwd())


def run_test(argv: list[str] | None = None, sets: Sequence[str] = (), network: TrainedNetwork | None = None,
             root_path: str | None = None) -> None:
    """Test as the option file says; ``results/`` is made in ``root_path``.

    Args:
        argv: ``-opt X.yml [--launcher pytorch] [--force_yml k:k=v ...]``; ``None``: the command line.
        sets: Names of the datasets to test on; empty for all of the option file but those of a training.
        network: What to test in place of the ``network_g`` of the option file.
        root_path: The current folder by default.

    Raises:
        UserError: An option or path cannot be used.
        MachineError: A disk is full, memory or another process is lost.
    """

    def parse(root: str, is_train: bool) -> tuple[dict[str, Any], argparse.Namespace]:
        options, arguments = parse_checked_options(root, is_train, network)
        if sets:
            keep_datasets(options, sets)
        else:
            leave_out_training_sets(options)
        return options, arguments

    compute_in_full()
    with (errors_of_machine_in_sentences(), pipeline_arguments(argv), watched_processes(),
          one_run_of_a_name(parse) as parse_and_lock, put_back_if_refused(),
          replaced('parse_options', parse_and_lock, 'basicsr.test'),  # unknown keys are refused, other sets left out
          say_what_is_untrained):
        basicsr_test.test_pipeline(root_path or os.getcwd())


@contextmanager
def pipeline_arguments(argv: list[str] | None) -> Iterator[None]:
    """Put ``argv`` where BasicSR reads it, and leave the process group that BasicSR may have joined."""
    forget_log_file()
    kept = sys.argv
    sys.argv = [kept[0], *(kept[1:] if argv is None else argv)]
    try:
        yield
    finally:
        sys.argv = kept
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def forget_log_file() -> None:
    """Let BasicSR set its logger up anew: it does so once in a process, and later runs would write into the first
    log."""
    for handler in list(logging.getLogger('basicsr').handlers):
        logging.getLogger('basicsr').removeHandler(handler)
        handler.close()
    basicsr_logger.initialized_logger.pop('basicsr', None)


def exit_on_user_error(command: Callable[[], None]) -> None:
    """Call ``command``; one sentence on stderr and exit code 2 for a user's mistake, 1 for a fault of the machine."""
    try:
        command()
    except (UserError, MachineError) as error:
        sys.stderr.write(f'{error}\n')
        raise SystemExit(error.exit_status) from None
