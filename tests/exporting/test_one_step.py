"""Graphs with what is not understood keep their axis of time; whole networks are exported in ``test_export.py``."""
from __future__ import annotations

import pytest

pytest.importorskip('onnxscript')
onnx = pytest.importorskip('onnx')

from basicsr_snn.exporting.one_step import drop_time_axis  # noqa: E402


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
