"""``basicsr-snn restore``: networks chosen by task, pictures that become larger, tasks and networks that do not fit."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from denoising import as_batch, as_stored, read, save, smooth_picture
from own_zoo import network, weights
from PIL import Image

import basicsr_snn
from basicsr_snn.cli.main import main
from basicsr_snn.engines import placing
from basicsr_snn.exporting import export
from basicsr_snn.images.enlarging import enlarged
from basicsr_snn.images.limits import VARIABLE
from basicsr_snn.inference.defaults import TASKS
from basicsr_snn.weight_files.card import Card


def restore(*arguments: object) -> int:
    return main(['restore', *map(str, arguments)])


@pytest.mark.parametrize('scale', [2, 4])
def test_a_picture_becomes_larger_in_tiles_views_and_sixteen_bits_too(inside, scale):
    net = weights(inside / 'net.pth', scale=scale)
    stored = save(inside / 'in' / 'a.png', smooth_picture(61, 50, 3))
    deep = save(inside / 'in' / 'b.png', smooth_picture(22, 30, 3, bits=16))
    assert restore('--task', f'sr{scale}', '--weights', 'net.pth', '-i', 'in', '-o', 'out') == 0
    with torch.no_grad():
        expected = as_stored(net(as_batch(stored)), np.uint8)
        np.testing.assert_allclose(read(inside / 'out' / 'a.png').astype(int), expected, atol=1)
        expected = as_stored(net(as_batch(deep)), np.uint16)
    result = read(inside / 'out' / 'b.png')
    assert (result.dtype, result.shape) == (np.uint16, (22 * scale, 30 * scale, 3))
    np.testing.assert_allclose(result.astype(int), expected, atol=2)
    for where, tile in (('tiles', 16), ('whole', 0)):
        assert restore('--weights', 'net.pth', '-i', 'in/*.png', '-o', where, '-t', tile, '--views', 2,
                       '--suffix', 'x') == 0
    tiled, whole = (read(inside / where / 'a_x.png').astype(int) for where in ('tiles', 'whole'))
    assert np.abs(tiled - whole).mean() < 0.1


@pytest.mark.slow
def test_engines_enlarge_as_torch_does(inside, monkeypatch):
    monkeypatch.setattr(placing, 'graph_of', lambda trained, int8: inside / 'net.onnx')
    block, net = network(scale=2, blocks=[1, 0])
    torch.save({'params': Card(block).on(net.state_dict())}, 'net.pth')
    export(net, block, 'onnx', inside / 'net.onnx', int8=True)
    save(inside / 'in' / 'a.png', smooth_picture(21, 30, 3))
    for engine in ('torch', 'onnxruntime', 'openvino'):
        if engine != 'torch':
            pytest.importorskip(engine)
        assert restore('--task', 'sr2', '-n', 'net.pth', '-i', 'in', '-o', engine, '--engine', engine) == 0
        by_torch, by_engine = (read(inside / where / 'a.png').astype(int) for where in ('torch', engine))
        assert by_torch.shape == by_engine.shape == (42, 60, 3)
        assert np.abs(by_torch - by_engine).mean() < 2  # weights of 8 bits


def test_grey_alpha_strength_and_what_the_file_carries(inside, capsys):
    weights(inside / 'net.pth', scale=2)
    (inside / 'in').mkdir()
    grey, alpha = smooth_picture(12, 14), smooth_picture(12, 14, seed=1)
    Image.fromarray(np.dstack([grey, alpha]), 'LA').save('in/a.png')
    exif = Image.Exif()
    exif[256], exif[271] = 14, 'Kamera'
    Image.fromarray(smooth_picture(12, 14, 3)).save('in/b.jpg', exif=exif, dpi=(300, 300))
    arguments = ('--task', 'sr2', '-n', 'net.pth', '-i', 'in', '-o', 'out', '--strength', 0, '--json')
    assert restore(*arguments) == 0
    told = {Path(one['input']).name: one for one in json.loads(capsys.readouterr().out)['pictures']}
    assert (told['a.png']['width'], told['a.png']['scale']) == (14, 2)
    result = read(inside / 'out' / 'a.png')
    assert np.array_equal(result[..., 3], enlarged(alpha[..., None], 2)[..., 0])
    assert np.abs(result[..., 0].astype(int) - enlarged(grey[..., None], 2)[..., 0]).max() <= 1
    photograph = Image.open('out/b.jpg')
    assert (photograph.size, photograph.info['dpi']) == ((28, 24), (300, 300))
    assert dict(photograph.getexif()) == {256: 28, 271: 'Kamera'}


def test_python_enlarges_what_it_is_given(inside):
    net = weights(inside / 'net.pth', scale=2)
    stored = smooth_picture(12, 14, 3)
    rgb = np.ascontiguousarray(stored[..., ::-1])
    with torch.no_grad():
        expected = as_stored(net(as_batch(stored)), np.uint8)[..., ::-1]
    answer = basicsr_snn.denoise(rgb, name=inside / 'net.pth')
    np.testing.assert_allclose(answer.astype(int), expected, atol=1)
    image = basicsr_snn.denoise(Image.fromarray(np.dstack([rgb, rgb[..., 0]])), name=inside / 'net.pth')
    assert (image.mode, image.size) == ('RGBA', (28, 24))
    assert basicsr_snn.denoise(rgb[..., 0] / np.float32(255), name=inside / 'net.pth').shape == (24, 28)


def test_the_network_of_a_task_is_chosen_by_what_its_row_says(zoo_of, inside, capsys):
    zoo_of(a_sr2=({'scale': 2}, {'does': 'sr2'}), b_sr2=({'scale': 2}, {'does': 'sr2', 'default': True}),
           c_sr2=({'scale': 2, 'in_ch': 1}, {'does': 'sr2'}), d_rain=({}, {'does': 'derain'}),
           e_noise=({}, {'noise': 25}))
    save(inside / 'in' / 'colour.png', smooth_picture(12, 14, 3))
    save(inside / 'in' / 'grey.png', smooth_picture(12, 14))
    assert restore('--task', 'sr2', '-i', 'in', '-o', 'out') == 0
    told = capsys.readouterr().err
    assert 'colour pictures are restored by b_sr2\n' in told
    assert 'grey pictures are restored by c_sr2\n' in told
    assert read(inside / 'out' / 'colour.png').shape == (24, 28, 3)
    assert restore('--task', 'derain', '-i', 'in', '-o', 'rain') == 0
    told = capsys.readouterr().err
    assert all(f'{kind} pictures are restored by d_rain\n' in told for kind in ('colour', 'grey'))
    assert main(['list', '--json']) == 0
    does = {row['name']: row['does'] for row in json.loads(capsys.readouterr().out)['networks']}
    assert does == {'a_sr2': 'sr2', 'b_sr2': 'sr2', 'c_sr2': 'sr2', 'd_rain': 'derain', 'e_noise': 'denoise'}
    assert restore('--task', 'deblur', '-i', 'in', '-o', 'sharp') == 2
    assert capsys.readouterr().err == (
        'basicsr-snn: no network for --task deblur ships yet; train one with an option file that says task: deblur and '
        'give its weight file as --weights FILE or -n FILE.\n')
    assert restore('--task', 'derain', '-n', 'a_sr2', '-i', 'in', '-o', 'other') == 2
    assert capsys.readouterr().err.endswith(
        'basicsr-snn: a_sr2 was trained for --task sr2, but derain was asked for; type basicsr-snn restore --task sr2, '
        'or choose another network.\n')


def test_denoise_is_one_of_the_tasks(inside, capsys):
    save(inside / 'in' / 'a.png', smooth_picture(24, 20, 3))
    told = []
    for verb in (['denoise'], ['restore', '--task', 'denoise']):
        assert main([*verb, '-i', 'in', '-o', verb[0], '--noise', '25', '--gt', '--engine', 'torch']) == 0
        told.append(capsys.readouterr())
    assert np.array_equal(read(inside / 'denoise' / 'a.png'), read(inside / 'restore' / 'a.png'))
    assert told[0].err == told[1].err
    assert told[0].out.replace('denoise', '') == told[1].out.replace('restore', '').replace('denoise', '')


@pytest.mark.parametrize(('task', 'options'), [('derain', {}), ('jpeg', {}), ('deblur', {}), ('denoise', {}),
                                               ('sr4', {'scale': 4}), (None, {'scale': 3})])
def test_your_own_network_does_any_task(inside, task, options):
    weights(inside / 'net.pth', task if task in TASKS else None, **options)
    save(inside / 'in' / 'a.png', smooth_picture(12, 14, 3))
    asked = () if task is None else ('--task', task)
    assert restore(*asked, '-n', 'net.pth', '-i', 'in', '-o', 'out') == 0
    factor = options.get('scale', 1)
    assert read(inside / 'out' / 'a.png').shape == (12 * factor, 14 * factor, 3)


@pytest.mark.parametrize(('task', 'as_input'), [('jpeg', False), ('derain', True), (None, False)])
def test_a_jpeg_freed_from_its_traces_is_not_written_with_the_tables_that_made_them(inside, task, as_input):
    """Without a task that is given, the weight file says it."""
    weights(inside / 'net.pth', task or 'jpeg')
    (inside / 'in').mkdir()
    Image.fromarray(smooth_picture(24, 20, 3)).save(inside / 'in' / 'a.jpg', quality=10)
    assert restore(*(('--task', task) if task else ()), '-n', 'net.pth', '-i', 'in', '-o', 'out') == 0
    with Image.open(inside / 'in' / 'a.jpg') as given, Image.open(inside / 'out' / 'a.jpg') as result:
        assert (given.quantization == result.quantization) == as_input


NAMED = ('-n', 'net.pth')


@pytest.mark.parametrize(('arguments', 'options', 'task', 'sentence'), [
    ((), {}, None, 'no task was given; add --task and one of denoise, sr2, sr4, derain, jpeg, deblur, or name'),
    (('--task', 'sr3', *NAMED), {}, None, "argument --task: invalid choice: 'sr3'"),
    (('--task', 'sr2', *NAMED), {}, None, 'net keeps the size of pictures, but --task sr2 asks for a network for'),
    (('--task', 'sr2', *NAMED), {'scale': 4}, None, 'net enlarges pictures 4 times, but --task sr2 asks for a'),
    (('--task', 'jpeg', *NAMED), {'scale': 2}, None, 'net enlarges pictures 2 times, but --task jpeg asks for a'),
    (('--task', 'derain', *NAMED), {}, 'jpeg', 'net was trained for --task jpeg, but derain was asked for'),
    (('--task', 'sr2', '--noise', 25, *NAMED), {'scale': 2}, None, '--noise is for --task denoise, but --task sr2 was'),
    (('--task', 'sr2', '--sigma', 25, *NAMED), {'scale': 2}, None, '--sigma is for --task denoise, but --task sr2 was'),
    (('--task', 'jpeg', '--gt'), {}, None, '--gt is for --task denoise, but --task jpeg was given; leave it out'),
    (('--noise', 25, '--gt', *NAMED), {'scale': 2}, None, '--gt was given, but net enlarges pictures, so that'),
    (NAMED, {'in_ch': 4}, None, 'net reads 4 channels and writes 4, but picture files have 1 or 3 of them; call'),
    (NAMED, {'out_ch': 1}, None, 'net reads 3 channels and writes 1, but picture files have 1 or 3 of them'),
])
def test_what_does_not_fit_is_said_before_anything_is_written(inside, capsys, arguments, options, task, sentence):
    weights(inside / 'net.pth', task, **options)
    save(inside / 'in' / 'a.png', smooth_picture(12, 14, 3))
    assert restore(*arguments, '-i', 'in', '-o', 'out') == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert len([line for line in told.splitlines() if ' INFO: ' not in line]) == 1
    assert not (inside / 'out').exists()


def test_denoise_refuses_a_network_that_enlarges(inside, capsys):
    weights(inside / 'net.pth', 'sr2', scale=2)
    save(inside / 'in' / 'a.png', smooth_picture(12, 14, 3))
    assert main(['denoise', '-n', 'net.pth', '-i', 'in', '-o', 'out']) == 2
    assert 'net was trained for --task sr2, but denoise was asked for; type basicsr-snn restore --task sr2' in (
        capsys.readouterr().err)


def test_a_result_of_more_pixels_than_are_allowed_is_refused(inside, capsys, monkeypatch):
    monkeypatch.setenv(VARIABLE, '1')  # and so set back behind the test: the command allows for the whole process
    weights(inside / 'net.pth', scale=4)
    save(inside / 'in' / 'a.png', smooth_picture(60, 60, 3))
    assert restore('-n', 'net.pth', '-i', 'in', '-o', 'out', '--max_megapixels', 0.01) == 1
    assert 'the result for in/a.png declares 240x240 pixels, which is 0.058 megapixels' in (
        ' '.join(capsys.readouterr().err.split()))
