"""What holds of every code of counts: the pictures and the gradients are those of the counts."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from basicsr_snn.energy import OperationCounter
from basicsr_snn.energy.report import EnergyReport


def reports_of_equal_pictures(counting: nn.Module, coded: nn.Module, picture: Tensor,
                              fused: bool) -> tuple[EnergyReport, EnergyReport]:
    """Compare two networks on a picture (N, C, H, W) in double precision; what both cost."""
    answers, reports = [], []
    for net in (counting, coded):
        net = net.double().eval()
        net = net.fold() if fused else net
        with torch.no_grad(), OperationCounter(net) as counter:
            answers.append(net(picture))
        reports.append(counter.report())
    assert (answers[0] - picture).abs().max() > 1e-3
    assert (answers[1] - answers[0]).abs().max() < 1e-9
    assert reports[1].acs_per_px < reports[0].acs_per_px
    return reports[0], reports[1]


def check_gradients(coded: nn.Module, counting: nn.Module) -> None:
    """Compare the gradients of two neurons of two channels in training mode."""
    x = torch.randn(1, 2, 2, 5, 5) * 0.4
    found = []
    for layer in (coded, counting):
        leaf = x.clone().requires_grad_()
        (layer(leaf) * layer.amplitude.view(-1, 1, 1) * torch.arange(5.0)).sum().backward()
        found.append((leaf.grad, layer.log_threshold.grad))
    assert found[0][0].abs().sum() > 0
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
