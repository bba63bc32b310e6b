"""Reads the pictures of a validation set before a training, so that none of them ends it at its first validation."""
from __future__ import annotations

import time
from typing import Any

from basicsr_snn.errors import UserError


def read_pictures(dataset: Any, seconds: float) -> int:
    """Read the pictures of a dataset in their order, the first of them in any case.

    Args:
        dataset: A validation or test set, of anyone's code.
        seconds: After which no further one is read.

    Returns:
        How many were read.

    Raises:
        UserError: One of them is damaged, or is no pair as the first one is.
    """
    end = time.monotonic() + seconds
    first = dataset[0]
    for index in range(1, len(dataset)):
        if time.monotonic() >= end:
            return index
        _check_pair(dataset[index], first)
    return len(dataset)


def _check_pair(item: dict[str, Any], first: dict[str, Any]) -> None:
    """Refuse a truth that is enlarged otherwise than that of the first picture, or has other channels."""
    if not {'lq', 'gt', 'lq_path', 'gt_path'} <= first.keys() & item.keys():
        return
    for key in ('lq', 'gt'):
        if len(item[key]) != len(first[key]):
            raise UserError(f'{item[f"{key}_path"]} has {len(item[key])} channels, but the first picture of its set '
                            f'has {len(first[key])}; convert it, or take it out.')
    ratios = [[truth / side for truth, side in zip(one['gt'].shape[-2:], one['lq'].shape[-2:], strict=True)]
              for one in (item, first)]
    if ratios[0] != ratios[1]:
        sizes = ' and '.join('x'.join(map(str, item[key].shape[:-3:-1])) for key in ('gt', 'lq'))
        raise UserError(f'{item["gt_path"]} and its degraded picture have {sizes} pixels, which do not fit together as '
                        'those of the first pair of its set do; take the pair out, or cut the larger one.')
