"""ONNX: the folded network as one graph for any number of pictures of any size, checked with onnxruntime."""
from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from basicsr_snn import zoo
from basicsr_snn.errors import UserError, first_line
from basicsr_snn.exporting.any_size import take_any_size
from basicsr_snn.exporting.one_step import drop_time_axis
from basicsr_snn.exporting.photographs import SIGMA, photographs_to_compare, photographs_to_round
from basicsr_snn.inference.calling import deployed
from basicsr_snn.inference.contract import Restorer, as_restorer
from basicsr_snn.recorded import example_decides
from basicsr_snn.spiking.int8 import to_int8
from basicsr_snn.spiking.neurons.coded_counts import count_form
from basicsr_snn.version import __version__

AGREEMENT = 45.0
"""Least PSNR in dB between the pictures of the source and of the file. Sums of floats in another order may tip a count
over, and those behind it follow; a graph that computes something else stays far below."""

INPUT, OUTPUT = 'degraded', 'restored'

def write(net: nn.Module, network: Mapping[str, Any], file: Path, about: Mapping[str, str] | None = None,
          int8: bool = False) -> str:
    """Write ``degraded`` (N, C, H, W) in 0..1 to ``restored`` of the same shape, or as much larger as the network
    enlarges, for any N, H, W >= 1; a network that takes a noise level has that of its options.

    Args:
        net: Any network.
        network: Its block.
        file: Where to.
        about: What else to write into the metadata of the file.
        int8: Whether convolutions of spikes are written with weights and counts of 8 bits.

    Raises:
        UserError: The network has no graph, or one that gives other pictures, or no 8-bit form.
    """
    if as_restorer(net).exit_tolerance:
        raise UserError(f'{network["type"]} with exit_tolerance ends when its picture has settled, but an ONNX graph '
                        'has a fixed number of steps; write exit_tolerance: 0.')
    folded = deployed(in_counts(net, network))
    folded = to_int8(folded, photographs_to_round(folded.in_ch)) if int8 else folded
    graph = _graph(folded, network, file)
    onnx.helper.set_model_props(graph, {**(about or {}), **_description(folded, network, int8)})
    onnx.save(graph, file)
    with _one_sentence(network, 'no graph that onnxruntime runs'):
        session = onnxruntime.InferenceSession(file, providers=['CPUExecutionProvider'])
        least = min(_agreement(folded, session, picture) for picture in photographs_to_compare(folded.in_ch))
    if least < AGREEMENT:
        raise UserError(f'the ONNX graph of {network["type"]} agrees with the network to {least:.1f} dB only, less '
                        f'than {AGREEMENT:g} dB, so nothing was written; type --format safetensors instead.')
    return (f'onnxruntime gives the pictures of the network to {least:.1f} dB on a photograph with noise {SIGMA}; '
            f'{INPUT} (N, {folded.in_ch}, H, W) of any size, values in 0..1')


def in_counts(net: nn.Module, network: Mapping[str, Any]) -> nn.Module:
    """A network in its training form; a phase-coded one by its counts, the same function in one step."""
    counted = count_form(network)
    if counted == dict(network):
        return net
    other = zoo.build(counted)
    other.load_state_dict(net.state_dict())
    return other


def _description(net: Restorer, network: Mapping[str, Any], int8: bool) -> dict[str, str]:
    """The metadata of the file, all of them strings."""
    return {'network_g': json.dumps(network), 'range': '0..1', 'layout': 'NCHW, RGB or grey', 'scale': str(net.scale),
            'precision': 'int8 weights and spike counts, float32 streams' if int8 else 'float32',
            'channels': str(net.in_ch), 'written_channels': str(net.written_channels),
            'receptive_field': str(net.receptive_field), 'stride': str(net.multiple_of),
            'basicsr_snn': __version__}


def _agreement(net: nn.Module, session: onnxruntime.InferenceSession, picture: Tensor) -> float:
    """PSNR in dB between the answers of the network and of its graph."""
    with torch.no_grad():
        source = net(picture)
    theirs, = session.run([OUTPUT], {INPUT: picture.numpy()})
    squared = (torch.from_numpy(theirs) - source).square().mean().item()
    return -10 * math.log10(squared) if squared else math.inf


def _graph(net: Restorer, network: Mapping[str, Any], file: Path) -> onnx.ModelProto:
    multiple, channels = net.multiple_of, net.in_ch
    example = torch.zeros(2, channels, 8 * multiple, 12 * multiple)
    height, width = (multiple * torch.export.Dim(name, min=1, max=4096) for name in ('rows', 'columns'))
    shapes = ({0: torch.export.Dim('pictures', min=1, max=4096), 2: height, 3: width},)
    with _one_sentence(network, 'no ONNX form'), torch.no_grad(), warnings.catch_warnings(), example_decides():
        warnings.simplefilter('ignore')
        program = torch.onnx.export(net, (example,), dynamo=True, dynamic_shapes=shapes, input_names=[INPUT],
                                    output_names=[OUTPUT], verbose=False)
        program.save(file)  # type: ignore[union-attr]  # with dynamo=True it always answers with a program
        graph = onnx.load(file)
        graph = drop_time_axis(graph)
        strip_remarks(graph)
        return graph if multiple == 1 else take_any_size(graph, net)


def strip_remarks(graph: onnx.ModelProto) -> None:
    """Take out what the exporter says of the Python source, which is most of a small file; in place."""
    for node in graph.graph.node:
        node.ClearField('metadata_props')
        node.ClearField('doc_string')
    graph.graph.ClearField('value_info')
    graph.ClearField('metadata_props')


@contextmanager
def _one_sentence(network: Mapping[str, Any], what: str) -> Iterator[None]:
    """Context in which any complaint of the tools becomes a refusal: they raise what they meet."""
    try:
        yield
    except Exception as error:
        reason = first_line(error.__cause__ or error, 160)
        raise UserError(f'{network["type"]} with these options has {what} ({reason}); type --format '
                        'safetensors instead.') from error
