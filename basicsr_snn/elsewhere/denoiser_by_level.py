"""A denoiser as iterative algorithms call it: a picture and its noise level, each in 0..1."""
from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import restore
from basicsr_snn.inference.other_pictures import through_channels, with_contrast
from basicsr_snn.weight_files.card import CAMERA, Card
from basicsr_snn.zoo.trained_network import named_network

WHITE = 255
"""Noise levels of networks are on the scale of 0..255, those of algorithms on that of the picture."""

LEAST = 1 / WHITE
"""No level below is told to a network: there the contrast would grow without bound."""

INSTEAD = 'choose another network, such as spikerir_small_color15'


class DenoiserByLevel(nn.Module):
    """A network of this package that removes white noise of the level that each call tells.

    What it does with a level depends on what the network was trained for:

    - a network that is told the level, such as ``ffdnet_color``, is told it;
    - a network for one level is given the picture at another contrast about mid-grey, at which the noise has the
      level that it knows; so one network does for all levels that an algorithm goes through;
    - a blind network, which finds the level itself, is refused: what plug-and-play algorithms ask to remove at low
      levels is not white, and it leaves it (deblurring gained 0.04 dB by it, 5.8 by one for a single level);
    - others, for the noise of cameras or other tasks, are refused.

    Args:
        name: A shipped network or a weight file, as for :func:`basicsr_snn.load`.
        device: Where it runs.

    Raises:
        UserError: The network removes no white noise, or enlarges, or does not say for which levels it is.

    Shape:
        (N, C, H, W) float in 0..1 up to noise, to the same, not clipped. C is that of the network; a grey picture may
        go through a colour network, and a colour one through a grey network, channel by channel.
    """

    def __init__(self, name: str | Path, device: str | torch.device = 'cpu') -> None:
        super().__init__()
        trained = named_network(name)
        net = trained.deployed()
        self.lowest, self.highest = _levels(trained.known_card(), trained.name, net.takes_sigma)
        if net.scale != 1 or net.written_channels != net.in_ch or net.in_ch not in (1, 3):
            raise UserError(f'{trained.name} turns {net.in_ch} channels into {net.written_channels} at scale '
                            f'{net.scale}, which is no denoiser; choose a network for grey or colour pictures at scale '
                            '1.')
        self.net = net.to(device)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Remove noise.

        Args:
            x: Noisy pictures (N, C, H, W), in 0..1 up to noise.
            sigma: Standard deviation of the noise on the same scale, one for all, or (N,), one for each picture.

        Raises:
            UserError: ``sigma`` is negative, not finite, or has neither one value nor N; or ``x`` has channels other
                than 1 and 3.
        """
        level = self._level(sigma, x)
        known = (WHITE * level).clamp(self.lowest, self.highest) / WHITE
        contrast = known / level
        answer = self._of_any_channels(with_contrast(x, contrast), WHITE * known)
        return with_contrast(answer, 1 / contrast)

    def _level(self, sigma: float | Tensor, x: Tensor) -> Tensor:
        """The level of each picture, (N, 1, 1, 1) or (1, 1, 1, 1), on the scale of the picture."""
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1, 1, 1, 1)
        if len(level) not in (1, len(x)):
            raise UserError(f'{len(level)} noise levels were given for {len(x)} pictures; give one, or one for each.')
        if not (level.isfinite() & (level >= 0)).all() or (level > WHITE / 2).any():
            raise UserError(f'sigma={sigma} is no noise level on the scale of 0..1; give for example 25 / 255.')
        return level.clamp(min=LEAST)

    def _of_any_channels(self, x: Tensor, level: Tensor) -> Tensor:
        own, given = self.net.in_ch, x.shape[1]
        if given != own and 1 not in (given, own):
            raise UserError(f'a picture of {given} channels was given, but the network restores grey and colour '
                            'pictures; give 1 or 3 channels.')
        levels = level.flatten().expand(len(x))
        return through_channels(lambda part: restore(self.net, part, levels), own, x)


def _levels(card: Card, name: str, takes_sigma: bool) -> tuple[float, float]:
    """Between which levels on the scale of 0..255 a network removes noise of a level that it is told, or was made for.

    Raises:
        UserError: There are none.
    """
    if card.task not in (None, 'denoise'):
        raise UserError(f'{name} was trained for the task {card.task}, not for noise; {INSTEAD}.')
    if isinstance(card.noise, int | float):
        return float(card.noise), float(card.noise)
    if takes_sigma:
        told = card.noise if isinstance(card.noise, list) else [0.0, math.inf]
        return float(min(told)), float(max(told))
    if isinstance(card.noise, list):
        raise UserError(f'{name} finds the level of noise itself and cannot be told it, as a denoiser is; {INSTEAD}.')
    said = 'the noise of cameras' if card.noise == CAMERA else 'no level of noise that it says'
    raise UserError(f'{name} was trained for {said}, but a denoiser is told the level of white noise; {INSTEAD}.')
