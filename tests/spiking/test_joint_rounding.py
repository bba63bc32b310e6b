"""Weights rounded together: less lost in the answers, whole codes, nothing changed where nothing can be gained."""
from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.inference.calling import deployed
from basicsr_snn.spiking.blocks import spiking_convs
from basicsr_snn.spiking.int8 import round_to_bytes, to_int8
from basicsr_snn.spiking.joint_rounding import round_together, watch_input_products


def correlated_counts() -> torch.Tensor:
    """(1, 4, 40, 40) whole numbers of channels that go together."""
    random = torch.Generator().manual_seed(0)
    common = torch.randn(1, 1, 40, 40, generator=random)
    return (3 * common + torch.randn(1, 4, 40, 40, generator=random)).round()


def products_of(counts: torch.Tensor) -> torch.Tensor:
    rows = F.unfold(counts, 3, padding=1).transpose(1, 2).flatten(0, 1).double()
    return rows.T @ rows / len(rows)


def test_answers_change_less_than_by_rounding_each_weight():
    counts, weight = correlated_counts(), torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    alone, scale = round_to_bytes(weight)
    together, its_scale = round_to_bytes(weight, products_of(counts))
    assert together.dtype == torch.int8
    assert together.abs().max() <= 127

    def error(codes: torch.Tensor, scale: torch.Tensor) -> float:
        return F.conv2d(counts, codes * scale.view(-1, 1, 1, 1) - weight, padding=1).square().mean().item()

    assert error(together, its_scale) < 0.6 * error(alone, scale)


def test_an_outlier_is_clipped_where_all_the_others_gain():
    weight = torch.full((1, 1, 3, 3), 0.45)
    weight[0, 0, 1, 1] = 1.1
    codes, scale = round_together(weight, torch.eye(9, dtype=torch.float64), 1)
    assert scale.item() < 1.1
    assert codes.flatten().tolist() == [1] * 9


def test_a_channel_without_weights_stays_silent():
    codes, scale = round_together(torch.zeros(1, 2, 3, 3), torch.eye(18, dtype=torch.float64), 127)
    assert not codes.any()
    assert scale.item() >= 0


def test_inputs_that_do_not_go_together_leave_the_nearest_codes():
    weight = torch.randn(2, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    codes, scale = round_together(weight, torch.eye(27, dtype=torch.float64), 127)
    assert torch.equal(codes, (weight / scale.view(-1, 1, 1, 1)).round().clamp(-127, 127))


def test_inputs_that_never_fire_leave_the_nearest_codes():
    weight = torch.randn(2, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    nearest, scale = round_to_bytes(weight)
    codes, its_scale = round_together(weight, torch.zeros(27, 27, dtype=torch.float64), 127)
    assert torch.equal(codes, nearest.float())
    assert torch.allclose(scale, its_scale)


@pytest.mark.parametrize('options', [{}, {'T': 2, 'neuron': {'type': 'SignedILIF', 'D': 4}}, {'weights': 'ternary'}])
def test_products_are_those_of_the_spikes_under_the_kernel(options):
    torch.manual_seed(0)
    net = deployed(SpikerIR(channels=(4, 8), blocks=(1, 1), **options))
    picture = torch.rand(1, 3, 18, 22, generator=torch.Generator().manual_seed(0))
    first, seen = spiking_convs(net)[0].conv, []
    hook = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    products = watch_input_products(net, [picture])
    hook.remove()
    assert len(products) == len(spiking_convs(net))
    assert torch.allclose(products[0], products_of(seen[0]))
    with torch.no_grad():
        assert torch.isfinite(to_int8(net, [picture])(picture)).all()
    assert not first._forward_pre_hooks
