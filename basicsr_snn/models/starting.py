"""Start weights of a student: from its trained ANN twin, from a student that counts, from a smaller student."""
from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from statistics import median

import torch
from torch import Tensor, nn

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.errors import UserError, some
from basicsr_snn.spiking.blocks import SpikingBlock, SpikingConv, spiking_convs
from basicsr_snn.spiking.neurons.coded_counts import CodedCounts
from basicsr_snn.spiking.neurons.signed_ilif import SignedILIF
from basicsr_snn.spiking.ternary import unpacked_state

SHARE, SHARE_OF_HEAD = 0.4, 0.1
"""Thresholds in standard deviations. A signed count of 0.4 emits two spikes a neuron on Gaussian input; the head's
counts are finer, since their rounding enters the picture unfiltered (measured: no. 37 of the design log)."""

SMALLEST_THRESHOLD = 1e-3
OF_CONVOLUTION = 4
"""Dimensions of the weights of a convolution: channels written, channels read, rows, columns."""

THRESHOLD, BIAS_CURRENT = '.log_threshold', '.neuron.bias'
"""How the names of the parameters end that a twin lacks."""


def start_from_twin(net: SpikerIR, twin: Mapping[str, Tensor], noisy: Tensor, share: float = SHARE,
                    share_of_head: float = SHARE_OF_HEAD) -> None:
    """Give a student the weights of its trained ANN twin, and thresholds that fit what its neurons receive.

    Neurons such as ``LIFNode`` have one threshold that is not trained. There the streams are brought to the scale of
    it, and the convolution behind a neuron is scaled to what its spikes stand for.

    Args:
        net: The student; a network of the same shape with other neurons may stand in the place of the twin.
        twin: Weights of the twin by name.
        noisy: Noisy training crops (N, C, H, W), on which the thresholds are fitted.
        share: Threshold of a channel in standard deviations of what its neurons receive.
        share_of_head: The same for the head, where thresholds are trained.

    Raises:
        UserError: Weights of another network, or a neuron whose thresholds cannot be fitted.
    """
    twin = unpacked_state(twin, net)
    _refuse_others(net, twin, fitted=(THRESHOLD, BIAS_CURRENT))
    own = net.state_dict()
    net.load_state_dict({**own, **{name: value for name, value in twin.items() if name in own}})
    if all(_has_fixed_threshold(layer) for layer in spiking_convs(net)):
        fit_streams(net, noisy, share)
        fit_worth_of_spikes(net, noisy)
    else:
        fit_thresholds(net, noisy, share, share_of_head)


@torch.no_grad()
def fit_streams(net: SpikerIR, noisy: Tensor, share: float) -> None:
    """Scale all membrane potentials, so that the thresholds are ``share`` of their standard deviations in the median.

    A network of rectifiers whose stem and biases are multiplied by a number multiplies all its potentials by it; the
    head takes it back. The neurons are made to pass on what rectifiers would.
    """
    layers, shares = spiking_convs(net), []

    def note(layer: SpikingConv, inputs: tuple[Tensor]) -> None:
        shares.append(float((layer.neuron.initial_threshold or 0.0) / inputs[0].std()))

    with _each_called_before(layers, note), _as_rectifiers(layers):
        net.train()(noisy)
    scale = median(shares) / share
    net.stem.weight.mul_(scale)
    for layer in (net.stem, *(one.conv for one in layers if one is not net.head)):
        if layer.bias is not None:
            layer.bias.mul_(scale)
    net.head.conv.weight.div_(scale)


