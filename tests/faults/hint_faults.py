"""Teachers whose feature maps do not show what their size suggests."""
from __future__ import annotations

from pathlib import Path
from random import Random

import torch
from fault import fault
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.distill.alignment import Alignment
from basicsr_snn.distill.feature_hooks import features_of, probe_picture
from basicsr_snn.distill.feature_maps import hinted_maps
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import as_restorer


class PaddedPatches(nn.Module):
    """Pads pictures to a multiple, by a share at their upper left end, and makes a cell of each square of pixels."""

    def __init__(self, multiple: int, stride: int, at_upper_left: float, mode: str) -> None:
        super().__init__()
        self.multiple, self.at_upper_left, self.mode = multiple, at_upper_left, mode
        self.patches = nn.Conv2d(3, 16, stride, stride)
        self.shuffle = nn.ConvTranspose2d(16, 3, stride, stride)

    def begins_at(self, side: int) -> int:
        return round(-side % self.multiple * self.at_upper_left)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        top, left = self.begins_at(height), self.begins_at(width)
        padded = F.pad(x, (left, -width % self.multiple - left, top, -height % self.multiple - top), mode=self.mode)
        return self.shuffle(self.patches(padded))[..., top:top + height, left:left + width]


@fault('the feature is compared at the same place of the picture, or refused', tries=20)
def teacher_pads_inside(random: Random, folder: Path) -> None:
    torch.manual_seed(random.getrandbits(32))
    multiple = random.choice([2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 56, 64])
    stride = random.choice([factor for factor in (1, 2, 3, 4, 6, 7, 8, 16) if multiple % factor == 0])
    crop = random.randrange(max(24, 2 * stride), 80)
    net = PaddedPatches(multiple, stride, random.choice([0, 0, 0.5, 1]), random.choice(['replicate', 'constant']))
    restorer, shift = as_restorer(net), net.begins_at(crop)
    try:
        feature_map = hinted_maps(restorer, 'teacher', {'patches'}, probe_picture(3, torch.device('cpu'), crop))
    except UserError:
        assert shift, f'refused: {crop} pixels, multiple {multiple}, stride {stride}'
        return
    assert shift < stride, f'{shift} pixels off: {crop} pixels, multiple {multiple}, stride {stride}'
    assert feature_map['patches'].cell == stride
    alignment = Alignment(feature_map['patches'].cell, feature_map['patches'].cell)
    picture = torch.rand(1, 3, crop, crop)
    place = random.randrange(crop // stride * stride)
    marked = picture.clone()
    marked[..., place, place] += 1
    before, after = (features_of(restorer, {'patches'}, one)['patches'] for one in (picture, marked))
    changed = alignment.cut_teacher(after - before, picture)[0].abs().sum(0)
    assert changed.shape == (crop // stride, crop // stride)
    if not shift:
        assert changed.argmax() == place // stride * (crop // stride + 1)
