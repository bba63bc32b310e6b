"""A training step that never waits for the CPU: one CUDA graph holds data, network, losses, optimiser and average."""
from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import as_restorer
from basicsr_snn.losses.fft_loss import FFTLoss
from basicsr_snn.losses.rate_loss import MEMORY
from basicsr_snn.models.replayed_step import WARM_UP, move_average
from basicsr_snn.spiking.blocks import SpikingConv, fan_out_of, spiking_convs
from basicsr_snn.spiking.neurons.coded_counts import CodedCounts
from basicsr_snn.spiking.neurons.signed_ilif import SignedILIF

MSE_SCALE = 16.0
"""Of the squared error beside the absolute one: with it both have gradients of about the same norm near 31 dB."""


class CapturedStep:
    """Steps of one training, captured once and replayed: draw crops, restore, lose, step, average.

    What changes from step to step (learning rate, decay of the average, share of the squared error) lies in tensors on
    the device; the host writes them without waiting. A step whose gradient is not finite changes no weight, and is
    counted in ``broken``, which is read with the log. On a CPU the same step runs plainly.

    Args:
        net: The student or ANN twin, on the device, channels_last.
        draw: Returns a noisy and a clean batch (N, C, H, W) on the device, without waiting for the CPU.
        generator: The generator of ``draw``.
        fft_weight: Of the loss of the spectra.
        rate: ``target`` and ``loss_weight`` of a budget of accumulations a pixel; None: no budget.
        betas, grad_clip: Of AdamW, and the largest norm of the gradient.
        fused: Compile the neurons' kernels.

    Attributes:
        average: The moving average of ``net``.
        steps: Steps taken.
    """

    def __init__(self, net: nn.Module, draw: Callable[[], tuple[Tensor, Tensor]], generator: torch.Generator,
                 fft_weight: float = 0.1, rate: Mapping[str, float] | None = None,
                 betas: tuple[float, float] = (0.9, 0.99), grad_clip: float = 1.0, fused: bool = True) -> None:
        self.net, self.draw, self.generator = net, draw, generator
        self.average = deepcopy(net).requires_grad_(False)
        self.device = next(net.parameters()).device
        self.convs = send_values(net, fused)
        if rate is not None and not self.convs:
            raise UserError('a budget of accumulations was given to a network that does not send counts in one time '
                            'step; leave it out.')
        self.fft, self.rate, self.grad_clip = FFTLoss(fft_weight), rate, grad_clip
        self.lr, self.decay, self.mse_share = (torch.zeros((), device=self.device) for _ in range(3))
        self.operations = torch.full((), float(rate['target']) if rate else 0.0, device=self.device)
        self.sums = torch.zeros(4, device=self.device)
        self.broken = torch.zeros((), device=self.device)
        self.parameters = [p for p in net.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=self.lr, betas=betas, weight_decay=0.0, fused=True,
                                           capturable=self.device.type == 'cuda')
        self.graph: Any = None
        self.stream = torch.cuda.Stream(self.device) if self.device.type == 'cuda' else None
        self.steps = 0

    def capture(self) -> None:
        """Warm up and capture the step; on a CPU nothing has to be captured."""
        if self.stream is None:
            return
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            for _ in range(WARM_UP):
                self._step()
        self.stream.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(self.graph, stream=self.stream, capture_error_mode='thread_local'):
            self._step()

    def run(self, lr: float, decay: float, mse_share: float) -> None:
        """One step with this learning rate, decay of the average and share (0..1) of the squared error."""
        self.steps += 1
        if self.stream is None:
            self._set(lr, decay, mse_share)
            self._step()
            return
        with torch.cuda.stream(self.stream):
            self._set(lr, decay, mse_share)
            self._step() if self.graph is None else self.graph.replay()

    def read_log(self) -> dict[str, float]:
        """Means since the last call; waits for the device."""
        if self.stream is not None:
            self.stream.synchronize()
        count, absolute, squared, norm = self.sums.tolist()
        self.sums.zero_()
        means = {'l_pix': absolute, 'mse': squared, 'grad_norm': norm}
        return {key: value / max(count, 1) for key, value in means.items()} | {
            'acs_per_px': float(self.operations), 'broken_steps': float(self.broken)}

    def _set(self, lr: float, decay: float, mse_share: float) -> None:
        for tensor, value in ((self.lr, lr), (self.decay, decay), (self.mse_share, mse_share)):
            tensor.fill_(value)

    def _step(self) -> None:
        noisy, clean = self.draw()
        self.optimizer.zero_grad(set_to_none=True)
        restored = self.net(noisy)
        difference = restored - clean
        absolute, squared = difference.abs().mean(), difference.square().mean()
        loss = torch.lerp(absolute + self.fft(restored, clean), MSE_SCALE * squared, self.mse_share)
        if self.rate is not None:
            loss = loss + self._penalty(noisy, self.rate)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.grad_clip, foreach=True)
        failed = (~torch.isfinite(norm)).float()
        # With it the fused step leaves weights and moments as they are; torch's stub does not know it.
        self.optimizer.found_inf = failed  # type: ignore[attr-defined]
        self.optimizer.step()
        move_average(self.average, self.net, self.decay)
        self.broken.add_(failed)
        told = torch.stack([torch.ones_like(norm), absolute.detach(), squared.detach(), norm])
        self.sums.add_(torch.nan_to_num(told))

    def _penalty(self, noisy: Tensor, rate: Mapping[str, float]) -> Tensor:
        pixels = noisy.shape[0] * noisy.shape[2] * noisy.shape[3]
        of_layers = (conv.events * fan_out for conv, fan_out in self.convs if conv.events is not None)
        operations = reduce(operator.add, of_layers) / pixels
        batch = operations.detach()
        self.operations.copy_(torch.lerp(self.operations, torch.nan_to_num(batch), 1 - MEMORY))
        excess = (self.operations + operations - batch) / rate['target'] - 1
        return rate.get('loss_weight', 0.01) * excess.relu()


def send_values(net: nn.Module, fused: bool) -> list[tuple[SpikingConv, float]]:
    """Let spikes travel as membrane values where they come in one time step; returns those convolutions with their
    fan-outs. Neurons of more steps send spikes."""
    found = []
    for layer in spiking_convs(net):
        if isinstance(layer.neuron, SignedILIF) and as_restorer(net).T != 1:
            layer.neuron.compiled = fused
        elif isinstance(layer.neuron, SignedILIF | CodedCounts):
            layer.sends_values, layer.neuron.compiled = True, fused
            found.append((layer, fan_out_of(layer.conv)))
    return found
