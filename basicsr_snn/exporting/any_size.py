"""Pictures of any size for an ONNX graph whose sides must be multiples: padded at their ends inside the graph, as
:func:`basicsr_snn.images.padding.pad_to_multiple` pads, and cut again."""
from __future__ import annotations

import onnx
from onnx import compose, parser

from basicsr_snn.inference.contract import Restorer

PAD = """
< ir_version: {ir_version}, opset_import: ["" : {opset}] >
pad (float[pictures, {channels}, height, width] degraded)
    => (float[pictures, {channels}, padded_height, padded_width] padded, int64[2] size)
{{
    size = Shape <start = 2, end = 4> (degraded)
    multiple = Constant <value = int64[1] {{{multiple}}}> ()
    none = Constant <value = int64[1] {{0}}> ()
    one = Constant <value = int64[1] {{1}}> ()
    start = Constant <value = int64 {{0}}> ()
    step = Constant <value = int64 {{1}}> ()
    missing_of_next = Sub (none, size)
    missing = Mod (missing_of_next, multiple)
    whole = Add (size, missing)
    last = Sub (size, one)
    fits = Less (missing, size)
    count_of_fits = Cast <to = 7> (fits)
    all_fit_count = ReduceMin <keepdims = 1> (count_of_fits)
    wanted = Constant <value = int64[1] {{{mirrors}}}> ()
    mirrored_count = Mul (all_fit_count, wanted)
    mirrored = Cast <to = 9> (mirrored_count)
    whole_height, whole_width = Split <num_outputs = 2> (whole)
    last_row, last_column = Split <num_outputs = 2> (last)
    {rows}
    {columns}
    tall = Gather <axis = 2> (degraded, row_read)
    padded = Gather <axis = 3> (tall, column_read)
}}
"""

SIDE = """
    {one}s = Squeeze ({whole})
    {one} = Range (start, {one}s, step)
    {one}_from_end = Sub ({one}, last_{one})
    {one}_beyond = Max ({one}_from_end, none)
    {one}_back = Sub (last_{one}, {one}_beyond)
    {one}_stop = Min ({one}, last_{one})
    {one}_mirrored = Min ({one}, {one}_back)
    {one}_read = Where (mirrored, {one}_mirrored, {one}_stop)
"""
"""Which rows, or columns, the padded picture reads: row r is row r, and beyond the last row L it is row 2L - r, or L
where the picture is too small to be mirrored."""

CUT = """
< ir_version: {ir_version}, opset_import: ["" : {opset}] >
cut (float[pictures, {written}, padded_height, padded_width] whole, int64[2] size)
    => (float[pictures, {written}, height, width] restored)
{{
    from_start = Constant <value = int64[2] {{0, 0}}> ()
    sides = Constant <value = int64[2] {{2, 3}}> ()
    factor = Constant <value = int64[1] {{{scale}}}> ()
    cut_size = Mul (size, factor)
    restored = Slice (whole, from_start, cut_size, sides)
}}
"""


def pad_graph(**known: int) -> onnx.ModelProto:
    """The graph that pads; ``known`` are the numbers that stand in :data:`PAD` and :data:`CUT`."""
    return parser.parse_model(PAD.format(rows=SIDE.format(one='row', whole='whole_height'),
                                         columns=SIDE.format(one='column', whole='whole_width'), **known))


def take_any_size(model: onnx.ModelProto, net: Restorer) -> onnx.ModelProto:
    """A graph that pads pictures as the network does, runs its graph on them and cuts the answer.

    Args:
        model: ``degraded`` (N, C, H, W) to ``restored`` (N, C, scale * H, scale * W), where H and W are multiples of
            ``net.multiple_of``.
        net: The network that it is the graph of.
    """
    known = {'ir_version': model.ir_version, 'opset': _opset(model), 'channels': net.in_ch,
             'written': net.written_channels, 'scale': net.scale,
             'multiple': net.multiple_of, 'mirrors': int(net.mirrors_ends)}
    pad, cut = pad_graph(**known), parser.parse_model(CUT.format(**known))
    pad, cut = (compose.add_prefix(part, f'{part.graph.name}/', rename_inputs=False, rename_outputs=False)
                for part in (pad, cut))
    model = compose.add_prefix(model, 'net/')
    padded = compose.merge_models(pad, model, io_map=[('padded', 'net/degraded')], outputs=['net/restored', 'size'])
    merged = compose.merge_models(padded, cut, io_map=[('net/restored', 'whole'), ('size', 'size')])
    del merged.opset_import[:]
    merged.opset_import.extend(model.opset_import)  # each part brought its own
    return merged


def _opset(model: onnx.ModelProto) -> int:
    return next(entry.version for entry in model.opset_import if entry.domain == '')
