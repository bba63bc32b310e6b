"""Graphs of one time step hold no axis of time; those of several steps, or with what is not understood, keep it."""
from __future__ import annotations

import pytest
import torch

pytest.importorskip('onnxscript')
onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')

from basicsr_snn import zoo  # noqa: E402
from basicsr_snn.exporting import export  # noqa: E402
from basicsr_snn.exporting.one_step import drop_time_axis  # noqa: E402
from basicsr_snn.inference.calling import deployed  # noqa: E402

SMALL = {'type': 'SpikerIR', 'channels': [4, 8], 'blocks': [1, 1]}


def kinds_of(network, file, **how) -> list[str]:
    torch.manual_seed(0)
    export(zoo.build(network), network, 'onnx', file, **how)
    return [node.op_type for node in onnx.load(file).graph.node]


@pytest.mark.parametrize('int8', [False, True])
def test_one_step_has_no_axis_of_time(tmp_path, int8):
    kinds = kinds_of(SMALL, tmp_path / 'a.onnx', int8=int8)
    assert not {'Reshape', 'Unsqueeze', 'ReduceMean', 'Expand'}.intersection(kinds)
    torch.manual_seed(0)
    net, picture = deployed(zoo.build(SMALL)), torch.rand(2, 3, 20, 31)
    answer, = onnxruntime.InferenceSession(tmp_path / 'a.onnx').run(None, {'degraded': picture.numpy()})
    with torch.no_grad():
        assert (torch.from_numpy(answer) - net(picture)).abs().mean() < 1e-3


def test_several_steps_keep_it(tmp_path):
    assert 'ReduceMean' in kinds_of({**SMALL, 'T': 2}, tmp_path / 'a.onnx')


def model(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]>\n{text}')


def test_what_works_on_the_axis_otherwise_stays_as_it_is():
    with_softmax = model('''g (float[2, 3, 4, 5] x) => (float[2, 3, 4, 5] y) <int64[1] axes = {0}> {
        timed = Unsqueeze (x, axes)
        shares = Softmax <axis = 1> (timed)
        y = Squeeze (shares, axes)
    }''')
    assert drop_time_axis(with_softmax) is with_softmax


def test_a_graph_without_time_stays_as_it_is():
    plain = model('g (float[2, 3, 4, 5] x) => (float[2, 3, 4, 5] y) { y = Relu (x) }')
    assert drop_time_axis(plain) is plain
