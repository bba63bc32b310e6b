"""The default neuron: a leaky integrate-and-fire neuron that emits signed integer spike counts."""
from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError


def round_straight_through(u: Tensor, limit: int) -> Tensor:
    """``round(clip(u, -limit, limit))`` with the gradient of the clip: 1 inside the range, 0 outside.

    Args:
        u: Membrane potential in units of the threshold, any shape.
        limit: Largest count D of either sign.

    Returns:
        Integer-valued float tensor of the same shape in -limit..limit. Halves round to the even count (IEEE).
    """
    clipped = u.clamp(-limit, limit)
    return clipped + (clipped.round() - clipped).detach()


class SignedILIF(nn.Module):
    r"""Signed integer leaky integrate-and-fire neuron with a learnable threshold for each channel.

    Dynamics, from rest (:math:`v[-1] = 0`) at every call, with the threshold :math:`\theta_c > 0` of channel c:

    .. math::
        h[t] = \beta\, v[t-1] + x[t], \qquad
        k[t] = \mathrm{round}(\mathrm{clip}(h[t] / \theta_c, -D, D)), \qquad
        v[t] = h[t] - \theta_c\, k[t]

    The integer count follows I-LIF (arXiv 2407.20708); the sign, the threshold for each channel and its gradient are
    our choice. The neuron emits ``k``, so that what follows reads spikes; ``amplitude`` is :math:`\theta`, by which
    the next convolution scales its input channels (and which folds into its weights for inference). Together they
    approximate ``h``, and the gradient of :math:`\theta` is that of learned step-size quantisation (arXiv
    1902.08153).

    Args:
        channels: Number of channels C.
        D: Largest count of either sign, >= 1.
        decay: Leak :math:`\beta` in 0..1; 0.25 as in I-LIF. Without effect at T = 1.
        threshold: Initial threshold, > 0, in the unit of the membrane potential.

    Raises:
        UserError: ``D``, ``decay`` or ``threshold`` is out of range.

    Shape:
        ``(T, N, C, H, W)`` membrane input to ``(T, N, C, H, W)`` integer-valued float32 in -D..D.

    .. code-block:: yaml

        neuron: {type: SignedILIF, D: 4, decay: 0.25, threshold: 0.1}
    """

    signed = True

    def __init__(self, channels: int, D: int = 4, decay: float = 0.25, threshold: float = 0.1) -> None:  # noqa: N803
        super().__init__()
        if D < 1 or not 0 <= decay <= 1 or threshold <= 0:
            raise UserError(f'SignedILIF needs D >= 1, decay in 0..1 and threshold > 0, got D={D}, decay={decay}, '
                             f'threshold={threshold}.')
        self.D = int(D)
        self.decay = float(decay)
        self.log_threshold = nn.Parameter(torch.full((channels,), math.log(threshold)))

    @property
    def amplitude(self) -> Tensor:
        """Membrane value of one spike of each channel: the thresholds, shape (C,)."""
        return self.log_threshold.exp()

    def forward(self, x: Tensor) -> Tensor:
        threshold = self.amplitude.view(-1, 1, 1)
        if x.shape[0] == 1:
            return round_straight_through(x / threshold, self.D)
        counts = []
        v = torch.zeros_like(x[0])
        for current in x:
            h = self.decay * v + current
            count = round_straight_through(h / threshold, self.D)
            v = h - threshold * count
            counts.append(count)
        return torch.stack(counts)

    def extra_repr(self) -> str:
        return f'channels={self.log_threshold.numel()}, D={self.D}, decay={self.decay}'
