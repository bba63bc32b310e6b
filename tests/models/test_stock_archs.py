"""Every architecture of BasicSR's registry under our models: it trains, validates, teaches and is measured at each
scale that it has, or is refused in one sentence."""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from basicsr.archs import build_network
from basicsr.data import build_dataset
from basicsr.utils.registry import ARCH_REGISTRY
from torch.utils.data import DataLoader
from trainings import built, training

from basicsr_snn.bench.evaluation_set import EvaluationSet
from basicsr_snn.bench.measuring import measure
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import as_restorer
from basicsr_snn.pipeline.option_blocks.built import registered
from basicsr_snn.zoo.building import build
from basicsr_snn.zoo.trained_network import TrainedNetwork

HEIGHT, WIDTH = 97, 131
RGB: dict[str, Any] = {'num_in_ch': 3, 'num_out_ch': 3}
SMALL = {**RGB, 'num_feat': 4, 'num_block': 1}
SWIN = {'img_size': 8, 'window_size': 8, 'depths': [2], 'embed_dim': 8, 'num_heads': [2]}
ECB = {**RGB, 'num_block': 1, 'num_channel': 4, 'with_idt': False, 'act_type': 'prelu'}
CAN = {**SMALL, 'num_group': 1, 'squeeze_factor': 2}
COMPACT = {**RGB, 'num_feat': 4, 'num_conv': 1}
RESTORING = [
    *(({'type': 'ECBSR', **ECB, 'scale': scale}, scale) for scale in (1, 2, 4)),
    *(({'type': 'EDSR', **SMALL, 'upscale': scale}, scale) for scale in (1, 2, 4)),
    *(({'type': 'MSRResNet', **SMALL, 'upscale': scale}, scale) for scale in (2, 4)),
    *(({'type': 'RCAN', **CAN, 'upscale': scale}, scale) for scale in (1, 2, 4)),
    ({'type': 'RIDNet', 'in_channels': 3, 'mid_channels': 16, 'out_channels': 3, 'num_block': 1}, 1),
    *(({'type': 'RRDBNet', **SMALL, 'num_grow_ch': 4, 'scale': scale}, scale) for scale in (1, 2, 4)),
    *(({'type': 'SRVGGNetCompact', **COMPACT, 'upscale': scale}, scale) for scale in (1, 2, 4)),
    ({'type': 'HiFaceGAN', 'num_feat': 4, 'crop_size': 64, 'norm_g': 'spectralspadeinstance3x3'}, 1),
    ({'type': 'SwinIR', **SWIN, 'upscale': 1}, 1),
    *(({'type': 'SwinIR', **SWIN, 'upscale': scale, 'upsampler': upsampler}, scale)
      for scale, upsampler in ((2, 'pixelshuffle'), (4, 'pixelshuffledirect'))),
]
VIDEO = {'num_feat': 4, 'num_block': 1}
REFUSED: dict[str, dict[str, Any]] = {
    'BasicVSR': VIDEO, 'IconVSR': {**VIDEO, 'num_feat': 8}, 'BasicVSRPlusPlus': {'mid_channels': 16, 'num_blocks': 1},
    'EDVR': {'num_feat': 8, 'num_frame': 3, 'num_extract_block': 1, 'num_reconstruct_block': 1},
    'DUF': {'num_layer': 16}, 'TOFlow': {}, 'SpyNet': {},
    'DFDNet': {'num_feat': 4, 'dict_path': 'faces.pth'},
    'HiFaceGANDiscriminator': {'num_feat': 4},
    'StyleGAN2Generator': {'out_size': 8, 'num_style_feat': 8, 'num_mlp': 1, 'channel_multiplier': 1},
    'StyleGAN2Discriminator': {'out_size': 8, 'channel_multiplier': 1},
    'UNetDiscriminatorSN': {'num_in_ch': 3, 'num_feat': 4},
    'VGGStyleDiscriminator': {'num_in_ch': 3, 'num_feat': 4}, 'VGGFeatureExtractor': {'layer_name_list': ['conv1_1']},
}


def named(case: tuple[dict[str, Any], int]) -> str:
    network, scale = case
    return f'{network["type"]} x{scale} {network.get("upsampler", "")}'.strip()


@pytest.fixture(scope='module')
def pairs(tmp_path_factory) -> Path:
    """A clean picture for each scale, and the degraded one of 97x131 in a folder beside it."""
    folder = tmp_path_factory.mktemp('pairs')
    rng = np.random.default_rng(0)
    small = cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 3)
    for scale in (1, 2, 4):
        for kind, size in ((f'clean{scale}', (scale * WIDTH, scale * HEIGHT)), (f'given{scale}', (WIDTH, HEIGHT))):
            (folder / kind).mkdir()
            cv2.imwrite(str(folder / kind / 'a.png'), cv2.resize(small, size, interpolation=cv2.INTER_CUBIC))
    return folder


