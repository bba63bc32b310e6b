"""ONNX: the folded network as one graph for any number of pictures of any size, checked with onnxruntime."""
from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError, first_line
from basicsr_snn.inference.calling import deployed
from basicsr_snn.inference.contract import as_restorer

AGREEMENT = 60.0
"""Least PSNR in dB between the pictures of the source and of the file. Sums in another order may tip a count over."""

INPUT, OUTPUT = 'degraded', 'restored'


def write(net: nn.Module, network: Mapping[str, Any], file: Path) -> str:
    """Write ``degraded`` (N, C, H, W) in 0..1 to ``restored`` of the same shape, H and W multiples of the network's
    ``multiple_of``; a network that takes a noise level has that of its options.

    Args:
        net: Any network.
        network: Its block.
        file: Where to.

    Raises:
        UserError: The network has no graph, or one that gives other pictures.
    """
    if as_restorer(net).exit_tolerance:
        raise UserError(f'{network["type"]} with exit_tolerance ends when its picture has settled, but an ONNX graph '
                        'has a fixed number of steps; write exit_tolerance: 0.')
    folded = deployed(net)
    multiple, channels = folded.multiple_of, folded.in_ch
    _export(folded, network, _picture(2, channels, 8 * multiple, 12 * multiple), multiple, file)
    pictures = [_picture(count, channels, rows * multiple, columns * multiple)
                for count, rows, columns in ((2, 8, 12), (1, 13, 5))]
    with _one_sentence(network, 'no graph that onnxruntime runs'):
        session = onnxruntime.InferenceSession(file, providers=['CPUExecutionProvider'])
        least = min(_agreement(folded, session, picture) for picture in pictures)
    if least < AGREEMENT:
        raise UserError(f'the ONNX graph of {network["type"]} agrees with the network to {least:.1f} dB only, less '
                        f'than {AGREEMENT:g} dB, so nothing was written; type --format safetensors instead.')
    sides = 'sides of any length' if multiple == 1 else f'sides are multiples of {multiple}'
    return f'onnxruntime gives the pictures of the network to {least:.1f} dB; {INPUT} (N, {channels}, H, W), {sides}'


def _agreement(net: nn.Module, session: onnxruntime.InferenceSession, picture: Tensor) -> float:
    """PSNR in dB between the answers of the network and of its graph."""
    with torch.no_grad():
        source = net(picture)
    theirs, = session.run([OUTPUT], {INPUT: picture.numpy()})
    squared = (torch.from_numpy(theirs) - source).square().mean().item()
    return -10 * math.log10(squared) if squared else math.inf


def _picture(count: int, channels: int, height: int, width: int) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0))


def _export(net: nn.Module, network: Mapping[str, Any], example: Tensor, multiple: int, file: Path) -> None:
    height, width = (multiple * torch.export.Dim(name, min=1, max=4096) for name in ('rows', 'columns'))
    shapes = ({0: torch.export.Dim('pictures', min=1, max=4096), 2: height, 3: width},)
    with _one_sentence(network, 'no ONNX form'), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        graph = torch.onnx.export(net, (example,), dynamo=True, dynamic_shapes=shapes, input_names=[INPUT],
                                  output_names=[OUTPUT], verbose=False)
    graph.save(file)  # type: ignore[union-attr]  # with dynamo=True it always answers with a program


@contextmanager
def _one_sentence(network: Mapping[str, Any], what: str) -> Iterator[None]:
    """Context in which any complaint of the tools becomes a refusal: they raise what they meet."""
    try:
        yield
    except Exception as error:
        reason = first_line(error.__cause__ or error, 160)
        raise UserError(f'{network["type"]} with these options has {what} ({reason}); type --format '
                        'safetensors instead.') from error
