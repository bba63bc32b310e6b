"""Weights that do not fit are refused before a run puts the folder of an earlier one of its name aside."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from basicsr.utils.registry import MODEL_REGISTRY

from basicsr_snn.distill.teachers import build_teacher
from basicsr_snn.models.ann_snn_distill_model import ANNSNNDistillModel
from basicsr_snn.models.snn_model import SNNModel
from basicsr_snn.zoo.building import build
from basicsr_snn.zoo.weights import load_entry_or_any


def require_fitting_weights(options: Mapping[str, Any]) -> None:
    """Load what a run of our models will load, into networks that are thrown away.

    Args:
        options: Checked options, as BasicSR's ``parse_options`` returns them.

    Raises:
        UserError: The weights of ``network_g`` or of a teacher are of another network.
    """
    model, path = MODEL_REGISTRY.get(options['model_type']), options['path']
    resumes = options.get('auto_resume') or path.get('resume_state')
    with torch.random.fork_rng(devices=[]):  # the run's own weights are drawn as without this
        weights = path.get('pretrain_network_g')
        if issubclass(model, SNNModel) and weights and path.get('strict_load_g', True) and not resumes:
            load_entry_or_any(build(options['network_g']), weights, path.get('param_key_g', 'params'), strict=True)
        if issubclass(model, ANNSNNDistillModel) and options['is_train']:
            for teacher in teachers_with_weights(options['distill']):
                build_teacher(teacher, torch.device('cpu'))


def teachers_with_weights(distill: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The blocks of teachers that are read from a file; others are the training's own."""
    return [teacher for teacher in (distill.get('teacher'), *(distill.get('teachers') or []))
            if teacher and teacher.get('path')]
