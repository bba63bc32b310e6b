"""Counting rules: what one executed operator costs, read from its arguments and its result.

Rules are keyed by aten operator, so that ``F.conv2d`` and ``@`` count as ``nn.Conv2d`` and ``nn.Linear`` do.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, cast

import torch
from torch import Tensor

from basicsr_snn.energy.fanout import convolution_reach, weighted_sum

aten = torch.ops.aten


@dataclass(frozen=True)
class Executed:
    """One execution of one operator, counted as if it read floats and as if it read spikes.

    Attributes:
        op: Name of the operator, ``convolution`` or ``matmul`` or ``attention``.
        batch: Pictures times steps that went through at once; 0 where the operator cannot tell.
        inputs: Elements of the driving input.
        outputs: Elements of the result.
        weights: Elements of the weights and of the bias.
        bias: Elements of the result that a bias is added to.
        kernel_positions: Output channels times kernel positions of a convolution, for each of the batch; 0 for others.
        macs: Every weight at every output, padding included.
        effective_macs: Non-zero inputs times the outputs that they reach by non-zero weights; 0 for a convolution that
            reads integers.
        whole: Whether the driving input holds integers only.
        events: Unit events of the driving input, sum of |integer|; 0 if it holds floats.
        acs: Unit events times the outputs that they reach; 0 if the input holds floats.
        effective_acs: The same by non-zero weights.
    """

    op: str
    batch: int
    inputs: int
    outputs: int
    weights: int
    bias: int
    kernel_positions: int
    macs: float
    effective_macs: float
    whole: bool
    events: float
    acs: float
    effective_acs: float


def holds_integers(values: Tensor) -> bool:
    """Whether all values are whole numbers; looks at one row first, since most floats show there."""
    if not values.is_floating_point():
        return not values.is_complex()
    if values.dim() > 1 and values.numel():
        row = values[tuple(length // 2 for length in values.shape[:-1])]
        if not torch.equal(row, row.round()):
            return False
    return torch.equal(values, values.round())


def count_convolution(args: Sequence[Any], output: Tensor, is_parameter: Callable[[Tensor], bool]) -> Executed:
    """A convolution, plain or transposed, 1-D to 3-D, with stride, padding, dilation and groups."""
    received, weight, bias, stride, padding, dilation, transposed, _, groups = args[:9]
    kernel = weight.shape[2:]
    reaches = convolution_reach(received, output, kernel, stride, padding, dilation, transposed)
    fan_out = output.shape[1] // groups
    whole = holds_integers(received)
    effective = events = acs = effective_acs = 0.0
    if whole:
        per_position = received.abs().sum(1, dtype=torch.float32).sum(0, dtype=torch.float64)
        events, acs = float(per_position.sum()), weighted_sum(per_position, reaches) * fan_out
        effective_acs = _by_non_zero_weights(received.abs(), acs, args)
    else:
        present = received != 0
        effective = _by_non_zero_weights(present, weighted_sum(present.sum((0, 1)), reaches) * fan_out, args)
    scattered = received if transposed else output
    return Executed(
        op='convolution', batch=received.shape[0], inputs=received.numel(), outputs=output.numel(),
        weights=weight.numel() + (0 if bias is None else bias.numel()), bias=0 if bias is None else output.numel(),
        kernel_positions=output.shape[0] * output.shape[1] * prod(kernel),
        macs=float(scattered.numel() * prod(weight.shape[1:])),
        effective_macs=effective, whole=whole, events=events, acs=acs, effective_acs=effective_acs)


def _by_non_zero_weights(driving: Tensor, all_weights: float, args: Sequence[Any]) -> float:
    """What ``driving`` (N, C, ...) times the non-zero weights that it meets in a convolution adds up to.

    Args:
        driving: Numbers from 0 on in the place of the input.
        all_weights: The same for all weights.
        args: Arguments of the convolution.
    """
    weight, transposed, groups = args[1], args[6], args[8]
    if bool((weight != 0).all()):
        return all_weights
    met = (weight != 0).float()  # of its outputs, those of a group are added up: (C, 1, ...) or (groups, C/groups, ...)
    met = met.sum(1, keepdim=True) if transposed else met.unflatten(0, (groups, -1)).sum(1)
    summed = torch.ops.aten.convolution(driving.float(), met, None, *args[3:8], groups)
    return float(summed.sum(dtype=torch.float64))


def count_matmul(left: Tensor, right: Tensor, output: Tensor, is_parameter: Callable[[Tensor], bool],
                 bias: Tensor | None = None) -> Executed:
    """A product of matrices (..., m, k) and (..., k, n).

    A side drives accumulations if it holds integers and is no parameter. Where both do, an accumulation takes an event
    of either side at the same k.
    """
    weight_first = is_parameter(left)
    if weight_first:
        left, right = right.transpose(-1, -2), left.transpose(-1, -2)
    rows, columns = left.shape[-2], right.shape[-1]
    left_whole, right_whole = holds_integers(left), not is_parameter(right) and holds_integers(right)

    def along_k(values: Tensor, dim: int, otherwise: int, drives: bool) -> Tensor | int:
        return values.abs().sum(dim, dtype=torch.float64) if drives else otherwise

    whole = left_whole or right_whole
    acs = effective_acs = 0.0
    present = (right != 0).sum(-1, dtype=torch.float64) if is_parameter(right) else columns
    if whole:
        pairs = along_k(left, -2, rows, left_whole) * along_k(right, -1, columns, right_whole)
        acs = effective_acs = float(cast('Tensor', pairs).sum())  # at least one of the two drives
        if left_whole and not right_whole:
            effective_acs = float((left.abs().sum(-2, dtype=torch.float64) * present).sum())
    driving = left if left_whole or not whole else right
    events = float(driving.abs().sum(dtype=torch.float64)) if whole else 0.0
    return Executed(
        op='matmul', batch=0, inputs=driving.numel(), outputs=output.numel(),
        weights=right.numel() + (0 if bias is None else bias.numel()), bias=0 if bias is None else output.numel(),
        kernel_positions=0, macs=float(left.numel() * columns),
        effective_macs=float(((left != 0).sum(-2, dtype=torch.float64) * present).sum()), whole=whole, events=events,
        acs=acs, effective_acs=effective_acs)


def count_attention(args: Sequence[Any], output: Tensor, is_parameter: Callable[[Tensor], bool]) -> Executed:
    """Fused scaled dot-product attention: the two products, always on floats; its softmax is not counted."""
    query, key, value = args[:3]
    macs = float(prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1]))
    return Executed(op='attention', batch=0, inputs=query.numel(), outputs=output.numel(),
                    weights=key.numel() + value.numel(), bias=0, kernel_positions=0, macs=macs, effective_macs=macs,
                    whole=False, events=0.0, acs=0.0, effective_acs=0.0)


def _plain(args: Sequence[Any], output: Tensor, is_parameter: Callable[[Tensor], bool]) -> Executed:
    return count_matmul(args[0], args[1], output, is_parameter)


def _added(args: Sequence[Any], output: Tensor, is_parameter: Callable[[Tensor], bool]) -> Executed:
    return count_matmul(args[1], args[2], output, is_parameter, args[0])


def _vector(args: Sequence[Any], output: Tensor, is_parameter: Callable[[Tensor], bool]) -> Executed:
    return count_matmul(args[-2], args[-1][:, None], output, is_parameter, args[0] if len(args) == 3 else None)


def _dot(args: Sequence[Any], output: Tensor, is_parameter: Callable[[Tensor], bool]) -> Executed:
    return count_matmul(args[0][None], args[1][:, None], output, is_parameter)


Rule = Callable[[Sequence[Any], Tensor, Callable[[Tensor], bool]], Executed]

RULES: dict[Any, Rule] = {
    aten.convolution: count_convolution,
    aten._convolution: count_convolution,
    aten.mm: _plain,
    aten.bmm: _plain,
    aten.addmm: _added,
    aten._addmm_activation: _added,
    aten.baddbmm: _added,
    aten.addbmm: _added,
    aten.mv: _vector,
    aten.addmv: _vector,
    aten.dot: _dot,
    aten._scaled_dot_product_flash_attention: count_attention,
    aten._scaled_dot_product_flash_attention_for_cpu: count_attention,
    aten._scaled_dot_product_efficient_attention: count_attention,
    aten._scaled_dot_product_cudnn_attention: count_attention,
    aten._scaled_dot_product_fused_attention_overrideable: count_attention,
}

MOVES = frozenset((
    '_efficientzerotensor', '_local_scalar_dense', '_pack_padded_sequence', '_reshape_alias', '_reshape_copy',
    '_resize_output_', '_to_copy', '_unsafe_index', '_unsafe_view', 'alias', 'arange', 'as_strided', 'bernoulli',
    'bincount', 'cat', 'channel_shuffle', 'clone', 'constant_pad_nd', 'contiguous', 'copy', 'copy_', 'detach',
    'diag_embed', 'dropout', 'empty', 'empty_like', 'empty_permuted', 'empty_strided', 'expand', 'eye', 'fill',
    'fill_', 'flip', 'full', 'full_like', 'gather', 'im2col', 'index', 'index_put', 'index_put_', 'index_select',
    'lift', 'lift_fresh', 'linspace', 'masked_fill', 'masked_fill_', 'masked_select', 'native_dropout', 'new_empty',
    'new_empty_strided', 'new_full', 'new_ones', 'new_zeros', 'nonzero', 'normal', 'ones', 'ones_like', 'permute',
    'pixel_shuffle', 'pixel_unshuffle', 'rand', 'rand_like', 'randint', 'randint_like', 'randn', 'randn_like',
    'randperm', 'reflection_pad1d', 'reflection_pad2d', 'reflection_pad3d', 'repeat', 'repeat_interleave',
    'replication_pad1d', 'replication_pad2d', 'replication_pad3d', 'resize', 'resize_', 'roll', 'rot90',
    'scalar_tensor', 'scatter', 'scatter_', 'select', 'select_scatter', 'set_', 'slice', 'slice_scatter', 'split',
    'split_with_sizes', 'squeeze', 'stack', 'stride', 'sym_numel', 'sym_size', 'sym_stride', 't', 'take', 'to',
    'transpose', 'tril', 'triu', 'unbind', 'unfold', 'unfold_copy', 'unsqueeze', 'upsample_nearest1d',
    'upsample_nearest2d', 'upsample_nearest3d', 'view', 'where', 'zero_', 'zeros', 'zeros_like',
))
"""Operators that move, copy, choose or make data: no arithmetic."""

LIGHT = frozenset((
    '_adaptive_avg_pool2d', '_adaptive_avg_pool3d', 'adaptive_max_pool2d', 'all', 'amax', 'amin', 'aminmax', 'any',
    'argmax', 'argmin', 'avg_pool1d', 'avg_pool2d', 'avg_pool3d', 'col2im', 'count_nonzero', 'cummax', 'cumprod',
    'cumsum', 'linalg_vector_norm', 'logsumexp', 'max', 'max_pool2d_with_indices', 'mean', 'median', 'min', 'norm',
    'prod', 'sort', 'std', 'std_mean', 'sum', 'topk', 'var', 'var_mean',
))
"""Reductions and pooling: about one operation for each input element."""

UNTAGGED = frozenset(('celu', 'elu', 'hardsigmoid', 'hardtanh', 'leaky_relu', 'selu'))
"""Element-wise operators that torch 2.6 does not tag as such."""


def is_light(operator: Any) -> bool:
    """Whether an operator does about one operation for each element: element-wise arithmetic, reductions, pooling."""
    return torch.Tag.pointwise in operator.tags or operator.overloadpacket.__name__.rstrip('_') in LIGHT | UNTAGGED


def is_free(operator: Any) -> bool:
    """Whether an operator does no arithmetic on values: it moves, copies or makes data, or makes a view."""
    if operator.namespace not in ('aten', 'prim', 'prims'):
        return False
    return operator.is_view or operator.overloadpacket.__name__ in MOVES
