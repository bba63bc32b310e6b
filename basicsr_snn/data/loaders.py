"""BasicSR's data loaders, fed by draws that do not hang on processes, workers or a resume."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from basicsr_snn.compat.replacing import replaced, replaces
from basicsr_snn.data.device_loader import DeviceLoader
from basicsr_snn.data.draws import DrawSampler, SeededItems, follow_draws
from basicsr_snn.data.watched_loader import watch_loader
from basicsr_snn.data.workers import worker_context
from basicsr_snn.errors import UserError


@replaces('create_train_val_dataloader', 'basicsr.train')
def draw_alike_everywhere(upstream: Callable[..., tuple], opt: Mapping[str, Any], logger: Any) -> tuple:
    """Samples depended on worker and rank, a resumed epoch began anew, and epochs with a rest ended a training early.

    BasicSR's loaders get a :class:`DrawSampler`, which goes on where a checkpoint ended.

    Returns:
        Train loader, its sampler, validation loaders, number of epochs, number of iterations.

    Raises:
        UserError: two ways to fetch ahead at once, of which BasicSR loses batches.
    """
    train = opt['datasets']['train']
    _check_persistent_workers(train)

    def sampler_for(dataset: Any, world_size: int, rank: int, enlarge_ratio: float) -> DrawSampler:
        require_pictures(dataset)
        replicas = world_size if opt['dist'] else max(opt['num_gpu'], 1)  # without a launcher one process feeds all
        batch = train['batch_size_per_gpu'] * replicas
        return DrawSampler(len(dataset), batch, _agreed_seed(opt), enlarge_ratio, world_size, rank)

    with replaced('EnlargedSampler', sampler_for, 'basicsr.train'), seed_items_of_other_sets:
        loader, sampler, val_loaders, _, total_iterations = upstream(opt, logger)
    if loader.num_workers:
        loader.multiprocessing_context = worker_context(beside_process_group=opt['dist'])
    for each in (loader, *val_loaders):
        watch_loader(each)
    if train.get('on_device'):
        loader = DeviceLoader(loader.dataset, sampler, loader.batch_size, _device_of(opt))
    iteration = _resume(sampler, opt)
    return loader, sampler, val_loaders, sampler.epochs_to(total_iterations, iteration), total_iterations


@replaces('build_dataset', 'basicsr.train')
def seed_items_of_other_sets(upstream: Callable[[dict[str, Any]], Any], opt: dict[str, Any]) -> Any:
    """Crops and flips of BasicSR's sets were others after a resume, and with workers the same in each epoch."""
    dataset = upstream(opt)
    return follow_draws(dataset) if opt['phase'] == 'train' else dataset


def require_pictures(dataset: Any) -> None:
    """Raise a ``UserError`` for a data set that holds nothing, as BasicSR's own of an empty folder do."""
    if not len(dataset):
        opt = (dataset.dataset if isinstance(dataset, SeededItems) else dataset).opt
        folder = opt.get('dataroot_gt') or opt.get('dataroot_lq') or 'where it looks'
        raise UserError(f'the dataset {opt["name"]} found no pictures in {folder}: give a folder that holds some.')


def _check_persistent_workers(train: dict[str, Any]) -> None:
    if not train['num_worker_per_gpu']:
        train['persistent_workers'] = False  # there are none, and torch refuses the pair
    if train.get('persistent_workers') and train.get('prefetch_mode') == 'cpu':
        # The thread of BasicSR's first, discarded iterator and that of the epoch would read from the same workers.
        raise UserError('datasets: train: `prefetch_mode: cpu` and `persistent_workers: true` given, only one of them '
                        'is allowed: leave `prefetch_mode` out, since workers fetch ahead anyway.')


def _device_of(opt: Mapping[str, Any]) -> torch.device:
    return torch.device('cuda' if opt['num_gpu'] != 0 and torch.cuda.is_available() else 'cpu')


def _agreed_seed(opt: Mapping[str, Any]) -> int:
    """``manual_seed``; where it is not given, each process has made up one of its own, and rank 0's counts."""
    seeds = [opt['manual_seed']]
    if opt['dist']:
        torch.distributed.broadcast_object_list(seeds, src=0)
    return seeds[0]


def _resume(sampler: DrawSampler, opt: Mapping[str, Any]) -> int:
    """Let the sampler follow the checkpoint that BasicSR resumes; its iteration, or 0."""
    file = opt['path'].get('resume_state')
    if not file:
        return 0
    state = torch.load(file, map_location='cpu')
    sampler.resume(state['epoch'], state['iter'])
    return state['iter']