def pairs_at(folder: Path, scale: int) -> dict[str, Any]:
    return {'name': 'V', 'type': 'PairedImageDataset', 'dataroot_gt': str(folder / f'clean{scale}'),
            'dataroot_lq': str(folder / f'given{scale}'), 'io_backend': {'type': 'disk'}, 'scale': scale}


def side_of(network: dict[str, Any]) -> int:
    """Side of a crop; a network of five halvings needs more of it."""
    return 64 if network['type'] == 'HiFaceGAN' else 16


def batch(scale: int, side: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {'lq': torch.rand(2, 3, side, side), 'gt': torch.rand(2, 3, side * scale, side * scale)}


def options(network: dict[str, Any], scale: int, **changes: Any) -> dict[str, Any]:
    made = training(network_g=network, scale=scale, **changes)
    made['val']['energy'] = 1
    made['logger']['use_tb_logger'] = False
    return made


def test_each_architecture_restores_or_is_refused():
    stock = {name for name, arch in registered(ARCH_REGISTRY).items() if arch.__module__.startswith('basicsr.')}
    assert {network['type'] for network, _ in RESTORING} | REFUSED.keys() == stock


@pytest.mark.parametrize('case', RESTORING, ids=named)
def test_it_trains_and_validates(case, pairs, tmp_path, monkeypatch):
    network, scale = case
    monkeypatch.chdir(tmp_path)
    model = built(options(network, scale))
    before = {name: value.clone() for name, value in model.net_g.state_dict().items()}
    model.feed_data(batch(scale, side_of(network)))
    model.optimize_parameters(1)
    assert math.isfinite(model.get_current_log()['l_pix'])
    assert any(not torch.equal(value, before[name]) for name, value in model.net_g.state_dict().items())
    loader = DataLoader(build_dataset({**pairs_at(pairs, scale), 'phase': 'val'}))
    model.opt['path'].update(models=str(tmp_path), training_states=str(tmp_path))
    model.validation(loader, 1, None, save_img=False)
    assert model.metric_results['psnr'] > 0
    assert model.energy_report.macs_per_px > 0


@pytest.mark.parametrize('case', RESTORING, ids=named)
def test_it_teaches_and_is_measured(case, pairs, tmp_path, monkeypatch):
    network, scale = case
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    torch.save(build(network).state_dict(), 'net.pth')
    student = {'type': 'SRVGGNetCompact', **COMPACT, 'upscale': scale}
    distill = {'teacher': {'network': network, 'path': 'net.pth'}, 'output': {'type': 'L1Loss'}}
    training_options = options(student, scale, model_type='ANNSNNDistillModel', distill=distill)
    training_options['datasets']['train']['gt_size'] = side_of(network)
    model = built(training_options)
    model.feed_data(batch(scale, side_of(network)))
    model.optimize_parameters(1)
    assert model.get_current_log()['l_kd'] > 0
    pictures = EvaluationSet({'test_1': pairs_at(pairs, scale)})
    row = measure(TrainedNetwork('net', network, Path('net.pth')), pictures)
    assert row.psnr is not None
    assert row.macs_per_px is not None
    assert row.macs_per_px > 0


@pytest.mark.parametrize(('name', 'arguments'), REFUSED.items(), ids=list(REFUSED))
def test_what_restores_no_single_pictures_is_refused_in_one_sentence(name, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    torch.save({part: {str(size): torch.zeros(1, 1, 1, 1) for size in (16, 32, 64, 128, 256)}
                for part in ('left_eye', 'right_eye', 'nose', 'mouth')}, 'faces.pth')
    with pytest.raises(UserError) as error:
        built(options({'type': name, **arguments}, 1))
    assert len(str(error.value).splitlines()) == 1
    wanted = 'nothing is downloaded' if name in ('DFDNet', 'VGGFeatureExtractor') else 'that restores single pictures'
    assert wanted in str(error.value)


def test_a_picture_of_the_berkeley_set_goes_through_windows():
    net = build_network({'type': 'SwinIR', **SWIN, 'window_size': 7, 'img_size': 7, 'upscale': 1})
    with torch.no_grad():
        assert as_restorer(net.eval(), 7)(torch.rand(1, 3, 81, 121)).shape == (1, 3, 81, 121)
