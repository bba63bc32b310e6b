"""Blocks of several training sets, mistyped; pairs and sets that are not what they should be."""
from __future__ import annotations

import copy
import re
from pathlib import Path
from random import Random

import numpy as np
import pytest
from basicsr.data import build_dataset
from fault import fault
from option_faults import misspelt
from PIL import Image
from trainings import set_values, training

from basicsr_snn.data.draws import Draw
from basicsr_snn.errors import UserError
from basicsr_snn.pipeline.option_checks import check_options

SETS = (
    {'type': 'GaussianDenoisingDataset', 'dataroot_gt': 'pictures', 'sigma': 25, 'subset': [0, 2], 'share': 1},
    {'type': 'CameraNoiseDataset', 'dataroot_gt': 'pictures', 'kinds': {'camera': 1}, 'jpeg_quality': [75, 100],
     'resize_range': [0.5, 1], 'jpeg_share': 0.5, 'share': 0.5},
    {'type': 'RealPairsDataset', 'dataroot_gt': 'pairs', 'gt_mark': '_mean', 'lq_mark': '_real', 'cache': False},
    {'type': 'PairedImageDataset', 'dataroot_gt': 'pictures', 'dataroot_lq': 'pictures', 'use_hflip': True,
     'io_backend': {'type': 'disk'}, 'use_rot': False},
)


def mixed() -> dict:
    """A training on four kinds of sets at once."""
    options = training('mixed', scale=1)
    train = {key: value for key, value in options['datasets']['train'].items() if key not in ('dataroot_gt', 'sigma')}
    options['datasets']['train'] = {**train, 'type': 'MixedDataset', 'sets': copy.deepcopy(list(SETS))}
    return options


def make_pairs_and_pictures(random: Random) -> None:
    rng = np.random.default_rng(random.getrandbits(32))
    for folder, mark in (('pictures', ''), ('pairs', '_mean'), ('pairs', '_real')):
        Path(folder).mkdir(exist_ok=True)
        for index in range(3):
            Image.fromarray(rng.integers(0, 256, (20, 22, 3), np.uint8)).save(f'{folder}/{index}{mark}.png')


def read_all(options: dict) -> None:
    """Draw so many crops that each picture of the third set comes."""
    dataset = build_dataset(options)
    for seed in range(30):
        dataset[Draw(0, seed)]


@fault('the mistake is named with its set', tries=8)
def a_key_of_one_of_several_sets_is_mistyped(random: Random, folder: Path) -> None:
    options = mixed()
    check_options(options)
    place = random.randrange(len(SETS))
    key = random.choice([key for key in SETS[place] if key != 'type'])
    wrong = misspelt(key, random)
    if wrong == key:
        return
    block = options['datasets']['train']['sets'][place]
    block[wrong] = block.pop(key)
    sentence = f'datasets: train: sets: {place} has an unknown key "{wrong}"; did you mean .*{key}'
    with pytest.raises(UserError, match=re.escape(sentence).replace(r'\.\*', '.*')):
        check_options(options)


@fault('crops come as before, or the picture and what is wrong with it are named')
def a_set_of_several_is_not_what_it_should_be(random: Random, folder: Path) -> None:
    make_pairs_and_pictures(random)
    options = mixed()['datasets']['train'] | {'phase': 'train', 'scale': 1}
    whole = build_dataset(options)
    items = [whole[Draw(0, seed)] for seed in range(8)]
    again = build_dataset(options)
    for seed, item in enumerate(items):
        assert (again[Draw(1, seed)]['lq'] == item['lq']).all(), 'a draw hangs on more than its seed'
    victim = random.choice(sorted(Path('pairs').iterdir()))
    kind = random.choice(['deleted', 'cut', 'smaller', 'tiny'])
    if kind == 'deleted':
        victim.unlink()
    elif kind == 'cut':
        victim.write_bytes(victim.read_bytes()[:random.randrange(60)])
    else:
        side = 18 if kind == 'smaller' else 5
        Image.new('RGB', (side, side)).save(victim)
    with pytest.raises(UserError, match=victim.stem):
        read_all(set_values(copy.deepcopy(options), {'sets.2.share': 100}, '.'))
