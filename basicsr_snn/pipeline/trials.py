"""Blocks with a ``type:`` built for a trial, so that what a class refuses of its options is a sentence.

What a signature cannot say, such as that a momentum lies below 1, its class knows best. A trial takes no memory and
downloads nothing.
"""
from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from basicsr.archs.vgg_arch import NAMES
from torch import nn

from basicsr_snn.errors import UserError, first_line, near_matches
from basicsr_snn.inference.contract import is_built_with_weights
from basicsr_snn.pipeline.option_blocks.base import Kind
from basicsr_snn.pipeline.option_blocks.built import known
from basicsr_snn.plugins.importing import place_in_own_code
from basicsr_snn.zoo.size_limit import try_to_build

CHANNELS = 4
"""Of the layer whose neuron is tried."""

SIDE = 192
"""Of the pictures that a metric is tried on, in pixels: NIQE looks at patches of 96."""


def refusal(kind: Kind, options: Mapping[str, Any]) -> str | None:
    """What the class of a block refuses, in a sentence without the path of the block; else None."""
    arguments = {key: value for key, value in options.items() if key != 'type'}
    built = known(kind)[options['type']]
    try:
        with contextlib.suppress(ImportError):  # of a package that only the real thing needs
            _try(kind, built, arguments)
    except UserError as error:
        return str(error)
    except Exception as error:  # a class refuses its options in any way
        return (f'{options["type"]} does not work with its options ({type(error).__name__}: {first_line(error)}); '
                'correct them, or leave them out.')
    return None


def _try(kind: Kind, built: Any, arguments: dict[str, Any]) -> None:
    if kind == 'network' and not is_built_with_weights(built):
        try_to_build(built, arguments)
    elif kind == 'optimizer':
        built([nn.Parameter(torch.zeros(1))], **arguments)
    elif kind in ('neuron', 'hidden_neuron'):
        built(CHANNELS, **arguments)
    elif kind.endswith('loss') and built.__name__ == 'PerceptualLoss':
        _try_perceptual_loss(arguments)
    elif kind.endswith('loss'):
        built(**arguments)
    elif kind == 'metric':
        _try_metric(built, arguments)


def _try_perceptual_loss(arguments: Mapping[str, Any]) -> None:
    """It downloads a network when it is built: only what it reads is looked at."""
    network, layers = arguments.get('vgg_type', 'vgg19'), arguments['layer_weights']
    if network not in NAMES:
        raise UserError(f'vgg_type is {network!r}, but must be one of {", ".join(NAMES)}.')
    names = NAMES[network.replace('_bn', '')]
    unknown = [layer for layer in layers if layer not in names]
    if unknown:
        raise UserError(f'layer_weights names {unknown[0]}, which {network} lacks; did you mean '
                        f'{" or ".join(near_matches(unknown[0], names))}?')
    if arguments.get('criterion', 'l1') not in ('l1', 'fro'):
        raise UserError(f'criterion is {arguments["criterion"]!r}, but must be l1 or fro.')
    if not all(isinstance(weight, int | float) and not isinstance(weight, bool) for weight in layers.values()):
        raise UserError('layer_weights must be numbers; write layer_weights: {conv5_4: 1}.')


def _try_metric(built: Any, arguments: Mapping[str, Any]) -> None:
    picture = np.random.RandomState(0).randint(0, 256, (SIDE, SIDE, 3), np.uint8)
    if arguments.get('crop_border', 0) < 0:
        raise UserError(f'crop_border is {arguments["crop_border"]}, but must be a number of at least 0; write '
                        'crop_border: 0.')
    border = min(arguments.get('crop_border', 0), SIDE // 4)
    try:
        float(built(img=picture, img2=picture[::-1].copy(), **{**arguments, 'crop_border': border}))
    except (TypeError, AttributeError) as error:
        if own := place_in_own_code(error):
            raise UserError(f'{built.__name__} computes no score of 8-bit pictures (H, W, C), which BasicSR gives it: '
                            f'{first_line(error)} ({own}); correct that line.') from error
        raise UserError(f'{built.__name__} computes no score of 8-bit pictures, which BasicSR gives it '
                        f'({first_line(error)}); write another, such as type: calculate_psnr.') from error
