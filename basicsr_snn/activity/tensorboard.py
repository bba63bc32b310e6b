"""The activity of the counted pictures of a validation, written to TensorBoard."""
from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.activity.layer import LayerActivity, dead_share, saturated_share
from basicsr_snn.activity.watch import ActivityWatch

SHOWN = 4
"""Pictures of one validation that are shown."""

SHOWN_SIDE = 256
"""Largest side in pixels of what is shown of a picture, its centre."""


class ValidationRecord:
    """Context around the counted pictures of a validation: watches neurons, keeps a few pictures, writes both.

    Tags, with the name of the dataset as D and the module path of a neuron layer as L:

    - ``firing_rate/D/L``: mean |count| of a neuron and step;
    - ``dead_channels/D/L``, ``saturated_channels/D/L``: shares of channels, 0..1, that never fire and that always emit
      the largest count; ``activity/D/dead_channels``, ``activity/D/saturated_channels``: of all layers together;
    - ``membrane/D/L``: histogram of sampled membrane potentials before the spike, in units of the threshold;
    - ``pictures/D/1`` and so on: degraded, restored and, where there is one, clean picture side by side.

    Args:
        net: The network that is validated; without spiking neurons there are pictures only.
    """

    def __init__(self, net: nn.Module) -> None:
        self._watch = ActivityWatch(net)
        self._strips: list[Tensor] = []

    def __enter__(self) -> ValidationRecord:
        self._watch.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._watch.__exit__(kind, error, trace)

    def add_pictures(self, degraded: Tensor, restored: Tensor, clean: Tensor | None) -> None:
        """Keep what is shown of a batch (N, C, H, W) in 0..1; nothing once there are :data:`SHOWN`."""
        for index in range(min(len(restored), SHOWN - len(self._strips))):
            given = [one[index:index + 1] for one in (degraded, restored, clean) if one is not None]
            self._strips.append(side_by_side(given, like=restored))

    def write(self, tb_logger: Any, dataset: str, iteration: int | str) -> None:
        """Write all tags."""
        write_layers(tb_logger, dataset, iteration, self._watch.layers())
        for number, strip in enumerate(self._strips, 1):
            tb_logger.add_image(f'pictures/{dataset}/{number}', strip, iteration)


def write_layers(tb_logger: Any, dataset: str, iteration: int | str, layers: Sequence[LayerActivity]) -> None:
    """Write the tags of neuron layers; none without layers."""
    for layer in layers:
        tb_logger.add_scalar(f'firing_rate/{dataset}/{layer.name}', layer.firing_rate, iteration)
        tb_logger.add_scalar(f'dead_channels/{dataset}/{layer.name}', dead_share([layer]), iteration)
        tb_logger.add_scalar(f'saturated_channels/{dataset}/{layer.name}', saturated_share([layer]), iteration)
        if layer.potentials.size:
            tb_logger.add_histogram(f'membrane/{dataset}/{layer.name}', layer.potentials, iteration)
    if layers:
        tb_logger.add_scalar(f'activity/{dataset}/dead_channels', dead_share(layers), iteration)
        tb_logger.add_scalar(f'activity/{dataset}/saturated_channels', saturated_share(layers), iteration)


def side_by_side(pictures: Sequence[Tensor], like: Tensor) -> Tensor:
    """Centres of pictures (1, C, H, W) in 0..1, brought to the size of ``like``: one (C, h, w) uint8 in a row."""
    height, width = like.shape[-2:]
    top, left = (max(0, side - SHOWN_SIDE) // 2 for side in (height, width))
    strip = [F.interpolate(one.float(), (height, width), mode='nearest') for one in pictures]
    joined = torch.cat([one[0, :, top:top + SHOWN_SIDE, left:left + SHOWN_SIDE] for one in strip], dim=-1)
    return joined.clamp(0, 1).mul(255).round().to('cpu', torch.uint8)