@torch.no_grad()
def fit_worth_of_spikes(net: SpikerIR, noisy: Tensor) -> None:
    """Scale the weights of each convolution, channel by channel, and shift its bias, so that the spikes that it reads
    stand for the rectified potentials: the linear map with the least squared error. Layer by layer, as they run."""
    def fit(layer: SpikingConv, inputs: tuple[Tensor]) -> None:
        dims = (0, 2, 3)
        wanted, spikes = inputs[0].mean(0).relu(), layer.neuron(inputs[0]).mean(0)
        layer.neuron.reset()
        if layer.neuron.amplitude is not None:
            spikes = spikes * layer.neuron.amplitude.view(-1, 1, 1)
        variance = spikes.var(dims, correction=0)
        covariance = (wanted * spikes).mean(dims) - wanted.mean(dims) * spikes.mean(dims)
        worth = torch.where(variance > 0, covariance / variance, 1.0).clamp_min(0)
        rest = wanted.mean(dims) - worth * spikes.mean(dims)
        if layer.conv.bias is not None:
            layer.conv.bias.add_(layer.conv.weight.sum((2, 3)) @ rest)
        layer.scale_weights(worth.view(1, -1, 1, 1))

    with _each_called_before(spiking_convs(net), fit):
        net.train()(noisy)


