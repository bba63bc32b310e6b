"""Feature maps are compared at the same places: a marker in the picture is found at the same place of every map."""
from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from basicsr.archs import ARCH_REGISTRY, build_network
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.archs.pretrained_arch import PretrainedANN
from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.data.batch import Batch
from basicsr_snn.distill.alignment import Alignment, CellMeasure, UnalignedError, common_cells
from basicsr_snn.distill.feature_hooks import feature_shapes, features_of, first_layer, probe_picture
from basicsr_snn.distill.feature_maps import hinted_maps
from basicsr_snn.distill.frozen_teachers import FrozenTeachers
from basicsr_snn.distill.teachers import replaced_feature
from basicsr_snn.distill.teaching import Lesson
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import Restorer, as_restorer
from basicsr_snn.zoo.building import window_of

MARKER = 8
"""Side of the marker in pixels."""

TOLERANCE = 8
"""By how many pixels borders and windows may draw the marker away from its place."""

REGISTERED = {
    'SpikerIR': {'channels': [4, 4, 4], 'blocks': [1, 1, 1]},
    'ESDNet': {'dim': 24, 'T': 2, 'encoder_blocks': [1, 1, 1], 'decoder_blocks': [1, 1, 1]},
    'DnCNN': {'nc': 8, 'nb': 4}, 'FFDNet': {'nc': 8, 'nb': 4},
    'SwinIR': {'img_size': 56, 'window_size': 7, 'embed_dim': 12, 'depths': [2], 'num_heads': [2], 'upscale': 1},
    'EDSR': {'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1, 'upscale': 2},
    'RCAN': {'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 16, 'num_group': 1, 'num_block': 1, 'upscale': 2},
    'RRDBNet': {'num_in_ch': 3, 'num_out_ch': 3, 'scale': 2, 'num_feat': 8, 'num_block': 1, 'num_grow_ch': 4},
    'MSRResNet': {'num_feat': 8, 'num_block': 1}, 'SRVGGNetCompact_basicsr': {'num_feat': 8, 'num_conv': 2},
    'ECBSR': {'num_in_ch': 3, 'num_out_ch': 3, 'num_block': 1, 'num_channel': 8, 'with_idt': True,
              'act_type': 'prelu', 'scale': 2},
    'RIDNet': {'in_channels': 3, 'mid_channels': 16, 'out_channels': 3, 'num_block': 1},
    'UNetDiscriminatorSN_basicsr': {'num_in_ch': 3, 'num_feat': 4},
}
NO_PICTURE_ALONE = {'EDVR', 'BasicVSR', 'IconVSR', 'BasicVSRPlusPlus', 'SpyNet', 'TOFlow', 'DUF', 'HiFaceGAN',
                    'HiFaceGANDiscriminator', 'VGGStyleDiscriminator', 'VGGFeatureExtractor', 'DFDNet',
                    'StyleGAN2Generator', 'StyleGAN2Discriminator'}
"""They read several pictures, codes or pictures of one size, or need files from elsewhere."""

LEFT_OUT = (('UNetDiscriminatorSN_basicsr', 50), ('spandrel SCUNet', 50), ('ESDNet', 48))
"""The first reads multiples of 8 only; the others take long, and of their two crops the other one is padded inside."""

PADDING_INSIDE = ('NAFNet', 'SwinIR', 'SCUNet', 'DRUNet')


def spandrels(kind: str) -> nn.Module:
    """One of spandrel's architectures, small, with random weights."""
    architectures = pytest.importorskip('spandrel.architectures', reason='spandrel is not installed')
    assert architectures
    if kind == 'NAFNet':
        from spandrel.architectures.NAFNet import NAFNet
        return NAFNet(img_channel=3, width=8, middle_blk_num=1, enc_blk_nums=[1, 1, 1], dec_blk_nums=[1, 1, 1])
    if kind == 'SwinIR':
        from spandrel.architectures.SwinIR import SwinIR
        return SwinIR(img_size=64, window_size=8, embed_dim=12, depths=[2, 2], num_heads=[2, 2], mlp_ratio=2,
                      upscale=1, upsampler='', resi_connection='1conv')
    if kind == 'SCUNet':
        from spandrel.architectures.SCUNet import SCUNet
        return SCUNet(in_nc=3, config=[1] * 7, dim=64)
    from spandrel.architectures.DRUNet import DRUNet
    return DRUNet(in_nc=4, out_nc=3, nc=[4, 4, 4, 4], nb=2)


def random_net(kind: str, folder) -> Restorer:
    """A registered architecture, or one of spandrel's as ``PretrainedANN`` reads it, so that no layer is silent."""
    torch.manual_seed(0)
    if kind in REGISTERED:
        options = {'type': kind, **REGISTERED[kind]}
        net = as_restorer(build_network(options), window_of(options))
    else:
        torch.save(spandrels(kind.removeprefix('spandrel ')).state_dict(), folder / 'net.pth')
        net = PretrainedANN(folder / 'net.pth')
    for name, parameter in net.named_parameters():
        if name.endswith(('beta', 'gamma')):  # NAFNet begins with them at 0
            nn.init.normal_(parameter, std=0.3)
    return net.eval()


def with_marker(picture: Tensor, top: int, left: int) -> Tensor:
    marked = picture.clone()
    marked[..., top:top + MARKER, left:left + MARKER] = 1 - marked[..., top:top + MARKER, left:left + MARKER]
    return marked


def centre(change: Tensor) -> Tensor:
    """Where a feature map (..., C, H, W) changed, as shares of its height and width."""
    power = change.flatten(0, -3).square().sum(0)
    power = power.where(power > power.max() / 2, 0)
    places = [(torch.arange(size) + 0.5) / size for size in power.shape]
    return torch.stack([(power.sum(1) * places[0]).sum(), (power.sum(0) * places[1]).sum()]) / power.sum()


@pytest.mark.parametrize(('kind', 'crop'), [
    (kind, crop) for kind in [*REGISTERED, *(f'spandrel {kind}' for kind in PADDING_INSIDE)] for crop in (48, 50)
    if (kind, crop) not in LEFT_OUT])
def test_a_marker_is_found_at_its_place_in_every_map(tmp_path, kind, crop):
    net = random_net(kind, tmp_path)
    probe = probe_picture(3, torch.device('cpu'), crop)
    maps = alignable_maps(net, probe)
    assert len(maps) >= 2
    picture = torch.rand(2, 3, crop, crop, generator=torch.Generator().manual_seed(1))
    before, heard = features_of(net, maps, picture), set()
    for top, left in ((4, 32), (24, 12), (36, 36)):
        marked = with_marker(picture, top, left)
        after = features_of(net, maps, marked)
        for path, cell in maps.items():
            if torch.equal(after[path], before[path]):  # a layer that no spike reaches
                continue
            heard.add(path)
            alignment = Alignment(Fraction(1), cell)
            wanted = centre(alignment.cut_student(marked - picture, picture))
            change = after[path] - before[path]
            cut = alignment.cut_teacher(change, picture)
            off = float((centre(cut) - wanted).abs().max()) * crop
            assert off < max(TOLERANCE, 1.25 * cell), f'{path}: {off:.1f} pixels off, cells of {cell}'
    assert len(heard) >= len(maps) - 1


def test_without_the_cut_the_marker_would_be_elsewhere(tmp_path):
    net = random_net('spandrel SCUNet', tmp_path)
    picture = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    marked = with_marker(picture, 40, 40)
    before, after = (features_of(net, {'net.m_head.0'}, one)['net.m_head.0'] for one in (picture, marked))
    assert before.shape[-2:] == (64, 64)
    assert (centre(after - before) - centre(marked - picture)).abs().max() * 48 > TOLERANCE
    assert (centre((after - before)[..., :48, :48]) - centre(marked - picture)).abs().max() * 48 < 1


def alignable_maps(net: Restorer, probe: Tensor) -> dict[str, Fraction]:
    """Side of the cells of some of a net's maps, by path, from its first to its last layer."""
    shapes = feature_shapes(net, probe)
    maps = [path for path, shape in shapes.items() if len(shape) in (4, 5) and shape[-3] > 2]
    convolutions = [path for path in maps if isinstance(net.network.get_submodule(path), nn.Conv2d)] or maps
    of_size = {size: [path for path in convolutions if shapes[path][-1] == size]
               for size in {shapes[path][-1] for path in convolutions}}
    paths = {path for alike in of_size.values() for path in (alike[0], alike[-1])}
    measure = CellMeasure(net, paths, probe, first_layer(net.network, shapes))
    cells = {path: measure.cell(path) for path in paths}
    return {path: cell for path, cell in cells.items() if cell is not None}


def test_every_registered_architecture_is_tried():
    assert {name for name, _ in ARCH_REGISTRY if not name.startswith('Test')} == (
        {*REGISTERED, *NO_PICTURE_ALONE, 'PretrainedANN'})


class Padding(nn.Module):
    """Pads to a multiple of 8 before two convolutions, and cuts its answer back."""

    def __init__(self, where: str = 'end', mode: str = 'reflect') -> None:
        super().__init__()
        self.where, self.mode = where, mode
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        missing = -width % 8
        begin = {'end': 0, 'left': missing, 'both': missing // 2, 'always': 8}[self.where]
        end = 8 if self.where == 'always' else missing - begin
        padded = F.pad(x, (begin, end, begin, end), mode=self.mode)
        return self.last(self.first(padded))[..., begin:begin + height, begin:begin + width]


@pytest.mark.parametrize('mode', ['reflect', 'replicate', 'constant'])
@pytest.mark.parametrize(('where', 'sentence'), [
    ('left', 'pads pictures at the left or the top'), ('both', 'pads pictures at the left or the top'),
    ('always', 'has a margin of its own')])
def test_a_net_that_pads_elsewhere_is_refused(where, sentence, mode):
    torch.manual_seed(0)
    probe = probe_picture(3, torch.device('cpu'), 50)
    with pytest.raises(UserError, match=f'Hint path "first" of the teacher Padding .*{sentence}.*--paths teacher'):
        hinted_maps(as_restorer(Padding(where, mode)), 'teacher', {'first'}, probe)
    found = hinted_maps(as_restorer(Padding('end', mode)), 'teacher', {'first'}, probe)['first']
    assert (found.shape, found.cell) == ((1, 8, 56, 56), 1)


class PadsItsFeatures(nn.Module):
    """Pads behind its first layer, as some window attention does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return self.last(F.pad(self.first(x), (0, -width % 8, 0, -height % 8)))[..., :height, :width]


class ChannelsLast(nn.Module):
    """Answers from a layer that has channels behind rows and columns."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def test_padding_behind_the_first_layer_is_measured_too():
    cells = CellMeasure(as_restorer(PadsItsFeatures()), {'first', 'last'}, probe_picture(3, torch.device('cpu'), 50))
    assert (cells.cell('first'), cells.cell('last')) == (1, 1)


def test_what_is_no_map_of_places_is_refused():
    measure = CellMeasure(as_restorer(ChannelsLast()), {'norm'}, probe_picture(3, torch.device('cpu'), 48))
    with pytest.raises(UnalignedError, match='no rows and columns'):
        measure.cell('norm')


@pytest.mark.parametrize(('side', 'cells', 'expected'), [
    (48, (1, 1), (48, 48)), (48, (1, 8), (48, 6)), (50, (1, 8), (48, 6)), (50, (2, 8), (24, 6)),
    (50, (Fraction(1, 2), 4), (96, 12)), (30, (1, 32), (30, 1)), (49, (1, None), (49, None)),
])
def test_whole_cells_of_both_maps_are_compared(side, cells, expected):
    assert common_cells(side, tuple(None if cell is None else Fraction(cell) for cell in cells)) == expected


def teachers_of(net: nn.Module, monkeypatch, options: dict, crop: int = 50) -> FrozenTeachers:
    monkeypatch.setattr('basicsr_snn.distill.frozen_teachers.build_teachers',
                        lambda *_: {'teacher': as_restorer(net).requires_grad_(False).eval()})
    return FrozenTeachers(options, SpikerIR(channels=[4, 4], blocks=[1, 1]), 3, torch.device('cpu'), crop)


def test_the_loss_is_of_the_picture_alone(monkeypatch):
    """A hint on padded maps is that on the same maps without what was padded."""
    torch.manual_seed(0)
    net = Padding()
    distill = teachers_of(net, monkeypatch, {'hints': [
        {'name': 'dec', 'teacher': 'first', 'student': 'decoder.0', 'weight': 1.0}]})
    assert '1x(4x50x50) -> teacher first 8x56x56 (50x50 of it compared)' in distill.describe()[0]
    picture, feature = torch.rand(2, 3, 50, 50), torch.rand(1, 2, 4, 50, 50)
    terms = distill.losses(Lesson(Batch(picture), picture, {'decoder.0': feature}, 1, lambda restored: {}))
    padded = F.pad(picture, (0, 6, 0, 6), mode='reflect')
    expected = F.mse_loss(distill.adapters.adapters['dec'].project(feature[0]), net.first(padded)[..., :50, :50])
    torch.testing.assert_close(terms['l_hint_dec'], expected)


def test_a_tail_goes_on_from_a_feature_that_is_padded_as_the_picture_is(monkeypatch):
    torch.manual_seed(0)
    net = Padding()
    distill = teachers_of(net, monkeypatch, {'tails': [{'name': 'mid', 'teacher': 'first', 'student': 'decoder.0'}]})
    picture, feature = torch.rand(2, 3, 50, 50), torch.rand(1, 2, 4, 50, 50)
    lesson = Lesson(Batch(picture, gt=picture), picture, {'decoder.0': feature}, 1, lambda restored: {})
    adapted = distill.adapters.adapters['mid'].project(feature[0])
    with replaced_feature(net, 'first', adapted):
        restored = net(picture)
    torch.testing.assert_close(restored, net.last(F.pad(adapted, (0, 6, 0, 6), mode='reflect'))[..., :50, :50])
    torch.testing.assert_close(distill.losses(lesson)['l_tail_mid'], F.l1_loss(restored, picture))
