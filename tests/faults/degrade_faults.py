"""Ranges of degradations that are none, and folders of pairs that are not what they should be."""
from __future__ import annotations

import copy
import math
import re
import shutil
from pathlib import Path
from random import Random

import numpy as np
import pytest
from basicsr.data import build_dataset
from fault import fault
from PIL import Image
from trainings import training

from basicsr_snn.data import jpeg_dataset, motion_blur_dataset, rain_streaks_dataset
from basicsr_snn.data.draws import Draw
from basicsr_snn.errors import UserError
from basicsr_snn.pipeline.option_checks import check_options

RANGES = {'RainStreaksDataset': rain_streaks_dataset.ALLOWED, 'JPEGDataset': jpeg_dataset.ALLOWED,
          'MotionBlurDataset': motion_blur_dataset.ALLOWED}


def pictures(folder: str, random: Random) -> list[Path]:
    rng = np.random.default_rng(random.getrandbits(32))
    Path(folder).mkdir()
    files = [Path(folder, f'{index}.png') for index in range(4)]
    for file in files:
        Image.fromarray(rng.integers(0, 256, (20, 22, 3), np.uint8)).save(file)
    return files


def a_range_within(limits: tuple, random: Random) -> list:
    least, most = limits
    draw = random.randint if isinstance(least, int) else random.uniform
    return sorted(draw(least, most) for _ in range(2))


def a_wrong_range(limits: tuple, random: Random) -> object:
    least, most = limits
    low, high = a_range_within(limits, random)
    return random.choice([low, 'much', [low], [low, high, high], [most + 1, least - 1], [low, most + 1],
                          [least - 1, high], [low, math.nan], [None, high], {'least': low}, [str(low), high]])


def read_all(block: dict) -> None:
    dataset = build_dataset(copy.deepcopy(block))
    for index in range(len(dataset)):
        dataset[index]


@fault('any range that is allowed draws pairs, the same for the same seed', tries=4)
def a_degradation_is_given_any_range(random: Random, folder: Path) -> None:
    pictures('pictures', random)
    kind = random.choice(list(RANGES))
    ranges = {key: a_range_within(limits, random) for key, limits in RANGES[kind].items() if random.random() < 0.7}
    block = {'name': 'D', 'type': kind, 'dataroot_gt': 'pictures', 'gt_size': 12, 'phase': 'train', **ranges}
    first, again = build_dataset(block), build_dataset(block)
    for _ in range(3):
        draw = Draw(random.randrange(4), random.getrandbits(32))
        lq = first[draw]['lq']
        assert lq.shape == (3, 12, 12)
        assert lq.min() >= 0
        assert lq.max() <= 1
        assert (again[draw]['lq'] == lq).all()


@fault('the key is named, with what is allowed', tries=8)
def a_degradation_is_given_a_wrong_range(random: Random, folder: Path) -> None:
    pictures('pictures', random)
    kind = random.choice(list(RANGES))
    key = random.choice(list(RANGES[kind]))
    block = {'name': 'D', 'type': kind, 'dataroot_gt': 'pictures', 'gt_size': 12}
    options = training('degraded')
    options['datasets']['train'] = {**options['datasets']['train'], **block}
    del options['datasets']['train']['sigma']
    check_options(options)
    wrong = a_wrong_range(RANGES[kind][key], random)
    options['datasets']['train'][key] = copy.deepcopy(wrong)
    with pytest.raises(UserError, match=f'^datasets: train: {key}'):
        check_options(options)
    with pytest.raises(UserError, match=re.escape(f'D: `{key}: {wrong}` given')):
        build_dataset({**block, 'phase': 'train', key: wrong})


@fault('the picture and what is wrong with its pair are named', tries=6)
def a_folder_of_pairs_is_not_what_it_should_be(random: Random, folder: Path) -> None:
    files = pictures('clean', random)
    shutil.copytree('clean', 'rainy')
    block = {'name': 'P', 'type': 'PairedImageDataset', 'dataroot_gt': 'clean', 'dataroot_lq': 'rainy', 'scale': 1,
             'io_backend': {'type': 'disk'}, 'gt_size': 12, 'use_hflip': True, 'use_rot': True, 'phase': 'train'}
    assert len(build_dataset(copy.deepcopy(block))) == 4
    victim = random.choice(files).name
    side = Path(random.choice(['clean', 'rainy']), victim)
    kind = random.choice(['deleted', 'renamed', 'other extension', 'smaller', 'cut'])
    if kind == 'deleted':
        side.unlink()
    elif kind == 'renamed':
        side.rename(side.with_name(f'x{victim}'))
    elif kind == 'other extension':
        side.rename(side.with_suffix('.jpg'))
    elif kind == 'smaller':
        Image.new('RGB', (random.randint(1, 21), random.randint(1, 19))).save(side)
    else:
        side.write_bytes(side.read_bytes()[:random.randrange(60)])
    with pytest.raises(UserError, match=re.escape(victim.removesuffix('.png'))):
        read_all(block)