@contextmanager
def _each_called_before(layers: Collection[SpikingConv], task: Callable[[SpikingConv, tuple[Tensor]], None]
                        ) -> Iterator[None]:
    """Context in which a task is done with each layer, and what it receives, before it runs."""
    handles = [layer.register_forward_pre_hook(task) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _as_rectifiers(layers: Collection[SpikingConv]) -> Iterator[None]:
    """Context in which rectifiers stand in for the neurons."""
    for layer in layers:
        layer.stand_in = torch.relu
    try:
        yield
    finally:
        for layer in layers:
            layer.stand_in = None


@torch.no_grad()
def fit_thresholds(net: SpikerIR, noisy: Tensor, share: float, share_of_head: float,
                   layers: Collection[SpikingConv] | None = None) -> None:
    """Set each threshold of ``net``, or of these ``layers``, to ``share`` of the standard deviation of its channel.

    Layers are fitted in order of execution, each to the spikes of those before it. A neuron with a bias current counts
    from 0 on: the mean of its channel is put in the middle of its counts, and the bias of the convolution that reads
    them takes it back.

    Raises:
        UserError: A neuron whose thresholds are not trained channel by channel.
    """
    layers = spiking_convs(net) if layers is None else layers
    for layer in layers:
        _fitted_neuron(layer)  # all are looked at before one is changed

    def fit(layer: SpikingConv, inputs: tuple[Tensor]) -> None:
        neuron, potential = _fitted_neuron(layer), inputs[0]
        part = share_of_head if layer is net.head else share
        neuron.log_threshold.copy_((part * potential.std((0, 1, 3, 4))).clamp_min(SMALLEST_THRESHOLD).log())
        if neuron.bias is not None and layer.conv.bias is not None:
            highest = neuron.digit_limit or neuron.max_count
            neuron.bias.copy_(highest / 2 * neuron.log_threshold.exp() - potential.mean((0, 1, 3, 4)))
            layer.conv.bias.sub_(layer.conv.weight.sum((2, 3)) @ neuron.bias)

    with _each_called_before(layers, fit):
        net.train()(noisy)


def _has_fixed_threshold(layer: SpikingConv) -> bool:
    """Whether a layer's neurons send spikes from 0 on, by a threshold that is not trained channel by channel."""
    neuron = layer.neuron
    trained = isinstance(neuron, SignedILIF | CodedCounts)
    return neuron.is_spiking and not neuron.is_signed and not trained and neuron.initial_threshold is not None


def _fitted_neuron(layer: SpikingConv) -> SignedILIF | CodedCounts:
    if not isinstance(layer.neuron, SignedILIF | CodedCounts):
        raise UserError(f'the thresholds of {type(layer.neuron).__name__} cannot be fitted channel by channel; write '
                        'neuron: {type: SignedILIF} or {type: PhaseIF} in the option file of the student.')
    return layer.neuron


def start_from_counts(net: SpikerIR, counting: Mapping[str, Tensor]) -> None:
    """Give a binary student of T time steps the weights of one that counts 0..T in a single step.

    A neuron without leak that fires at most once a step emits over T steps of one and the same input x as many spikes
    as round(x / theta) counts, if its threshold is T * theta. The mean current of its spikes is then that of the
    counts. So thresholds are multiplied by T and weights stay. Behind the first layer inputs differ from step to step,
    and spikes come near the counts only: the student is trained on.

    Args:
        net: The binary student: ``T: 4, neuron: {type: SignedILIF, D: 1, lowest: 0, decay: 1.0}``.
        counting: Weights of the student that counts, ``T: 1, neuron: {type: SignedILIF, D: 4, lowest: 0}``.

    Raises:
        UserError: Another kind of student, or weights of another network.
    """
    for layer in spiking_convs(net):
        neuron = layer.neuron
        if not (isinstance(neuron, SignedILIF) and (neuron.D, neuron.lowest, neuron.decay) == (1, 0, 1.0)):
            raise UserError('counts become spikes of a binary neuron without leak, but the student has '
                            f'{" ".join(str(neuron).split())}; write neuron: {{type: SignedILIF, D: 1, '
                            'lowest: 0, decay: 1.0} and no hidden or stages.')
    counting = unpacked_state(counting, net)
    _refuse_others(net, counting)
    net.load_state_dict({name: tensor + math.log(net.T) if name.endswith(THRESHOLD) else tensor
                         for name, tensor in counting.items()})


def start_from_smaller(net: SpikerIR, trained: Mapping[str, Tensor], noisy: Tensor, share: float = SHARE) -> None:
    """Give a student the weights of a trained one with fewer channels or blocks, so that it begins as that one.

    Channels that both have keep their weights; what they read of channels that the trained one lacks begins at 0. So
    do blocks that it lacks, by their second convolution; their thresholds fit what they receive. A student with fewer
    channels begins with the first ones of each layer, which is another network.

    Args:
        net: The student.
        trained: Weights of the trained one by name.
        noisy: Noisy training crops (N, C, H, W).
        share: Threshold of the new blocks in standard deviations of what they receive.

    Raises:
        UserError: The two have no weights in common, or a neuron whose thresholds cannot be fitted.
    """
    if not net.state_dict().keys() & trained.keys():
        raise UserError(f'the weights have no name in common with those of this student, but {some(trained)}; give '
                        'the weights of a SpikerIR.')
    trained = unpacked_state(trained, net)
    copy_common_channels(net, trained)
    fit_thresholds(net, noisy, share, share, begin_as_identity(net, trained))


@torch.no_grad()
def copy_common_channels(net: nn.Module, trained: Mapping[str, Tensor]) -> None:
    """Copy the channels that both networks have, the first ones of each layer; they read nothing of further ones."""
    for name, tensor in net.state_dict().items():
        if name in trained:
            common = tuple(slice(min(sizes)) for sizes in zip(tensor.shape, trained[name].shape, strict=True))
            if tensor.dim() == OF_CONVOLUTION:
                tensor[common[0]] = 0
            tensor[common] = trained[name][common]


def begin_as_identity(net: nn.Module, trained: Mapping[str, Tensor]) -> list[SpikingConv]:
    """Silence the blocks of ``net`` that the trained network lacks, and return their layers."""
    new = [spiking_convs(block) for name, block in net.named_modules()
           if isinstance(block, SpikingBlock) and f'{name}.body.0.conv.weight' not in trained]
    for layers in new:
        for parameter in (layers[-1].conv.weight, layers[-1].conv.bias):
            if parameter is not None:
                nn.init.zeros_(parameter)
    return [layer for layers in new for layer in layers]


def _refuse_others(net: nn.Module, weights: Mapping[str, Tensor], fitted: tuple[str, ...] = ()) -> None:
    """Refuse weights of a network that is not shaped like ``net``, but for parameters whose names end in ``fitted``."""
    own, given = ({name: value.shape for name, value in tensors.items() if not name.endswith(fitted)}
                  for tensors in (net.state_dict(), weights))
    other = [name for name in dict.fromkeys([*own, *given]) if own.get(name) != given.get(name)]
    if other:
        raise UserError(f'the weights are of another network: {some(other)} are on one side only or have another '
                        'shape; give weights of a network with the channels and blocks of this student.')

