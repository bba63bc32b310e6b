"""What people give networks, folders and mixed trainings in the place of what is meant."""
from __future__ import annotations

import functools
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from denoising import SMALL, denoise, option_file, save, smooth_picture
from fault import fault
from torch.utils.data import default_collate

from basicsr_snn import load
from basicsr_snn.data.batch import Batch
from basicsr_snn.data.draws import Draw
from basicsr_snn.data.mixed_dataset import MixedDataset
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import Restorer


@functools.cache
def network(name: str) -> Restorer:
    return load(name)


@fault('one sentence says what to give', tries=20)
def network_is_given_no_picture_in_0_to_1(random: Random, folder: Path) -> None:
    picture = torch.rand(random.randint(1, 2), 3, random.randint(1, 40), random.randint(2, 40)).clamp(0.1, 0.9)
    wrong = picture * random.choice([255, 65535, 1e30])
    kind = random.choice(['range', 'nan', 'integers', 'dimensions', 'channels last'])
    if kind == 'nan':
        wrong = picture.clone()
        wrong.view(-1)[random.randrange(wrong.numel())] = random.choice([torch.nan, torch.inf, -torch.inf])
    elif kind == 'integers':
        wrong = (picture * 100).to(random.choice([torch.uint8, torch.int16, torch.int64, torch.bool]))
    elif kind == 'dimensions':
        wrong = random.choice([picture[0], picture[0, 0], picture[None]])
    elif kind == 'channels last':
        wrong = torch.rand(1, 20, 30, 3)
    net = network(random.choice(['spikerir_tiny_color25', 'ffdnet_color', 'dncnn_color_blind']))
    with pytest.raises(UserError, match='give|divide') as refused:
        net(wrong)
    assert '\n' not in str(refused.value)
    assert torch.isfinite(net(picture)).all()


@fault('nothing that exists is replaced unless that is said', tries=6)
def results_of_an_earlier_run_lie_in_the_folder(random: Random, folder: Path) -> None:
    options = option_file(folder, {**SMALL, 'in_nc': 3, 'out_nc': 3})
    small = '-opt', options, '--weights', folder / 'net.pth'
    names = [f'{number}.{random.choice(["png", "jpg", "tif"])}' for number in range(random.randint(1, 4))]
    for seed, name in enumerate(names):
        save(folder / 'in' / name, smooth_picture(9, 12, 3, seed=seed))
    there = {name: random.randbytes(20) for name in random.sample(names, random.randint(1, len(names)))}
    (folder / 'out').mkdir()
    for name, content in there.items():
        (folder / 'out' / name).write_bytes(content)
    how = random.choice(['', '--skip-existing', '--overwrite'])
    status = denoise('-i', folder / 'in', '-o', folder / 'out', *([how] if how else []), *small)
    assert status == (0 if how else 2)
    kept = {name for name, content in there.items() if (folder / 'out' / name).read_bytes() == content}
    assert kept == (set() if how == '--overwrite' else set(there))
    assert {file.name for file in (folder / 'out').iterdir()} == set(names if how else there)


@fault('only pictures with a truth are compared with it', tries=5)
def pictures_without_truth_lie_among_others(random: Random, folder: Path) -> None:
    plain = ['GaussianDenoisingDataset', 'CameraNoiseDataset', 'NoisyPicturesDataset']
    kinds = random.choices([*plain, 'MixedDataset'], k=3)
    save(folder / 'in' / 'a.png', smooth_picture(20, 24, 3, seed=random.randrange(100)))

    def block(kind: str) -> dict:
        if kind == 'MixedDataset':
            return {'type': kind, 'sets': [block(one) for one in random.choices(plain, k=2)]}
        key = 'dataroot_lq' if kind == 'NoisyPicturesDataset' else 'dataroot_gt'
        level = {'sigma': 25} if kind == 'GaussianDenoisingDataset' else {}
        return {'type': kind, key: str(folder / 'in'), 'cache': random.random() < 0.5, **level}

    mixed = MixedDataset({'name': 'mixed', 'phase': 'train', 'gt_size': 8, 'in_ch': random.choice([1, 3]),
                          'sets': [block(kind) for kind in (*kinds, 'NoisyPicturesDataset')]})
    items = [mixed[Draw(0, random.getrandbits(32))] for _ in range(16)]
    batch = Batch.of_item(default_collate(items), torch.device('cpu'))
    truth = batch.truth_for(batch.lq)
    assert torch.isfinite(truth).all()
    for place, item in enumerate(items):
        wanted = item['gt'] if item['has_truth'] else item['lq']
        np.testing.assert_array_equal(truth[place], wanted)
