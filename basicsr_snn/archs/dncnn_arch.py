"""DnCNN, a plain convolutional denoiser: an ANN teacher."""
from __future__ import annotations

from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import Restorer


def conv_relu_chain(in_channels: int, out_channels: int, width: int, depth: int) -> nn.Sequential:
    """3x3 convolutions with a ReLU between two of them, none after the last: convolutions at even places, ReLUs at odd.

    No ReLU works in place: a hint may read any of these outputs by a forward hook, and must find it unchanged later.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        width: Channels of all layers between.
        depth: Number of convolutions, >= 2.

    Raises:
        UserError: ``width`` below 1 or ``depth`` below 2.
    """
    if width < 1 or depth < 2:
        raise UserError(f'a chain of {depth} convolutions of {width} channels was asked for, but it needs two or more '
                        'convolutions and one or more channels; write nb: 2 or more and nc: 1 or more.')
    layers: list[nn.Module] = [nn.Conv2d(in_channels, width, 3, padding=1)]
    for _ in range(depth - 2):
        layers += [nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(width, out_channels, 3, padding=1))


@ARCH_REGISTRY.register()
class DnCNN(Restorer):
    """DnCNN (Zhang et al., IEEE TIP 2017, arXiv 1608.03981): predicts the noise and subtracts it.

    Batch normalisation is folded into the convolutions, as in the weight files of KAIR, which load unchanged.

    Args:
        in_nc: Channels of the picture, 3 (RGB) or 1 (grey).
        out_nc: The same number.
        nc: Channels of the hidden layers.
        nb: Number of convolutions, >= 2. KAIR: 20 for colour and for blind grey, 17 for grey at one noise level.

    Shape:
        (N, in_nc, H, W) float32 in 0..1 to the same, any H, W >= 1. Output is not clipped.

    Raises:
        UserError: ``out_nc`` differs from ``in_nc``, ``nc`` below 1 or ``nb`` below 2.

    .. code-block:: yaml

        network_g:
          type: DnCNN
          in_nc: 3
          out_nc: 3
          nc: 64
          nb: 20
    """

    def __init__(self, in_nc: int = 3, out_nc: int = 3, nc: int = 64, nb: int = 20) -> None:
        super().__init__()
        if in_nc != out_nc:
            raise UserError(f'DnCNN was given in_nc: {in_nc} and out_nc: {out_nc}, but it subtracts noise from its '
                            f'input and needs the same number; write out_nc: {in_nc}.')
        self.in_ch, self.receptive_field = in_nc, nb
        self.model = conv_relu_chain(in_nc, out_nc, nc, nb)

    def forward(self, x: Tensor) -> Tensor:
        return x - self.model(x)
