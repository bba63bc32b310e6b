"""What a network that states no contract turns out to be: channels, scale, and the sizes that it reads."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.errors import UserError
from basicsr_snn.inference import probing
from basicsr_snn.inference.contract import as_restorer
from basicsr_snn.inference.probing import Found, probe


class Strided(nn.Module):
    """Down and up again, with a skip that fits sides of one multiple only, and answers larger by a factor."""

    def __init__(self, channels: int = 3, stride: int = 4, scale: int = 1) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 4, stride, stride), nn.ConvTranspose2d(4, channels, stride, stride)
        self.scale = scale
        self.calls = 0

    def forward(self, picture: Tensor) -> Tensor:
        self.calls += 1
        return F.interpolate(picture + self.up(self.down(picture)), scale_factor=self.scale)


class Computing(Strided):
    """The same, which reads numbers on its way."""

    def forward(self, picture: Tensor) -> Tensor:
        return super().forward(picture) * (1.0 if float(picture.mean()) < 9 else 0.0)


class Remembering(Strided):
    """The same, which keeps a mean where its pictures are, as EDSR does."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.full((1, 3, 1, 1), 0.5)

    def forward(self, picture: Tensor) -> Tensor:
        self.mean = self.mean.type_as(picture)
        return super().forward(picture - self.mean) + self.mean


class Cropping(Strided):
    """Answers with what is left of a picture of another size."""

    def forward(self, picture: Tensor) -> Tensor:
        return self.up(self.down(picture))


@pytest.mark.parametrize('kind', [Strided, Computing, Cropping])
@pytest.mark.parametrize(('channels', 'stride', 'scale'), [(3, 4, 1), (1, 8, 1), (3, 1, 1), (3, 2, 2), (1, 16, 4)])
def test_channels_scale_and_multiple_are_found(kind, channels, stride, scale):
    if kind is Cropping:
        scale = 1
    net = kind(channels, stride, scale)
    assert probe(net) == Found(channels, scale, stride)
    picture = torch.rand(2, channels, 97, 131)
    with torch.no_grad():
        answer = as_restorer(net)(picture)
        assert answer.shape == (2, channels, 97 * scale, 131 * scale)
        padded = F.pad(picture, (0, -131 % stride, 0, -97 % stride), mode='reflect')
        assert torch.equal(answer, net(padded)[..., :97 * scale, :131 * scale])


def test_a_network_stays_as_it_was_and_is_tried_once():
    net = Remembering().train()
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.random.get_rng_state()
    assert probe(net) == Found(3, 1, 4)
    assert net.training
    assert net.calls == 0  # what was tried is a copy
    assert (net.mean.device.type, net.mean.unique().tolist()) == ('cpu', [0.5])
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), random)
    assert probe(net) is probe(net)


def test_a_window_is_where_the_search_begins():
    assert probe(Strided(stride=2), 7) == Found(3, 1, 14)


@pytest.mark.parametrize('net', [
    nn.Conv2d(3, 1, 3, padding=1), nn.Conv2d(5, 5, 1), nn.Flatten(), nn.Conv2d(3, 3, 3, stride=2, padding=1),
    nn.AdaptiveAvgPool2d(64), nn.Conv3d(3, 3, 1), nn.Conv2d(3, 3, 3)])
def test_what_answers_otherwise_is_refused(net):
    assert probe(net) is None
    restorer = as_restorer(net)  # whose features may teach
    with pytest.raises(UserError, match=f'^{type(net).__name__} does not turn .* give a network that restores single'):
        restorer.require_pictures()


@pytest.mark.parametrize('multiple', [1, 2, 7, 8, 14, 64])
def test_sides_are_multiples_of_no_larger_factor(multiple):
    sides = probing._sides(multiple)
    assert len(set(sides)) == 2
    for side in sides:
        assert side >= probing.SIDE
        assert side % multiple == 0
        assert side % (2 * multiple)
