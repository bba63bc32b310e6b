"""Crops drawn on the device: real crops in all symmetries, the right noise, the right share of each set."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from basicsr_snn.data.device_crops import DeviceCrops
from basicsr_snn.data.picture_pairs import augment
from basicsr_snn.errors import UserError
from basicsr_snn.images.noise import NoiseLevel

CPU = torch.device('cpu')
SILENT, LOUD = NoiseLevel('sigma', (0.0,)), NoiseLevel('sigma', (25.0,))


def pictures(count, height, width, first=0):
    """Pictures whose every pixel tells its picture, row and column."""
    rows, columns = np.mgrid[:height, :width]
    return [np.stack([np.full_like(rows, first + n), rows, columns], -1).astype(np.uint8) for n in range(count)]


def drawn(sets, batch=64, side=6, noise=SILENT, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return DeviceCrops(sets, side, batch, noise, CPU, generator, **options)


def test_every_crop_is_one_of_its_picture_in_one_of_eight_symmetries():
    sets = [pictures(3, 9, 12), pictures(2, 20, 7, first=3)]
    everything = [picture for one in sets for picture in one]
    _, clean, _ = drawn(sets, batch=256).draw()
    assert clean.shape == (256, 3, 6, 6)
    seen = set()
    for crop in (clean * 255).round().byte().permute(0, 2, 3, 1).numpy():
        picture = everything[crop[0, 0, 0]]
        top, left = crop[..., 1].min(), crop[..., 2].min()
        plain = picture[top:top + 6, left:left + 6]
        found = [flags for flags in np.ndindex(2, 2, 2) if np.array_equal(augment(plain, *map(bool, flags)), crop)]
        assert len(found) == 1
        seen.add((found[0], crop[0, 0, 0].item()))
    assert len(seen) == 8 * 5  # 256 draws show each symmetry of each picture


def test_places_reach_both_ends():
    _, clean, _ = drawn([pictures(1, 8, 9)], batch=400).draw()
    tops, lefts = ((clean[:, channel] * 255).round().amin((1, 2)).unique().tolist() for channel in (1, 2))
    assert (tops, lefts) == ([0, 1, 2], [0, 1, 2, 3])


@pytest.mark.parametrize(('weights', 'share'), [(None, 0.25), ([3, 1], 0.75)])
def test_sets_have_their_share(weights, share):
    _, clean, _ = drawn([pictures(1, 8, 8), pictures(3, 8, 8, first=1)], batch=4000, weights=weights).draw()
    first = ((clean[:, 0, 0, 0] * 255).round() == 0).float().mean().item()
    assert first == pytest.approx(share, abs=0.03)


def test_noise_is_gaussian_unclipped_and_of_the_level_of_each_crop():
    noisy, clean, _ = drawn([pictures(2, 40, 40)], batch=64, side=32, noise=LOUD).draw()
    noise = (noisy - clean) * 255
    assert noise.std().item() == pytest.approx(25, rel=0.01)
    assert abs(noise.mean().item()) < 0.2
    assert noisy.min() < 0
    between = NoiseLevel('sigma_range', (0.0, 55.0))
    noisy, clean, sigma = drawn([pictures(2, 40, 40)], batch=64, side=32, noise=between).draw()
    levels = ((noisy - clean) * 255).flatten(1).std(1)
    assert levels.min() < 8
    assert levels.max() > 47
    torch.testing.assert_close(levels, sigma, rtol=0.1, atol=0.5)
    *_, sigma = drawn([pictures(2, 40, 40)], noise=NoiseLevel('sigma_list', (5.0, 15.0))).draw()
    assert set(sigma.tolist()) == {5.0, 15.0}


@pytest.mark.parametrize(('options', 'count'), [({'use_hflip': False}, 4), ({'use_rot': False}, 2)])
def test_symmetries_that_are_not_wanted_are_not_drawn(options, count):
    _, clean, _ = drawn([pictures(1, 6, 6)], batch=64, **options).draw()
    assert len({crop.numpy().tobytes() for crop in clean}) == count


def test_pictures_of_16_bits_are_refused():
    with pytest.raises(UserError, match='on_device: true` was given, but there are pictures of 16 bits'):
        drawn([[picture.astype(np.uint16) for picture in pictures(1, 8, 8)]])


def test_the_generator_is_the_whole_state():
    sets, generator = [pictures(2, 9, 9)], torch.Generator().manual_seed(3)
    crops = DeviceCrops(sets, 4, 8, LOUD, CPU, generator)
    crops.draw()
    kept = generator.get_state()
    expected = crops.draw()
    generator.set_state(kept)
    assert all(map(torch.equal, crops.draw(), expected))
    assert not torch.equal(crops.draw()[0], expected[0])


def test_grey_pictures_keep_one_channel():
    noisy, clean, _ = drawn([[picture[..., :1] for picture in pictures(1, 8, 8)]], batch=2, side=4).draw()
    assert noisy.shape == clean.shape == (2, 1, 4, 4)
