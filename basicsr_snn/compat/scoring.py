"""Repairs of what a validation makes of a network's answer."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from basicsr_snn.compat.replacing import module, replaces
from basicsr_snn.errors import UserError, first_line
from basicsr_snn.finite import check_answer


@replaces('tensor2img', 'basicsr.models.sr_model')
def refuse_pictures_of_nan(upstream: Callable[..., Any], tensor: Any, *args: Any, **kwargs: Any) -> Any:
    """NaN and infinity became grey values, which were saved and scored like any other picture."""
    for answer in tensor if isinstance(tensor, list) else [tensor]:
        check_answer(answer)
    return upstream(tensor, *args, **kwargs)


@replaces('calculate_metric', 'basicsr.models.sr_model', 'basicsr.models.video_base_model',
          'basicsr.models.video_recurrent_model')
def score_in_numbers(upstream: Callable[..., Any], data: Mapping[str, Any], opt: Mapping[str, Any]) -> Any:
    """A border or patches larger than the picture ended in an error of NumPy's, or in NaN, which spoilt the mean."""
    name, border = opt['type'], opt.get('crop_border', 0)
    height, width = data['img'].shape[:2]
    size = f'a picture of {width}x{height} pixels'
    if 2 * border >= min(height, width):
        raise UserError(f'val: metrics: {name} leaves nothing of {size} with crop_border: {border}; write '
                        'crop_border: 0, or take larger pictures.')
    instead = 'take the metric out, or take larger pictures'
    try:
        value = upstream(data, opt)
    except Exception as error:
        if isinstance(error, UserError) or not _is_basicsr_s(name):
            raise
        raise UserError(f'val: metrics: {name} gives no score of {size} ({type(error).__name__}: {first_line(error)}); '
                        f'{instead}.') from error
    if np.isnan(value):
        raise UserError(f'val: metrics: {name} gives no number as the score of {size}; {instead}.')
    return value


@replaces('_log_validation_metric_values', 'basicsr.models.sr_model:SRModel')
def tell_no_best_of_a_test(upstream: Callable[..., None], model: Any, *args: Any) -> None:
    """A test told each score twice, as the best at the iteration of the experiment's name."""
    best = None if model.is_train else vars(model).pop('best_metric_results', None)
    upstream(model, *args)
    if best is not None:
        model.best_metric_results = best


def _is_basicsr_s(metric: str) -> bool:
    """An error of anybody else's metric is a mistake in its code, which its traceback tells."""
    return module('basicsr.utils.registry').METRIC_REGISTRY.get(metric).__module__.startswith('basicsr.')
