"""FFDNet, a convolutional denoiser that is told the noise level: an ANN teacher."""
from __future__ import annotations

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor
from torch.nn import functional as F

from basicsr_snn.archs.dncnn_arch import conv_relu_chain
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import Restorer


@ARCH_REGISTRY.register()
class FFDNet(Restorer):
    """FFDNet (Zhang et al., IEEE TIP 2018, arXiv 1710.04026): works at half size and reads a map of the noise level.

    Batch normalisation is folded into the convolutions, as in the weight files of KAIR, which load unchanged.

    Args:
        in_nc: Channels of the picture, 3 (RGB) or 1 (grey).
        out_nc: Channels of the result.
        nc: Channels of the hidden layers. KAIR: 96 for colour, 64 for grey.
        nb: Number of convolutions, >= 2. KAIR: 12 for colour, 15 for grey.
        sigma: Noise level of a call that gives none, standard deviation on the 0..255 scale.

    Shape:
        (N, in_nc, H, W) float32 in 0..1 to (N, out_nc, H, W), any H, W >= 1 (edge pixels are repeated inside to an even
        size). Output is not clipped.

    Raises:
        UserError: ``nc`` below 1 or ``nb`` below 2.

    .. code-block:: yaml

        network_g:
          type: FFDNet
          in_nc: 3
          out_nc: 3
          nc: 96
          nb: 12
          sigma: 25
    """

    takes_sigma = True
    multiple_of = 2
    mirrors_ends = False

    def __init__(self, in_nc: int = 3, out_nc: int = 3, nc: int = 96, nb: int = 12, sigma: float = 25.0) -> None:
        super().__init__()
        self.sigma = sigma
        self.in_ch = in_nc
        self.receptive_field = 2 * nb + 1  # a pixel of half the size may be seen from its far side
        self.model = conv_relu_chain(4 * in_nc + 1, 4 * out_nc, nc, nb)

    def forward(self, x: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        """Denoise.

        Args:
            x: (N, in_nc, H, W) in 0..1.
            sigma: Noise level on the 0..255 scale: one for all pictures, or a tensor (N,).

        Raises:
            UserError: ``sigma`` has neither one value nor N.
        """
        height, width = x.shape[-2:]
        padded = F.pad(x, (0, width % 2, 0, height % 2), mode='replicate')
        halved = F.pixel_unshuffle(padded, 2)
        level = noise_level_map(self.sigma if sigma is None else sigma, halved)
        restored = F.pixel_shuffle(self.model(torch.cat([halved, level], dim=1)), 2)
        return restored[..., :height, :width]


def noise_level_map(sigma: float | Tensor, like: Tensor) -> Tensor:
    """The map (N, 1, H, W) of the value ``sigma / 255`` that fits a batch (N, C, H, W); see :meth:`FFDNet.forward`."""
    level = torch.as_tensor(sigma, dtype=like.dtype, device=like.device).reshape(-1, 1, 1, 1) / 255
    given, pictures = level.shape[0], like.shape[0]
    if given not in (1, pictures):
        raise UserError(f'{given} noise levels were given for {pictures} pictures; give one, or one for each.')
    return level.expand(pictures, 1, *like.shape[-2:])
