"""The order and the seeds of training items: the same on any number of processes and workers, and after a resume."""
from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from basicsr import train as basicsr_train
from basicsr.data import build_dataset
from basicsr.utils import get_root_logger
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from trainings import read_batches

from basicsr_snn.data.draws import Draw, DrawSampler, seeded_by
from basicsr_snn.errors import UserError

counts = st.integers(1, 40)


def drawn(sampler: DrawSampler, epoch: int = 0) -> list[tuple[int, int]]:
    sampler.set_epoch(epoch)
    return [(int(draw), draw.seed) for draw in sampler]


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures of 20x20 pixels."""
    root = tmp_path_factory.mktemp('pictures')
    random = np.random.default_rng(0)
    for index in range(5):
        Image.fromarray(random.integers(0, 256, (20, 20, 3), np.uint8)).save(root / f'{index}.png')
    return root


def options(folder: Path, **changes: object) -> dict:
    return {'name': 'tiny', 'type': 'GaussianDenoisingDataset', 'phase': 'train', 'dataroot_gt': str(folder),
            'sigma_range': [0, 55], 'gt_size': 8, 'batch_size_per_gpu': 4, 'num_worker_per_gpu': 0, **changes}


def batches(folder: Path, epochs: tuple[int, ...] = (0, 1), rank: int = 0, world_size: int = 1, seed: int = 0,
            **changes: object) -> list[dict]:
    """The batches of one process, from BasicSR's loader."""
    opt = options(folder, **changes)
    dataset = build_dataset(opt)
    sampler = DrawSampler(len(dataset), opt['batch_size_per_gpu'] * world_size, seed, 2, world_size, rank)
    return read_batches(dataset, opt, sampler, epochs)


def assert_equal_batches(given: list[dict], expected: list[dict]) -> None:
    assert len(given) == len(expected)
    for batch, other in zip(given, expected, strict=True):
        assert batch['gt_path'] == other['gt_path']
        assert all(torch.equal(batch[key], other[key]) for key in ('lq', 'gt', 'sigma'))


def test_draw_is_an_index_that_keeps_its_seed_on_the_way_to_a_worker() -> None:
    draw = pickle.loads(pickle.dumps(Draw(2, 2**32 - 1)))
    assert 'abc'[draw] == 'c'
    assert (draw, draw.seed) == (2, 2**32 - 1)


def test_seed_acts_inside_only() -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(9)
    before = torch.get_rng_state()
    with seeded_by(Draw(0, 5)):
        assert torch.equal(torch.rand(2), expected)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded_by(0):
        torch.rand(1)
    assert not torch.equal(torch.get_rng_state(), before)


@given(pictures=counts, share=st.integers(1, 6), ratio=st.integers(1, 3), world_size=st.integers(1, 5), epoch=counts)
@settings(deadline=None, max_examples=50)
def test_processes_share_the_batches_of_one(pictures: int, share: int, ratio: int, world_size: int, epoch: int) -> None:
    batch = share * world_size
    one = DrawSampler(pictures, batch, 3, ratio)
    order = drawn(one, epoch)
    shares = [drawn(DrawSampler(pictures, batch, 3, ratio, world_size, rank), epoch) for rank in range(world_size)]
    assert {len(draws) for draws in shares} == {one.iterations * share}
    for iteration in range(one.iterations):
        together = [draw for draws in shares for draw in draws[iteration * share:(iteration + 1) * share]]
        assert sorted(together) == sorted(order[iteration * batch:(iteration + 1) * batch])


@given(pictures=counts, batch=counts, ratio=st.integers(1, 3))
@settings(deadline=None, max_examples=50)
def test_epoch_holds_each_picture_equally_often_and_fills_its_last_batch(pictures: int, batch: int, ratio: int) -> None:
    sampler = DrawSampler(pictures, batch, 0, ratio)
    shown = Counter(index for index, _ in drawn(sampler))
    assert sum(shown.values()) == sampler.iterations * batch == len(sampler)
    assert set(shown) == set(range(pictures))
    assert 0 <= len(sampler) - pictures * ratio < batch
    assert sum(count - ratio for count in shown.values()) == len(sampler) - pictures * ratio
    assert min(shown.values()) >= ratio


