"""Repair of how BasicSR builds its own data sets: what is wrong with their folders and lists is said."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from basicsr_snn.compat.replacing import module, replaces
from basicsr_snn.errors import UserError, first_line

MISTAKES = (AssertionError, AttributeError, KeyError, OSError, TypeError, ValueError)
"""What BasicSR's data sets raise for folders, lists of names and options that cannot be used."""


@replaces('build_dataset', 'basicsr.data', 'basicsr.train', 'basicsr.test')
def say_what_is_wrong_with_a_dataset(upstream: Callable[[Mapping[str, Any]], Any], options: Mapping[str, Any]) -> Any:
    """A missing folder or list of names, folders of unequal length or no io_backend ended in a traceback."""
    if options.get('io_backend') is None and isinstance(root := options.get('dataroot_lq'), str):
        options = {**options, 'io_backend': {'type': 'lmdb' if root.endswith('.lmdb') else 'disk'}}
    try:
        return upstream(options)
    except UserError:
        raise
    except MISTAKES as error:
        known = module('basicsr.utils.registry').DATASET_REGISTRY
        if options.get('type') in known and not known.get(options['type']).__module__.startswith('basicsr.'):
            raise  # a mistake in the code of another's data set, which its traceback tells
        raise cannot_be_opened(options, error) from error


def cannot_be_opened(options: Mapping[str, Any], error: Exception) -> UserError:
    """The sentence about a data set whose options or files raised one of :data:`MISTAKES`."""
    unknown = options.get('type') not in module('basicsr.utils.registry').DATASET_REGISTRY
    advice = ('register it before the pipeline runs; what import: of an option file names is imported by the commands '
              'and by `from basicsr_snn import train_pipeline`' if unknown
              else 'correct its options and paths')
    return UserError(f'the dataset {options.get("name")} of type {options.get("type")} cannot be opened '
                     f'({type(error).__name__}: {first_line(error, 300)}); {advice}.')
