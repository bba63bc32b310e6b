"""``basicsr-snn denoise`` on pictures of all kinds."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from denoising import SMALL, as_batch, as_stored, denoise, option_file, read, save, smooth_picture
from PIL import Image, ImageCms
from skimage.metrics import peak_signal_noise_ratio

from basicsr_snn import load, zoo
from basicsr_snn.archs.dncnn_arch import DnCNN


def test_result_is_that_of_the_network(tmp_path):
    stored = save(tmp_path / 'in' / 'a.png', smooth_picture(13, 10, 3))
    assert denoise('-i', tmp_path / 'in' / 'a.png', '-o', tmp_path / 'out', '-n', 'ffdnet_color') == 0
    expected = as_stored(load('ffdnet_color')(as_batch(stored)), np.uint8)
    np.testing.assert_allclose(read(tmp_path / 'out' / 'a.png').astype(int), expected, atol=1)  # a half may tip


def test_grey_noise_of_another_level_than_was_trained_for_is_removed(tmp_path, capsys):
    save(tmp_path / 'in' / 'a.png', smooth_picture(96, 96))
    gains = {}
    for arguments in ((), ('--sigma', 25)):  # told rightly, and told the level of the training
        assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', '--overwrite', '--noise', 60, '--gt',
                       *arguments) == 0
        noisy, restored = re.search(r'a\.png\D+([\d.]+)\D+([\d.]+)', capsys.readouterr().out).groups()
        gains[arguments] = float(restored) - float(noisy)
    assert gains[()] > gains[('--sigma', 25)] + 5


@pytest.mark.parametrize(('level', 'colour', 'grey'), [(30, 'color25, at 0.83 times', 'gray25, at 0.83 times'),
                                                       (75, 'color50, at 0.67 times', 'gray25, at 0.33 times'),
                                                       (5, 'colorblind\n', 'colorblind\n')])
def test_at_other_levels_the_better_of_blind_and_another_contrast_is_taken(tmp_path, capsys, level, colour, grey):
    save(tmp_path / 'in' / 'colour.png', smooth_picture(13, 10, 3))
    save(tmp_path / 'in' / 'grey.png', smooth_picture(13, 10))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', '--sigma', level) == 0
    said = capsys.readouterr().err
    assert f'colour pictures are restored by spikerir_small_{colour}' in said.replace(' on OpenVINO, int8', '')
    assert f'grey pictures are restored by spikerir_small_{grey}' in said.replace(' on OpenVINO, int8', '')


@pytest.mark.parametrize(('level', 'colour'), [(None, 'colorreal'), (15, 'color15'), (10, 'colorblind')])
def test_students_are_chosen_by_channels_and_noise_level(tmp_path, capsys, level, colour):
    stored = save(tmp_path / 'in' / 'colour.png', smooth_picture(13, 10, 3))
    grey = save(tmp_path / 'in' / 'grey.png', smooth_picture(13, 10))
    told = () if level is None else ('--sigma', level)
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', '--engine', 'torch', *told) == 0
    said = capsys.readouterr().err
    assert f'colour pictures are restored by spikerir_small_{colour}\n' in said
    of_grey = 'colorreal' if level is None else (
        f'gray25, at {25 / level:.2g} times the contrast, as it was trained for 25')
    assert f'grey pictures are restored by spikerir_small_{of_grey}\n' in said
    expected = as_stored(load(f'spikerir_small_{colour}')(as_batch(stored)), np.uint8)
    np.testing.assert_allclose(read(tmp_path / 'out' / 'colour.png').astype(int), expected, atol=1)
    given = torch.from_numpy(grey.astype(np.float32) / 255)[None, None]
    if level is None:
        restored = load('spikerir_small_colorreal')(given.expand(-1, 3, -1, -1)).mean(1, keepdim=True)
    else:
        factor = 25 / level
        restored = (load('spikerir_small_gray25')((given - 0.5) * factor + 0.5) - 0.5) / factor + 0.5
    np.testing.assert_allclose(read(tmp_path / 'out' / 'grey.png').astype(int),
                               restored[0, 0].mul(255).round().clamp(0, 255), atol=1)


@pytest.mark.parametrize(('engine', 'words'), [('openvino', 'OpenVINO'), ('auto', 'OpenVINO'),
                                               ('onnxruntime', 'ONNX Runtime')])
def test_an_engine_restores_what_torch_restores(tmp_path, capsys, monkeypatch, engine, words):
    for package in ('openvino', 'onnxruntime'):
        pytest.importorskip(package)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    save(tmp_path / 'in' / 'a.png', smooth_picture(61, 90, 3))
    scores = {}
    for chosen in ('torch', engine):
        assert denoise('-i', tmp_path / 'in', '-o', tmp_path / chosen, '--noise', 25, '--gt', '--engine', chosen) == 0
        told = capsys.readouterr()
        scores[chosen] = float(re.search(r'a\.png\D+[\d.]+\D+([\d.]+)', told.out).group(1))
    assert f'colour pictures are restored by spikerir_small_color25 on {words}, int8\n' in told.err
    assert scores[engine] == pytest.approx(scores['torch'], abs=0.1)  # 8-bit weights, a smooth picture
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'tiles', '--engine', engine, '-t', 24, '--views', 2,
                   '-n', 'spikerir_tiny_color25') == 0
    assert 'colour pictures are restored on' in capsys.readouterr().err


def test_sixteen_bits_stay_sixteen(tmp_path, small):
    stored = save(tmp_path / 'in' / 'a.png', smooth_picture(9, 12, 3, bits=16))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', *small) == 0
    net = DnCNN(nc=4, nb=3)
    net.load_state_dict(torch.load(tmp_path / 'net.pth'))
    result = read(tmp_path / 'out' / 'a.png')
    assert result.dtype == np.uint16
    np.testing.assert_allclose(result.astype(int), as_stored(net(as_batch(stored)), np.uint16), atol=1)


def test_alpha_is_copied(tmp_path, small):
    stored = save(tmp_path / 'in' / 'a.png', smooth_picture(9, 12, 4))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', *small) == 0
    result = read(tmp_path / 'out' / 'a.png')
    assert result.shape == (9, 12, 4)
    np.testing.assert_array_equal(result[:, :, 3], stored[:, :, 3])
    assert not np.array_equal(result[:, :, :3], stored[:, :, :3])


def test_grey_with_alpha_is_grey(tmp_path, capsys):
    grey, alpha = smooth_picture(12, 14), smooth_picture(12, 14, seed=1)
    (tmp_path / 'in').mkdir()
    Image.fromarray(np.dstack([grey, alpha]), 'LA').save(tmp_path / 'in' / 'a.png')
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out') == 0
    assert 'grey pictures are restored by spikerir_small_colorreal' in capsys.readouterr().err
    result = read(tmp_path / 'out' / 'a.png')
    assert np.array_equal(result[..., 0], result[..., 1])
    assert np.array_equal(result[..., 0], result[..., 2])
    assert np.array_equal(result[..., 3], alpha)


def test_what_a_photograph_carries_is_kept_and_what_is_lost_is_told(tmp_path, small, capsys):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('LAB')).tobytes()
    exif = Image.Exif()
    exif[271], exif[274] = 'Kamera', 6
    (tmp_path / 'in').mkdir()
    photograph = Image.fromarray(smooth_picture(12, 14, 3))
    photograph.save(tmp_path / 'in' / 'a.jpg', icc_profile=profile, exif=exif, dpi=(300, 300), quality=80)
    photograph.save(tmp_path / 'in' / 'b.webp', icc_profile=profile, exif=b'broken')
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', *small) == 0
    result = Image.open(tmp_path / 'out' / 'a.jpg')
    assert result.info['icc_profile'] == profile
    assert dict(result.getexif()) == {271: 'Kamera', 274: 1}
    assert (result.size, result.info['dpi']) == ((12, 14), (300, 300))
    assert result.quantization == Image.open(tmp_path / 'in' / 'a.jpg').quantization
    assert Image.open(tmp_path / 'out' / 'b.webp').info['icc_profile'] == profile
    said = capsys.readouterr().err
    assert said.count('the result is without') == 1
    assert 'b.webp: the result is without EXIF data (damaged)\n' in said


@pytest.mark.parametrize('kind', ['jpeg', 'tiff'])
def test_inks_are_refused(tmp_path, small, capsys, kind):
    Image.fromarray(smooth_picture(12, 14, 3)).convert('CMYK').save(tmp_path / f'a.{kind}')
    assert denoise('-i', tmp_path / f'a.{kind}', '-o', tmp_path / 'out', *small) == 1
    assert f'a.{kind} stores the colours of four inks (CMYK)' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_bits_and_quality_can_be_asked_for(tmp_path, small):
    stored = save(tmp_path / 'in' / 'a.png', smooth_picture(64, 64, 3, bits=16))
    sizes = []
    for quality in (20, 95):
        assert denoise('-i', tmp_path / 'in', '-o', tmp_path / str(quality), '--ext', 'jpg', '--bits', 8, '--quality',
                       quality, *small) == 0
        sizes.append((tmp_path / str(quality) / 'a.jpg').stat().st_size)
    assert sizes[0] < sizes[1]
    for bits in (8, 16):
        assert denoise('-i', tmp_path / 'in', '-o', tmp_path / f'{bits} bits', '--bits', bits, '--noise', 25, '--gt',
                       *small) == 0
    eight, sixteen = (read(tmp_path / f'{bits} bits' / 'a.png') for bits in (8, 16))
    assert (eight.dtype, sixteen.dtype) == (np.uint8, np.uint16)
    np.testing.assert_allclose(eight, sixteen / 257, atol=0.51)
    assert stored.dtype == np.uint16


@pytest.mark.parametrize('key', ['params', 'params_ema'])
def test_the_entry_of_the_option_file_is_loaded(tmp_path, key):
    torch.manual_seed(1)
    network = {**SMALL, 'in_nc': 3, 'out_nc': 3}
    nets = {'params': zoo.build(network), 'params_ema': zoo.build(network)}
    options = option_file(tmp_path, network, {name: net.state_dict() for name, net in nets.items()},
                          pretrain_network_g=str(tmp_path / 'net.pth'),
                          **({} if key == 'params' else {'param_key_g': key}))  # params is BasicSR's default
    stored = save(tmp_path / 'in' / 'a.png', smooth_picture(12, 14, 3))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', '-opt', options) == 0
    np.testing.assert_allclose(read(tmp_path / 'out' / 'a.png').astype(int),
                               as_stored(nets[key].eval()(as_batch(stored)), np.uint8), atol=1)


@pytest.mark.parametrize('bits', [8, 16])
def test_grey_goes_through_a_colour_network_three_times(tmp_path, small, bits):
    stored = save(tmp_path / 'in' / 'a.png', smooth_picture(9, 12, bits=bits))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', *small) == 0
    net = DnCNN(nc=4, nb=3)
    net.load_state_dict(torch.load(tmp_path / 'net.pth'))
    answer = net(as_batch(np.dstack([stored] * 3)))
    result = read(tmp_path / 'out' / 'a.png')
    assert result.shape == (9, 12)
    expected = as_stored(answer.mean(1, keepdim=True).expand(1, 3, 9, 12), result.dtype.type)[..., 0]
    np.testing.assert_allclose(result.astype(int), expected, atol=1)


def test_colour_goes_through_a_grey_network_channel_by_channel(tmp_path, capsys):
    options = option_file(tmp_path, {**SMALL, 'in_nc': 1, 'out_nc': 1}, pretrain_network_g=str(tmp_path / 'net.pth'))
    stored = save(tmp_path / 'in' / 'a.png', smooth_picture(9, 12, 3))
    save(tmp_path / 'in' / 'b.png', smooth_picture(9, 12, 3, seed=1))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', '-opt', options) == 0
    net = DnCNN(in_nc=1, out_nc=1, nc=4, nb=3)
    net.load_state_dict(torch.load(tmp_path / 'net.pth'))
    answer = torch.cat([net(as_batch(stored)[:, channel:channel + 1]) for channel in range(3)], dim=1)
    np.testing.assert_allclose(read(tmp_path / 'out' / 'a.png').astype(int), as_stored(answer, np.uint8), atol=1)
    assert capsys.readouterr().err.count('channel by channel') == 1


def test_a_bad_file_does_not_stop_the_others(tmp_path, small, capsys):
    for name in ('a.png', 'c.png'):
        save(tmp_path / 'in' / name, smooth_picture(9, 12, 3))
    (tmp_path / 'in' / 'b.png').write_bytes(b'no picture')
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', *small) == 1
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['a.png', 'c.png']
    caught = capsys.readouterr()
    assert '2 of 3 pictures written' in caught.out
    assert '1 of 3 pictures failed' in caught.err
    assert re.search(r'^  \S*in/b\.png is no readable picture', caught.err, re.MULTILINE)


def test_nan_is_a_failure_and_not_a_picture(tmp_path, capsys):
    weights = {name: torch.full_like(value, torch.nan) for name, value in DnCNN(nc=4, nb=3).state_dict().items()}
    options = option_file(tmp_path, {**SMALL, 'in_nc': 3, 'out_nc': 3}, weights)
    save(tmp_path / 'in' / 'a.png', smooth_picture(9, 12, 3))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', '-opt', options, '--weights',
                   tmp_path / 'net.pth') == 1
    assert not (tmp_path / 'out' / 'a.png').exists()
    assert 'NaN or infinity' in capsys.readouterr().err


def test_tiles_give_the_same_file(tmp_path, small, capsys):
    save(tmp_path / 'in' / 'a.png', smooth_picture(37, 50, 3))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'whole', '-t', 0, *small) == 0
    assert 'in tiles of' not in capsys.readouterr().err
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'tiled', '-t', 16, '--tile_pad', 4, *small) == 0
    assert '50x37 pixels, in tiles of 16 + 2 x 4' in capsys.readouterr().err
    difference = read(tmp_path / 'whole' / 'a.png').astype(int) - read(tmp_path / 'tiled' / 'a.png')
    assert np.abs(difference).max() <= 1


def noisy_picture(stored: np.ndarray, sigma: float, seed: int) -> torch.Tensor:
    """The test protocol in its own words: noise on the float RGB picture in height, width, channel order."""
    rgb = stored[..., ::-1].astype(np.float32) / 255
    np.random.seed(seed)
    rgb += np.random.normal(0, sigma / 255, rgb.shape)
    return torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None]


@pytest.mark.parametrize('seed', [0, 7])
def test_noise_follows_the_test_protocol(tmp_path, small, seed):
    stored = save(tmp_path / 'in' / 'a.png', smooth_picture(9, 12, 3))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', '--noise', 25, '--seed', seed, *small) == 0
    net = DnCNN(nc=4, nb=3)
    net.load_state_dict(torch.load(tmp_path / 'net.pth'))
    expected = as_stored(net(noisy_picture(stored, 25, seed)), np.uint8)
    np.testing.assert_allclose(read(tmp_path / 'out' / 'a.png').astype(int), expected, atol=1)


def test_printed_scores_are_those_of_the_written_files(tmp_path, capsys):
    stored = [save(tmp_path / 'in' / f'{name}.png', smooth_picture(40, 32, 3, seed=seed))
              for seed, name in enumerate('ab')]
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', '-n', 'ffdnet_color', '--noise', 25, '--gt') == 0
    printed = [[float(number) for number in re.findall(r'\d+\.\d+', line)]
               for line in capsys.readouterr().out.splitlines() if re.search(r'\b(a\.png|b\.png|mean)\b', line)]
    expected = []
    for name, clean in zip('ab', stored, strict=True):
        result, noisy = read(tmp_path / 'out' / f'{name}.png'), as_stored(noisy_picture(clean, 25, 0), np.uint8)
        expected.append([peak_signal_noise_ratio(clean, noisy), peak_signal_noise_ratio(clean, result)])
    expected.append(np.mean(expected, axis=0))
    np.testing.assert_allclose(np.array(printed)[:, :2], expected, atol=0.006)
    assert printed[2][1] > printed[2][0] + 5  # it does denoise


def test_pictures_too_small_for_ssim_have_none(tmp_path, small, capsys):
    save(tmp_path / 'in' / 'a.png', smooth_picture(5, 4, 3))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', '--noise', 25, '--gt', *small) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if 'a.png' in line)
    assert len(re.findall(r'\d+\.\d+', line)) == 2
    assert line.count(' - ') == 2


@pytest.mark.parametrize(('arguments', 'told'), [
    ((), 25.0), (('--sigma', 60), 60.0), (('--noise', 15), 15.0), (('--noise', 15, '--sigma', 0), 0.0)])
def test_noise_level_told_to_the_network(tmp_path, arguments, told):
    stored = save(tmp_path / 'in' / 'a.png', smooth_picture(12, 14, 3))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', '-n', 'ffdnet_color', *arguments) == 0
    given = noisy_picture(stored, 15, 0) if '--noise' in arguments else as_batch(stored)
    expected = as_stored(load('ffdnet_color')(given, sigma=told), np.uint8)
    np.testing.assert_allclose(read(tmp_path / 'out' / 'a.png').astype(int), expected, atol=1)


@pytest.mark.parametrize(('arguments', 'sentence'), [
    ('--gt', '--gt was given without --noise'),
    ('--weights net.pth', 'was given without -opt'),
    ('-n ffdnet_color -opt x.yml', 'not allowed with argument'),
    ('-n ffdnet', 'did you mean ffdnet_color'),
    ('-n dncnn_color_blind --sigma 15', 'DnCNN takes no noise level'),
    ('-t -3', 'argument -t/--tile'),
    ('-t 1.5', "'1.5' is no number of pixels"),
    ('--noise x', "'x' is no noise level; write a number from 0 to 255"),
    ('--noise nan', "'nan' is no noise level"),
    ('--ext gif', '--ext .gif is not known'),
    ('--suffix ../x', 'would leave the folder'),
    ('-opt x.yml', 'names no weights'),
    ('-opt x.yml --weights nett.pth', 'did you mean net.pth'),
    ('-opt noblock.yml', 'has no network_g block'),
    ('-opt broken.yml', 'is not valid YAML'),
    ('-opt twice.yml --weights twice.pth', 'a network for restoration at scale 1'),
])
def test_mistakes_are_explained(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    twice = {'type': 'MSRResNet', 'num_feat': 4, 'num_block': 1, 'upscale': 2}
    option_file(tmp_path, twice).rename('twice.yml')
    Path('net.pth').rename('twice.pth')
    option_file(tmp_path, {**SMALL, 'in_nc': 3, 'out_nc': 3})
    Path('noblock.yml').write_text('name: x\n')
    Path('broken.yml').write_text('a: [1\nb: 2\n')
    save(tmp_path / 'in' / 'a.png', smooth_picture(9, 12, 3))
    assert denoise('-i', 'in', '-o', 'out', *arguments.split()) == 2
    assert sentence in capsys.readouterr().err
    assert not Path('out').exists()


def test_mistakes_of_paths_are_explained(tmp_path, small, capsys):
    save(tmp_path / 'pictures' / 'a.png', smooth_picture(9, 12, 3))
    (tmp_path / 'empty').mkdir()
    for given, output, sentence in [
        ('picture', 'out', 'did you mean pictures'),
        ('empty', 'out', 'no pictures in'),
        ('pictures', 'pictures/a.png', 'is a file, but results go to a folder'),
    ]:
        assert denoise('-i', tmp_path / given, '-o', tmp_path / output, *small) == 2
        assert sentence in capsys.readouterr().err
