"""Dry run of an option file: build what it names, run one forward, train nothing, write nothing."""
from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from basicsr.data import build_dataset
from basicsr.models import build_model
from basicsr.utils import get_root_logger
from torch.utils.data import default_collate

from basicsr_snn.compat.tensorboard import why_tensorboard_cannot_start
from basicsr_snn.errors import UserError
from basicsr_snn.models.ann_snn_distill_model import ANNSNNDistillModel
from basicsr_snn.pipeline.option_files import parse_checked_options, read_options
from basicsr_snn.pipeline.run import pipeline_arguments

FORWARD_SIZE = 64
"""Largest side in pixels of the picture that is run through the network."""


def check_option_file(file: str | Path, force: list[str] | None = None) -> list[tuple[str, str]]:
    """Check one option file.

    Args:
        file: Option file of a training or a test.
        force: Entries ``key:key=value`` that replace options of the file.

    Returns:
        What was found, as pairs of name and finding.

    Raises:
        UserError: What is wrong, one sentence a mistake.
    """
    training = 'train' in read_options(file)
    with pipeline_arguments(['-opt', str(file), *(['--force_yml', *force] if force else [])]):
        options, _ = parse_checked_options(str(Path.cwd()), is_train=training)
    get_root_logger().setLevel(logging.WARNING)
    try:
        datasets = {phase: build_dataset(block) for phase, block in options['datasets'].items()}
        report = [(f'datasets: {phase}', f'{len(dataset):,d} pictures') for phase, dataset in datasets.items()]
        model = build_model(options)
        report.append(('network_g', f'{type(model.get_bare_model(model.net_g)).__name__}, '
                       f'{sum(p.numel() for p in model.net_g.parameters()):,d} parameters'))
        report += [('distill', line) for line in _hints(model)]
        report.append(('forward', _run_once(model, next(iter(datasets.values()))[0])))
        report += [('tensorboard', sentence) for sentence in _tensorboard(options)]
    finally:
        get_root_logger().setLevel(logging.INFO)
    return report


def _hints(model: Any) -> list[str]:
    return model.teaching.describe() if isinstance(model, ANNSNNDistillModel) else []


def _tensorboard(options: dict[str, Any]) -> list[str]:
    wanted = (options.get('logger') or {}).get('use_tb_logger')
    sentence = why_tensorboard_cannot_start() if wanted else None
    return [sentence] if sentence else []


def _run_once(model: Any, item: dict[str, Any]) -> str:
    crop = {key: value[..., :FORWARD_SIZE, :FORWARD_SIZE] if key in ('lq', 'gt') else value
            for key, value in item.items()}
    model.feed_data(default_collate([crop]))
    model.test()
    output = model.output
    if not torch.isfinite(output).all():
        raise UserError('The network gives values that are not finite on the first picture; check its weights.')
    return f'{"x".join(map(str, model.lq.shape[1:]))} to {"x".join(map(str, output.shape[1:]))}, all values finite'
