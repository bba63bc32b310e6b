"""Networks of anybody's make: sizes that they cannot read, and answers that are no pictures."""
from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import torch
from fault import fault
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import as_restorer


class Anybodys(nn.Module):
    """Strides, a skip that fits multiples of them only, an answer of any scale."""

    def __init__(self, channels: int, strides: int, scale: int, how: str) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Conv2d(channels, channels, 2, 2) for _ in range(strides))
        self.scale, self.how = scale, how

    def forward(self, picture: Tensor) -> Tensor:
        deep = picture
        for level in self.levels:
            deep = level(deep)
        back = F.interpolate(deep, scale_factor=2 ** len(self.levels), mode='nearest')
        restored = F.interpolate(picture + back, scale_factor=self.scale)
        if self.how == 'numbers':
            return restored * min(1.0, 2.0 + float(restored.abs().mean()))
        return {'plain': restored, 'list': [restored], 'features': restored.mean((-2, -1)),
                'sequence': restored[None], 'odd': restored[..., 1:]}[self.how]


@fault('it restores pictures of any size, or is refused in a sentence', tries=12)
def a_network_of_anybody_reads_certain_sizes_only(random: Random, folder: Path) -> None:
    channels, strides, scale = random.choice([1, 3]), random.randrange(5), random.choice([1, 2, 3, 4])
    how = random.choice(['plain', 'plain', 'numbers', 'list', 'features', 'sequence', 'odd'])
    net = Anybodys(channels, strides, scale, how)
    if how not in ('plain', 'numbers'):
        with pytest.raises(UserError, match='give a network that restores single pictures'):
            as_restorer(net).require_pictures()
        return
    height, width = random.randrange(1, 140), random.randrange(1, 140)
    restorer = as_restorer(net)
    with torch.no_grad():
        answer = restorer(torch.rand(1, channels, height, width))
    assert answer.shape == (1, channels, scale * height, scale * width)
    assert (restorer.in_ch, restorer.scale, restorer.multiple_of) == (channels, scale, 2 ** strides)
