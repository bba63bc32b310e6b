"""Counting of networks that are not ours, against torch's own FLOP counter."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from basicsr_snn.energy import OperationCounter
from basicsr_snn.energy.operators import is_light
from basicsr_snn.zoo import build

NETWORKS = {
    'EDSR': {'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1, 'upscale': 2},
    'RIDNet': {'in_channels': 3, 'mid_channels': 16, 'out_channels': 3, 'num_block': 1},
    'RRDBNet': {'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1, 'num_grow_ch': 4, 'scale': 4},
    'SwinIR': {'img_size': 16, 'window_size': 8, 'depths': [2], 'embed_dim': 12, 'num_heads': [2], 'upscale': 1,
               'upsampler': '', 'img_range': 1.0},
}
UNCOUNTED = {'SwinIR': {'native_layer_norm', '_softmax'}}


@pytest.mark.parametrize('context', [torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize('name', NETWORKS)
def test_macs_are_half_the_flops_of_torch(name, context):
    torch.manual_seed(0)
    net, picture = build({'type': name, **NETWORKS[name]}).eval(), torch.rand(1, 3, 16, 16)
    with context():
        plain = net(picture)
        with FlopCounterMode(display=False) as flops:
            net(picture)
        with OperationCounter(net) as counter:
            torch.testing.assert_close(net(picture), plain)  # some CPUs add in another order from call to call
    report = counter.report()
    assert 2 * sum(layer.macs for layer in report.layers) == flops.get_total_flops()
    assert {warning.split(' ran ')[0] for warning in report.warnings} == UNCOUNTED.get(name, set())
    assert not report.spiking


@pytest.mark.parametrize('name', ['leaky_relu', 'leaky_relu_', 'elu', 'hardtanh_', 'selu_', 'celu'])
def test_activations_are_light_also_where_torch_does_not_tag_them_as_element_wise(name):
    """As in torch 2.6, the oldest that is allowed."""
    assert is_light(SimpleNamespace(tags=(), overloadpacket=getattr(torch.ops.aten, name)))
    assert not is_light(SimpleNamespace(tags=(), overloadpacket=torch.ops.aten.mm))


def test_nafnet_of_spandrel():
    spandrel = pytest.importorskip('spandrel', reason='needs the extra [teachers]')
    from spandrel.architectures.NAFNet.__arch.NAFNet_arch import NAFNet

    net = spandrel.ModelLoader().load_from_state_dict(
        NAFNet(width=8, enc_blk_nums=[1], middle_blk_num=1, dec_blk_nums=[1]).state_dict()).model
    picture = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        with FlopCounterMode(display=False) as flops:
            net(picture)
        with OperationCounter(net) as counter:
            net(picture)
    assert 2 * sum(layer.macs for layer in counter.report().layers) == flops.get_total_flops()
