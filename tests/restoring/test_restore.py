"""``basicsr_snn.restore``: the rule of ``basicsr-snn restore`` for arrays, images and files."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from denoising import smooth_picture
from own_zoo import weights
from PIL import Image

from basicsr_snn import denoise, restore
from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError

GREY = {'in_ch': 1}
EIGHT = smooth_picture(22, 30, 3)


def answered(net: torch.nn.Module, stored: np.ndarray) -> np.ndarray:
    """The answer on a picture in RGB, as 8 bits."""
    batch = torch.from_numpy(stored.astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.no_grad():
        return np.rint(net(batch)[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255)


@pytest.mark.parametrize('kind', ['uint8', 'uint16', 'float32', 'image', 'file'])
@pytest.mark.parametrize(('task', 'scale'), [('sr2', 2), ('sr4', 4), ('derain', 1)])
def test_every_kind_comes_back_as_it_was_in_the_size_of_the_task(inside, task, scale, kind):
    net = weights(inside / 'net.pth', task, scale=scale)
    given = {'uint8': EIGHT, 'uint16': EIGHT.astype(np.uint16) * 257, 'float32': EIGHT.astype(np.float32) / 255,
             'image': Image.fromarray(EIGHT), 'file': 'a.png'}[kind]
    cv2.imwrite('a.png', EIGHT[..., ::-1])
    result = restore(given, task, 'net.pth')
    assert isinstance(result, Image.Image) == (kind == 'image')
    result = np.asarray(result)
    assert result.shape == (22 * scale, 30 * scale, 3)
    assert result.dtype == (kind if kind[-1].isdigit() else 'uint8')
    peak = {'uint16': 257, 'float32': 1 / 255}.get(kind, 1)
    np.testing.assert_allclose(result / peak, answered(net, EIGHT), atol=1.01)


def test_the_task_chooses_the_network_that_ships_for_it_by_channels_too(zoo_of):
    zoo_of(a=({'scale': 2}, {'does': 'sr2'}), b=({**GREY, 'scale': 2}, {'does': 'sr2'}),
           c=({}, {'does': 'denoise', 'default': True}))
    for picture, name in ((EIGHT, 'a'), (EIGHT[..., 0], 'b')):
        np.testing.assert_array_equal(restore(picture, 'sr2'), restore(picture, network=name))
        assert restore(picture, 'sr2').shape[:2] == (44, 60)


def test_denoise_is_one_of_the_tasks():
    noisy = (EIGHT + np.random.default_rng(0).normal(0, 25, EIGHT.shape)).clip(0, 255).astype(np.uint8)
    for told in ({'sigma': 25}, {'sigma': 'auto', 'strength': 0.5}):
        np.testing.assert_array_equal(restore(noisy, 'denoise', **told), denoise(noisy, **told))
    np.testing.assert_array_equal(restore(noisy, network='spikerir_tiny_color25'),
                                  denoise(noisy, name='spikerir_tiny_color25'))


def test_python_and_the_command_give_the_same_file(inside):
    weights(inside / 'net.pth', 'sr2', scale=2)
    Image.fromarray(EIGHT).save('a.png')
    assert main(['restore', '--task', 'sr2', '-n', 'net.pth', '-i', 'a.png', '-o', 'b.png']) == 0
    np.testing.assert_array_equal(restore(Path('a.png'), 'sr2', 'net.pth'), np.asarray(Image.open('b.png')))


@pytest.mark.parametrize(('told', 'sentence'), [
    ({}, 'no task was given; give task= one of denoise, sr2'),
    ({'task': 'derian'}, "task='derian' is not known; did you mean derain"),
    ({'task': ['sr2']}, 'is not known'),
    ({'task': 'derain', 'network': 'two.pth'}, "was trained for task='sr2', but derain was asked for; give task='sr2'"),
    ({'task': 'sr4', 'network': 'silent.pth'}, "enlarges pictures 2 times, but task='sr4' asks .* or leave task out"),
    ({'task': 'sr2', 'network': 'two.pth', 'sigma': 25}, "sigma is for task='denoise', but task='sr2' was given"),
    ({'task': 'denoise', 'network': 'two.pth'}, "give task='sr2'"),
    ({'network': 'mixed.pth'}, 'reads 3 channels and writes 1, but pictures have 1 or 3 of them'),
    ({'network': 'nowhere.pth'}, 'nowhere.pth does not exist'),
    ({'task': 'denoise', 'strength': 3}, 'strength=3 is none'),
])
def test_every_misuse_has_its_sentence(inside, zoo_of, told, sentence):
    zoo_of(only=({}, {'does': 'denoise'}))
    weights(inside / 'two.pth', 'sr2', scale=2)
    weights(inside / 'silent.pth', scale=2)
    weights(inside / 'mixed.pth', out_ch=1)
    with pytest.raises(UserError, match=sentence):
        restore(EIGHT, **told)


def test_what_is_no_picture_is_told_of_the_verb_that_was_called():
    with pytest.raises(UserError, match='restore was given list'):
        restore([[1, 2]], 'denoise')


def test_weights_that_are_replaced_are_read_again(inside):
    weights(inside / 'net.pth', 'derain')
    before = restore(EIGHT, network='net.pth')
    net = weights(inside / 'net.pth', 'derain', blocks=[2, 1])
    after = restore(EIGHT, network='net.pth')
    assert not np.array_equal(before, after)
    np.testing.assert_allclose(after, answered(net, EIGHT), atol=1.01)


def test_an_image_with_a_transparent_colour_is_refused():
    image = Image.fromarray(EIGHT)
    image.info['transparency'] = (10, 20, 30)
    with pytest.raises(UserError, match=r"a transparent colour was given, .* give image.convert\('RGBA'\)"):
        denoise(image, sigma=25)
