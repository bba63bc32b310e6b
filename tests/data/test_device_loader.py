"""``on_device: true``: batches drawn by seeds that travel with the sampler, through whole trainings."""
from __future__ import annotations

import pytest
import torch
from trainings import checkpoint, train, training

from basicsr_snn.data.device_loader import DeviceLoader
from basicsr_snn.data.draws import DrawSampler, follow_draws
from basicsr_snn.data.gaussian_denoising_dataset import GaussianDenoisingDataset
from basicsr_snn.data.mixed_dataset import MixedDataset
from basicsr_snn.errors import UserError

CPU = torch.device('cpu')
SET = {'name': 'P', 'type': 'GaussianDenoisingDataset', 'dataroot_gt': 'pictures', 'sigma': 25}
IN_TRAINING = {'phase': 'train', 'gt_size': 16}


def loader_of(dataset, rank=0, world_size=1):
    return DeviceLoader(dataset, DrawSampler(len(dataset), 4, 0, 6, world_size, rank), 4 // world_size, CPU)


def mixed(*sets):
    return MixedDataset({'name': 'M', 'sets': list(sets), **IN_TRAINING})


def test_batches_follow_from_seed_epoch_and_place(work):
    loader = loader_of(GaussianDenoisingDataset({**SET, **IN_TRAINING}))
    first = list(loader)
    assert len(first) == len(loader) == 6
    assert first[0]['lq'].shape == first[0]['gt'].shape == (4, 3, 16, 16)
    assert first[0]['sigma'].tolist() == [25] * 4
    assert all(torch.equal(one['lq'], again['lq']) for one, again in zip(first, loader, strict=True))
    loader.sampler.resume(0, 4)
    assert [torch.equal(one['lq'], rest['lq']) for one, rest in zip(first[4:], loader, strict=True)] == [True, True]
    loader.sampler.set_epoch(1)
    assert not torch.equal(next(iter(loader))['lq'], first[0]['lq'])


def test_processes_draw_different_crops(work):
    dataset = GaussianDenoisingDataset({**SET, **IN_TRAINING})
    batches = [next(iter(loader_of(dataset, rank, 2))) for rank in (0, 1)]
    assert batches[0]['lq'].shape[0] == 2
    assert not torch.equal(batches[0]['gt'], batches[1]['gt'])


def test_a_mixed_set_has_its_shares(work):
    loader = loader_of(mixed({**SET, 'subset': [0, 1], 'share': 1}, {**SET, 'subset': [1, 4], 'share': 0}))
    assert all(torch.equal(loader._crops.table[0], row) for row in loader._crops.table)


@pytest.mark.parametrize(('sets', 'message'), [
    ([{**SET}, {**SET, 'sigma': 15}], 'differ in noise, use_hflip or use_rot: write the same for all sets'),
    ([{**SET}, {'type': 'CameraNoiseDataset', 'dataroot_gt': 'pictures'}], 'was given to a CameraNoiseDataset; only')])
def test_sets_that_do_not_go_together_are_refused(work, sets, message):
    with pytest.raises(UserError, match=message):
        loader_of(mixed(*sets))


def test_other_sets_are_refused(work):
    with pytest.raises(UserError, match='was given to a list; only GaussianDenoisingDataset'):
        DeviceLoader(follow_draws([1]), DrawSampler(1, 1, 0), 1, CPU)


def test_a_training_resumes_exactly(work):
    def options(name, total):
        settings = training(name)
        settings['datasets']['train']['on_device'] = True
        settings['train']['total_iter'] = total
        return settings

    train(options('whole', 4))
    train(options('broken', 2))
    train(options('broken', 4), '--auto_resume')
    whole, broken = (checkpoint(name, 'net_g_4.pth')['params'] for name in ('whole', 'broken'))
    assert all(torch.equal(whole[key], broken[key]) for key in whole)
