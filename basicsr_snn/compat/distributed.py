"""Repairs of training in several processes, for machines without CUDA."""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch

from basicsr_snn.compat.replacing import replaces
from basicsr_snn.errors import UserError


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


@replaces('_init_dist_slurm', 'basicsr.utils.dist_util')
def distribute_by_slurm_only(upstream: Callable[..., None], backend: str, **kwargs: Any) -> None:
    """`--launcher slurm` died of a KeyError outside slurm, and divided by zero GPUs."""
    missing = [name for name in ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST') if name not in os.environ]
    if missing:
        raise UserError(f'--launcher slurm was given to a process that slurm did not start ({missing[0]} is not set); '
                        'type "srun basicsr-snn train -opt X.yml --launcher slurm", or leave --launcher out.')
    if not torch.cuda.is_available():
        raise UserError('--launcher slurm was given on a machine without CUDA, but BasicSR shares GPUs among the '
                        'processes of slurm; type srun torchrun ... --launcher pytorch, which trains on CPUs too.')
    upstream(backend, **kwargs)


@replaces('model_to_device', 'basicsr.models.base_model:BaseModel')
def distribute_cpu_networks(upstream: Callable[..., Any], model: Any, net: torch.nn.Module) -> torch.nn.Module:
    """DistributedDataParallel was always given the current CUDA device."""
    if not model.opt['dist'] or model.device.type != 'cpu':
        return upstream(model, net)
    unused = model.opt.get('find_unused_parameters', False)
    return torch.nn.parallel.DistributedDataParallel(net.to(model.device), find_unused_parameters=unused)


def on_first_process(opt: Mapping[str, Any], action: Callable[[], Any]) -> Any:
    """What ``action`` returns on process 0, told to all; where it raises a ``UserError``, that is raised in all."""
    if not opt.get('dist'):
        return action()
    told: list[Any] = [None, None]
    if opt['rank'] == 0:
        try:
            told[0] = action()
        except UserError as error:
            told[1] = error
    torch.distributed.broadcast_object_list(told, src=0)
    if told[1] is not None:
        raise told[1]
    return told[0]
