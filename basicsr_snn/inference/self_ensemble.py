"""Geometric self-ensemble: a network's mean answer on flips and turns of a picture, its views."""
from __future__ import annotations

import operator
from functools import reduce

import torch
from torch import Tensor

from basicsr_snn.errors import UserError
from basicsr_snn.images.padding import restored_on_multiple
from basicsr_snn.inference.calling import restore
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.inference.defaults import VIEWS

__all__ = ['TURNS_AND_FLIPS', 'VIEWS', 'SelfEnsemble', 'turn', 'turn_back']

TURNS_AND_FLIPS = ((0, False), (2, False), (1, True), (3, True), (0, True), (2, True), (1, False), (3, False))
"""Quarter turns and whether a flip from left to right follows; the first 1, 2, 4 or all 8 of them are the views."""


class SelfEnsemble(Restorer):
    """A network that answers with the mean of its answers on flips and turns (arXiv 1511.02228, section 3.5).

    What it gets wrong by chance, the rounding of counts too, differs between the views and shrinks in their mean. Costs
    as many times the operations. The picture is padded first, so that strided layers see tiles and whole pictures in
    the same phase.

    Args:
        net: A restorer.
        views: 1, 2, 4 or 8.

    Raises:
        UserError: Another number of views.
    """

    def __init__(self, net: Restorer, views: int) -> None:
        super().__init__()
        if views not in VIEWS:
            raise UserError(f'{views} views were asked for; a picture has 1, 2, 4 or 8 by flips and turns.')
        self.net = net
        self.views = views
        self.in_ch, self.out_ch, self.scale, self.multiple_of = net.in_ch, net.out_ch, net.scale, net.multiple_of
        self.takes_sigma, self.receptive_field, self.T = net.takes_sigma, net.receptive_field, net.T
        self.compiles_sizes = net.compiles_sizes

    def forward(self, picture: Tensor, sigma: Tensor | float | None = None) -> Tensor:
        """Restore (N, C, H, W) in 0..1; ``sigma`` as in :func:`basicsr_snn.inference.calling.restore`."""
        def mean_answer(padded: Tensor) -> Tensor:
            answers = (turn_back(restore(self.net, turn(padded, *view), sigma), *view)
                       for view in TURNS_AND_FLIPS[:self.views])
            return reduce(operator.add, answers) / self.views

        return restored_on_multiple(mean_answer, picture, self.multiple_of)


def with_views(net: Restorer, views: int) -> Restorer:
    """A self-ensemble of a network, or for a single view the network itself."""
    return net if views == 1 else SelfEnsemble(net, views)


def turn(picture: Tensor, turns: int, flip: bool) -> Tensor:
    """One view of (N, C, H, W): quarter turns, then a flip."""
    turned = torch.rot90(picture, turns, (-2, -1))
    return turned.flip(-1) if flip else turned


def turn_back(view: Tensor, turns: int, flip: bool) -> Tensor:
    """The picture whose :func:`turn` is ``view``."""
    return torch.rot90(view.flip(-1) if flip else view, -turns, (-2, -1))
