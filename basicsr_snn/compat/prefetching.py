"""Repairs of the loaders that fetch batches ahead."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from basicsr_snn.compat.replacing import module, replaces


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
