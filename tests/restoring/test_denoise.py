"""``basicsr_snn.denoise``: pictures of every kind, and one clear error for each misuse."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from basicsr_snn import denoise, load
from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import write_picture
from basicsr_snn.images.noise_level import estimate_noise_level
from basicsr_snn.restoring.choice import level_of_a_student

CLEAN = cv2.resize(np.random.default_rng(0).random((6, 7, 3)), (56, 48), interpolation=cv2.INTER_CUBIC).clip(0, 1)
NOISY = CLEAN + np.random.default_rng(1).normal(0, 25 / 255, CLEAN.shape)
EIGHT = np.rint(NOISY.clip(0, 1) * 255).astype(np.uint8)


def as_kind(kind: str) -> np.ndarray:
    return NOISY.astype(kind) if kind.startswith('float') else np.rint(
        NOISY.clip(0, 1) * np.iinfo(kind).max).astype(kind)


def peak(dtype: np.dtype) -> float:
    return 1 if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max


@pytest.mark.parametrize('kind', ['uint8', 'uint16', 'float16', 'float32', 'float64'])
@pytest.mark.parametrize('shape', [(48, 56), (48, 56, 1), (48, 56, 3)])
def test_an_array_of_every_kind_comes_back_as_it_was_and_cleaner(kind, shape):
    given = as_kind(kind)[..., :shape[2] if len(shape) == 3 else 1].reshape(shape)
    before = given.copy()
    result = denoise(given, sigma=25)
    assert (result.shape, result.dtype) == (shape, given.dtype)
    np.testing.assert_array_equal(given, before)
    clean = CLEAN[..., :shape[2] if len(shape) == 3 else 1].reshape(shape)
    errors = [np.mean((one.astype(float) / peak(given.dtype) - clean) ** 2) for one in (given, result)]
    assert errors[1] < 0.3 * errors[0]


def test_the_network_is_the_one_that_is_asked_for():
    tensor = torch.from_numpy(NOISY.astype(np.float32)).permute(2, 0, 1)[None]
    for options, net, sigma in (({}, 'spikerir_small_colorreal', None),
                                ({'sigma': 25}, 'spikerir_small_color25', None),
                                ({'name': 'ffdnet_color', 'sigma': 40}, 'ffdnet_color', 40)):
        told = {} if sigma is None else {'sigma': sigma}
        expected = load(net, 'auto')(tensor, **told)[0].permute(1, 2, 0).clamp(0, 1).numpy()
        np.testing.assert_allclose(denoise(NOISY.astype(np.float32), **options), expected, atol=2e-4)


def test_python_and_the_command_give_the_same_file(tmp_path):
    write_picture(tmp_path / 'a.png', EIGHT)
    assert main(['denoise', '-i', str(tmp_path / 'a.png'), '-o', str(tmp_path / 'b.png'), '--strength', '0.7']) == 0
    written = cv2.imread(str(tmp_path / 'b.png'))[..., ::-1]
    np.testing.assert_allclose(denoise(EIGHT, strength=0.7).astype(int), written, atol=1)
    np.testing.assert_array_equal(denoise(tmp_path / 'a.png', strength=0.7), denoise(EIGHT, strength=0.7))
    np.testing.assert_array_equal(denoise(str(tmp_path / 'a.png'), strength=0), EIGHT)


@pytest.mark.parametrize('mode', ['L', 'LA', 'RGB', 'RGBA', 'I;16'])
def test_a_pil_image_comes_back_in_its_mode(mode):
    image = Image.fromarray(as_kind('uint16')[..., 0]) if mode == 'I;16' else Image.fromarray(EIGHT).convert(mode)
    image.info['dpi'] = (300, 300)
    if mode.endswith('A'):
        image.putalpha(Image.fromarray(EIGHT[..., 0]))
    result = denoise(image)
    assert (result.mode, result.size, result.info) == (mode, image.size, image.info)
    if mode.endswith('A'):
        np.testing.assert_array_equal(np.asarray(result)[..., -1], EIGHT[..., 0])
    assert not np.array_equal(np.asarray(result)[..., :1], np.asarray(image)[..., :1])


@pytest.mark.parametrize('alpha', [False, True])
@pytest.mark.parametrize('channels', [1, 3])
def test_a_file_of_sixteen_bits_gives_sixteen(tmp_path, channels, alpha):
    stored = as_kind('uint16')[..., :channels]
    write_picture(tmp_path / 'a.tif', stored, alpha=stored[..., 0] if alpha else None)
    result = denoise(tmp_path / 'a.tif')
    assert result.dtype == np.uint16
    assert result.shape == ((48, 56) if channels == 1 and not alpha else (48, 56, channels + alpha))


@pytest.mark.parametrize(('picture', 'options', 'sentence'), [
    (EIGHT.astype(np.float32), {}, 'a float picture with values from .* 0..1 is meant; .* picture / 255'),
    (np.full((9, 9), np.nan), {}, 'holds NaN or infinity'),
    (EIGHT.astype(np.int64), {}, 'an array of int64 was given'),
    (EIGHT.transpose(2, 0, 1), {}, r'channels are last here: give picture.transpose\(1, 2, 0\)'),
    (np.zeros((9, 9, 4), np.uint8), {}, r'without alpha: give picture\[..., :3\]'),
    (np.zeros((0, 9), np.uint8), {}, 'is no picture'),
    (np.zeros(9, np.uint8), {}, 'is no picture'),
    (torch.zeros(1, 3, 9, 9), {}, 'a tensor, which a network of basicsr_snn.load takes'),
    ([[1, 2]], {}, 'denoise was given list'),
    (Image.new('CMYK', (9, 9)), {}, r"a PIL image of mode CMYK was given, .* give image.convert\('RGB'\)"),
    ('nowhere.png', {}, 'nowhere.png cannot be read'),
    (EIGHT, {'sigma': 'high'}, "sigma='high' is no noise level"),
    (EIGHT, {'sigma': -1}, 'sigma=-1 is no noise level'),
    (EIGHT, {'strength': 3}, 'strength=3 is none'),
    (EIGHT, {'name': 'ffdnet'}, 'did you mean ffdnet_color'),
    (EIGHT, {'name': 'dncnn_color_blind', 'sigma': 15}, 'takes no noise level'),
])
def test_every_misuse_has_its_sentence(picture, options, sentence):
    with pytest.raises(UserError, match=sentence):
        denoise(picture, **options)


def test_inks_of_a_file_are_refused(tmp_path):
    Image.new('CMYK', (9, 9)).save(tmp_path / 'a.jpg')
    with pytest.raises(UserError, match='four inks'):
        denoise(tmp_path / 'a.jpg')


@pytest.mark.parametrize(('channels', 'level', 'student'), [
    (3, 24.1, 25), (3, 13.2, 15), (3, 52.4, 50), (3, 33.3, 33), (3, 0.2, 1), (1, 24.1, 24)])
def test_an_estimate_near_a_student_is_taken_for_its_level(channels, level, student):
    assert level_of_a_student(channels, level) == student


def test_auto_is_the_level_that_is_estimated():
    found = estimate_noise_level(NOISY)
    assert found == pytest.approx(25, abs=2)
    np.testing.assert_array_equal(denoise(EIGHT, 'auto'), denoise(EIGHT, 25))
