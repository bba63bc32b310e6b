"""Networks recognised by their weight file: against spandrel's own call, and as teachers with a decoder pyramid."""
from __future__ import annotations

import builtins

import pytest
import torch
import yaml
from basicsr.archs import build_network
from trainings import built, distilling, log_of, read_csv, train

from basicsr_snn import load
from basicsr_snn.archs.pretrained_arch import PretrainedANN
from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.zoo import FOLDER
from basicsr_snn.zoo.trained_network import TrainedNetwork

spandrel = pytest.importorskip('spandrel')

DNCNN = FOLDER / 'dncnn_color_blind.pth'


def network_file(folder, kind: str) -> str:
    """A file of random weights of one of spandrel's architectures."""
    from spandrel.architectures.DRUNet import DRUNet
    from spandrel.architectures.NAFNet import NAFNet

    torch.manual_seed(0)
    net = (NAFNet(img_channel=3, width=4, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1])
           if kind == 'NAFNet' else DRUNet(in_nc=4, out_nc=3, nc=[4, 4, 4, 4], nb=2))
    for name, parameter in net.named_parameters():
        if name.endswith(('beta', 'gamma')):  # NAFNet begins with them at 0
            torch.nn.init.normal_(parameter)
    file = folder / f'{kind}.pth'
    torch.save(net.state_dict(), file)
    return str(file)


def picture(*size: int) -> torch.Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))


def test_yaml_of_the_docstring_builds_the_network(monkeypatch):
    monkeypatch.chdir(FOLDER.parent.parent)
    options = yaml.safe_load(PretrainedANN.__doc__.split('.. code-block:: yaml')[1])['network_g']
    net = build_network(options)
    assert isinstance(net, PretrainedANN)
    torch.testing.assert_close(net(picture(13, 9)), load('dncnn_color_blind')(picture(13, 9)), atol=1e-5, rtol=0)


@pytest.mark.parametrize('size', [(16, 16), (21, 18), (1, 1), (3, 40)])
@pytest.mark.parametrize('kind', ['NAFNet', 'DRUNet'])
def test_pictures_of_any_size_are_those_of_spandrels_call(tmp_path, kind, size):
    file = network_file(tmp_path, kind)
    net, theirs = PretrainedANN(file, sigma=15), spandrel.ModelLoader('cpu').load_from_file(file)
    height, width = size
    padded = torch.nn.functional.pad(picture(*size), (0, -width % 8, 0, -height % 8),
                                     mode='reflect' if min(size) > 7 else 'replicate')
    given = padded if kind == 'DRUNet' else picture(*size)
    with torch.no_grad():
        mine = net(picture(*size)).clamp(0, 1)
    torch.testing.assert_close(mine, theirs(given)[..., :height, :width], atol=1e-5, rtol=0)


def test_noise_level_reaches_a_network_that_reads_it(tmp_path):
    net = PretrainedANN(network_file(tmp_path, 'DRUNet'))
    assert net.takes_sigma
    assert not PretrainedANN(DNCNN).takes_sigma
    pair = picture(16, 16).repeat(2, 1, 1, 1)
    plane = torch.tensor([5.0, 50.0]).view(2, 1, 1, 1).expand(2, 1, 16, 16) / 255
    expected = net.net(torch.cat([pair, plane], dim=1))
    torch.testing.assert_close(net(pair, sigma=torch.tensor([5.0, 50.0])), expected)


def test_decoder_pyramid_teaches_at_every_level(work):
    options = distilling('pyramid')
    options['datasets']['train']['gt_size'] = 32
    options['distill'] = {
        'teacher': {'network': {'type': 'PretrainedANN', 'path': network_file(work, 'NAFNet')}},
        'hints': [{'name': 'coarse', 'teacher': 'net.decoders.0', 'student': 'middle', 'weight': 2.0},
                  {'name': 'fine', 'teacher': 'net.decoders.1', 'student': 'decoder.0', 'weight': 3.0}]}
    model = built(options)
    pairings = '; '.join(model.teaching.describe())
    assert 'student middle 1x(4x16x16) -> teacher net.decoders.0 8x16x16' in pairings
    assert 'student decoder.0 1x(4x32x32) -> teacher net.decoders.1 4x32x32' in pairings
    train(options)
    assert 'l_hint_coarse' in log_of('pyramid')
    assert 'l_hint_fine' in log_of('pyramid')


def test_bench_and_denoise_need_no_second_path(tmp_path, monkeypatch, capsys):
    import cv2
    import numpy as np

    monkeypatch.chdir(tmp_path)
    (tmp_path / 'clean').mkdir()
    cv2.imwrite('clean/a.png', np.full((16, 20, 3), 128, dtype=np.uint8))
    options = yaml.safe_load((FOLDER.parent.parent / 'options/test/DnCNN/color25.yml').read_text())
    options['network_g'] = {'type': 'PretrainedANN', 'path': str(DNCNN)}
    options['path']['pretrain_network_g'] = None
    (tmp_path / 'x.yml').write_text(yaml.safe_dump(options))
    assert main(['bench', '-opt', 'x.yml', '-n', 'dncnn_color_blind', '-i', 'clean', '--noise', '25',
                 '--csv', 't.csv']) == 0
    theirs, ours = read_csv(tmp_path / 't.csv')
    assert (theirs['psnr'], theirs['params'], theirs['macs_per_px']) == (ours['psnr'], ours['params'],
                                                                         ours['macs_per_px'])
    assert main(['denoise', '-i', 'clean', '-o', 'out', '-opt', 'x.yml']) == 0
    assert len(list((tmp_path / 'out').iterdir())) == 1


def test_rows_of_the_cache_tell_two_files_apart(tmp_path):
    def fingerprint(file) -> dict:
        return TrainedNetwork('x', {'type': 'PretrainedANN', 'path': str(file)}, None).fingerprint()

    assert fingerprint(DNCNN)['weights'] != fingerprint(network_file(tmp_path, 'NAFNet'))['weights']


@pytest.mark.parametrize(('file', 'sentence'), [
    ('absent.pth', 'does not exist; correct path'),
    (FOLDER / 'spikerir_small_color25.pth', 'no network that spandrel knows'),
    (FOLDER / 'ffdnet_color.pth', '12 to 12 channels'),
    ('broken.pth', 'cannot be read as a weight file'),
    ('text.yml', 'cannot be read as a weight file'),
])
def test_files_of_no_use_get_one_sentence(tmp_path, monkeypatch, file, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'broken.pth').write_bytes(b'abc')
    (tmp_path / 'text.yml').write_text('a: 1')
    with pytest.raises(UserError, match=sentence):
        PretrainedANN(file)


def test_without_spandrel_the_sentence_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == 'spandrel':
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(UserError, match='pip install spandrel'):
        PretrainedANN(DNCNN)


@pytest.mark.parametrize('size', [(16, 16), (7, 10)])
def test_a_network_for_super_resolution_enlarges(tmp_path, size):
    from spandrel.architectures.Compact import Compact

    torch.manual_seed(0)
    torch.save(Compact(num_in_ch=3, num_out_ch=3, num_feat=4, num_conv=2, upscale=2).state_dict(),
               tmp_path / 'x2.pth')
    net, theirs = PretrainedANN(tmp_path / 'x2.pth'), spandrel.ModelLoader('cpu').load_from_file(tmp_path / 'x2.pth')
    assert (net.scale, net.written_channels) == (2, 3)
    with torch.no_grad():
        torch.testing.assert_close(net(picture(*size)).clamp(0, 1), theirs(picture(*size)), atol=1e-5, rtol=0)