def test_seeds_and_epochs_differ() -> None:
    orders = [drawn(DrawSampler(50, 8, seed), epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert drawn(DrawSampler(50, 8, 0), 1) == orders[1]
    assert len({tuple(index for index, _ in order) for order in orders}) == 4
    assert len({seed for order in orders for _, seed in order}) == 4 * 56


def test_resume_goes_on_behind_what_was_seen() -> None:
    whole = DrawSampler(10, 4, 0, 3)  # 8 iterations an epoch
    resumed = DrawSampler(10, 4, 0, 3)
    resumed.resume(epoch=2, iteration=19)
    assert drawn(resumed, 2) == drawn(whole, 2)[12:]
    assert drawn(resumed, 3) == drawn(whole, 3)
    half = DrawSampler(10, 4, 0, 3, world_size=2, rank=1)  # the checkpoint of one process, gone on with by two
    half.resume(epoch=2, iteration=19)
    assert drawn(half, 2) == drawn(whole, 2)[13::2]
    resumed.resume(epoch=2, iteration=24)
    assert drawn(resumed, 2) == []


def test_resume_with_another_batch_size_starts_the_epoch_anew(caplog: pytest.LogCaptureFixture) -> None:
    sampler = DrawSampler(10, 8, 0, 3)
    get_root_logger().propagate = True
    sampler.resume(epoch=2, iteration=19)
    assert 'epoch 2 starts anew' in caplog.text
    assert len(drawn(sampler, 2)) == 32


@given(pictures=counts, batch=counts, total=st.integers(1, 200), done=st.integers(0, 200), epoch=st.integers(0, 9))
@settings(deadline=None, max_examples=50)
def test_epochs_suffice_for_all_iterations(pictures: int, batch: int, total: int, done: int, epoch: int) -> None:
    """As BasicSR's loop walks over them; any checkpoint, also one of another batch size."""
    sampler = DrawSampler(pictures, batch, 0)
    done = min(done, total)
    if done:
        sampler.resume(epoch, done)
    iterations = done
    for current in range(sampler.resumed_epoch, sampler.epochs_to(total, done)):
        iterations += len(drawn(sampler, current)) // batch
    assert total <= iterations < total + sampler.iterations


@pytest.mark.parametrize('changes', [{'num_worker_per_gpu': 1}, {'num_worker_per_gpu': 2},
                                     {'num_worker_per_gpu': 2, 'persistent_workers': True}, {'cache': False}], ids=str)
def test_workers_and_cache_change_no_sample(folder: Path, changes: dict) -> None:
    assert_equal_batches(batches(folder, **changes), batches(folder))


def test_joined_batches_of_two_processes_are_those_of_one(folder: Path) -> None:
    one = batches(folder)
    shares = [batches(folder, rank=rank, world_size=2, batch_size_per_gpu=2) for rank in range(2)]
    joined = [{key: sum(zip(*(share[key] for share in pair), strict=True), ()) for key in pair[0]}
              for pair in zip(*shares, strict=True)]
    assert_equal_batches([{key: list(value) if isinstance(value[0], str) else torch.stack(value)
                           for key, value in batch.items()} for batch in joined], one)


def test_each_epoch_and_seed_has_crops_and_noise_of_its_own(folder: Path) -> None:
    noise = [(batch['lq'] - batch['gt'])[item].sign().numpy().tobytes() for seed in (0, 1)
             for batch in batches(folder, seed=seed, sigma_range=None, sigma=25) for item in range(4)]
    assert len(set(noise)) == len(noise) == 2 * 2 * 12


def test_pipeline_gets_loaders_of_draws(folder: Path, tmp_path: Path) -> None:
    """Five pictures and a batch of eight: BasicSR's own loader gives no batch, and its training ends at once."""
    opt = {'datasets': {'train': options(folder, batch_size_per_gpu=8)}, 'world_size': 1, 'rank': 0, 'num_gpu': 0,
           'dist': False, 'manual_seed': 3, 'train': {'total_iter': 7}, 'path': {}}
    loader, sampler, _, epochs, total = basicsr_train.create_train_val_dataloader(opt, get_root_logger())
    assert (len(loader), epochs, total) == (1, 7, 7)
    assert drawn(sampler) == drawn(DrawSampler(5, 8, 3))
    torch.save({'epoch': 4, 'iter': 5}, tmp_path / '5.state')
    opt['path']['resume_state'] = str(tmp_path / '5.state')
    _, sampler, _, epochs, _ = basicsr_train.create_train_val_dataloader(opt, get_root_logger())
    assert (sampler.epoch, drawn(sampler, 4), epochs) == (4, [], 7)


def test_workers_beside_a_process_group_are_forked_from_a_server(folder: Path, tmp_path: Path) -> None:
    opt = {'datasets': {'train': options(folder, num_worker_per_gpu=1, dataset_enlarge_ratio=2)}, 'world_size': 1,
           'rank': 0, 'num_gpu': 0, 'dist': True, 'manual_seed': 0, 'train': {'total_iter': 3}, 'path': {}}
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    try:
        loader = basicsr_train.create_train_val_dataloader(opt, get_root_logger())[0]
        assert loader.multiprocessing_context.get_start_method() == 'forkserver'
        assert_equal_batches(list(loader), batches(folder, epochs=(0,)))
    finally:
        torch.distributed.destroy_process_group()


def test_persistent_workers(folder: Path) -> None:
    opt = {'datasets': {'train': options(folder, persistent_workers=True)}, 'world_size': 1, 'rank': 0, 'num_gpu': 0,
           'dist': False, 'manual_seed': 3, 'train': {'total_iter': 12}, 'path': {}}
    assert len(list(basicsr_train.create_train_val_dataloader(opt, get_root_logger())[0])) == 2
    opt['datasets']['train'].update(num_worker_per_gpu=1, persistent_workers=True, prefetch_mode='cpu')
    with pytest.raises(UserError, match='`prefetch_mode: cpu` and `persistent_workers: true` given, only one of them'):
        basicsr_train.create_train_val_dataloader(opt, get_root_logger())


def test_one_process_that_feeds_several_gpus(folder: Path) -> None:
    opt = {'datasets': {'train': options(folder, batch_size_per_gpu=2, dataset_enlarge_ratio=4)}, 'world_size': 1,
           'rank': 0, 'num_gpu': 2, 'dist': False, 'manual_seed': 3, 'train': {'total_iter': 12}, 'path': {}}
    loader, _, _, epochs, _ = basicsr_train.create_train_val_dataloader(opt, get_root_logger())
    assert (loader.batch_size, len(loader), epochs) == (4, 5, 3)
