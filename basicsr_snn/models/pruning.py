"""``train: pruning``: weights that become zero while a network trains, by gradient rewiring or by magnitude."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from basicsr_snn.errors import UserError, near_matches

STRENGTH, SIGN, KEPT = 'pruning_strength', 'pruning_sign', 'pruning_kept'
"""What is remembered of each weight, in the optimiser's state, so that it is saved and resumed with that."""


@dataclass(frozen=True)
class Course:
    """How the share of zeros rises: steeply first, then ever slower, as in Zhu and Gupta (arXiv 1710.01878).

    Attributes:
        sparsity: The share at the end, between 0 and 1.
        start_iter: Last iteration without pruning.
        end_iter: Iteration at which it is reached; from there on it is kept.
    """

    sparsity: float
    start_iter: int
    end_iter: int

    def at(self, iteration: int) -> float:
        """The share of zeros after a step."""
        done = (iteration - self.start_iter) / (self.end_iter - self.start_iter)
        return self.sparsity * (1 - (1 - min(max(done, 0.0), 1.0)) ** 3)


class Pruning:
    """Weights of convolutions and matrices that become zero, layer by layer by the same share.

    The network holds the pruned weights, so that it is saved, averaged, validated and shipped with zeros like any
    other. What they were, or may become again, is kept in the optimiser's state.

    Args:
        net: The network that trains.
        keep: Modules, as in ``named_modules()``, whose weights stay whole.

    Raises:
        UserError: ``keep`` names what the network does not have, or nothing is left to prune.
    """

    def __init__(self, net: nn.Module, keep: Sequence[str] = ()) -> None:
        modules = dict(net.named_modules())
        for path in keep:
            if path not in modules:
                raise UserError(f'train: pruning: keep names "{path}", which the network does not have; did you mean '
                                f'{" or ".join(near_matches(path, [name for name in modules if name]))}?')
        self.weights = {f'{name}.weight'.removeprefix('.'): module.weight for name, module in modules.items()
                        if isinstance(module, _ConvNd | nn.Linear) and module.weight.requires_grad
                        and not any(f'{name}.'.startswith(f'{path}.') for path in keep)}
        if not self.weights:
            raise UserError('train: pruning leaves nothing to prune, since keep names every layer; name fewer.')

    @contextmanager
    def around_step(self, optimizer: torch.optim.Optimizer, iteration: int) -> Iterator[None]:
        """Context of a step of the optimiser: before it come the weights that it moves, after it they are pruned."""
        raise NotImplementedError

    @property
    def zeros(self) -> float:
        """Share of the weights that are zero now."""
        total = sum(weight.numel() for weight in self.weights.values())
        return sum(int((weight == 0).sum()) for weight in self.weights.values()) / total

    @torch.no_grad()
    def silence(self, averaged: nn.Module) -> None:
        """Set to zero, in a moving average of the network, what is zero in the network."""
        parameters = dict(averaged.named_parameters())
        for name, weight in self.weights.items():
            parameters[name].mul_(weight != 0)


class GradientRewiring(Pruning):
    r"""Gradient rewiring (Grad R, Chen et al., IJCAI 2021, arXiv 2105.04916).

    Each weight is :math:`w = s\,\max(\theta, 0)` with a sign s that stays, and a strength :math:`\theta` that trains on
    where it is negative: its gradient is :math:`s\,\partial L / \partial w` everywhere, so that a connection that was
    pruned grows again if that lowers the loss. A prior draws all strengths of a layer down with the same force.

    From the paper: parametrisation, redefined gradient, and with ``penalty`` the Laplacian prior
    :math:`p(\theta) \propto \exp(-\alpha |\theta - \mu|)`, whose centre
    :math:`\mu = \ln(2 - 2 \cdot sparsity) / \alpha` would have the wanted share below zero, as a step of
    :math:`\alpha` learning rates. The paper trains for hundreds of epochs, and takes the sparsity that this leads to.
    Ours: without ``penalty`` the force is as large as the share of zeros needs to follow its course, so that a short
    training reaches it; where more connections have fallen to zero by themselves, there is no force. Weights that are
    zero at the start may grow to positive values.

    Args:
        net, keep: See :class:`Pruning`.
        course: The share of zeros in each layer by iteration.
        penalty: :math:`\alpha`; None: the force that the course needs.

    .. code-block:: yaml

        train:
          pruning: {type: GradientRewiring, sparsity: 0.8, end_iter: 2000, keep: [stem, head]}
    """

    def __init__(self, net: nn.Module, keep: Sequence[str], course: Course, penalty: float | None = None) -> None:
        super().__init__(net, keep)
        self.course, self.penalty = course, penalty

    @contextmanager
    def around_step(self, optimizer: torch.optim.Optimizer, iteration: int) -> Iterator[None]:
        signs = {}
        with torch.no_grad():
            for name, weight in self.weights.items():
                state = optimizer.state[weight]
                signs[name] = state[SIGN] if SIGN in state else torch.where(weight < 0, -1.0, 1.0)
                if STRENGTH in state:
                    weight.copy_(state[STRENGTH] * signs[name])
        yield
        # An optimiser begins the state of a weight with its first gradient, and takes ours for its own before that.
        trained = {name: weight for name, weight in self.weights.items() if weight.grad is not None}
        rates = {parameter: float(group['lr']) for group in optimizer.param_groups for parameter in group['params']}
        with torch.no_grad():
            for name, weight in trained.items():
                strength = weight * signs[name]
                strength -= self.force(strength, iteration, rates[weight])
                optimizer.state[weight].update({STRENGTH: strength, SIGN: signs[name]})
                weight.copy_(strength.clamp_min(0) * signs[name])

    def force(self, strength: Tensor, iteration: int, rate: float) -> Tensor:
        """What the prior takes from the strengths of a layer in one step."""
        if self.penalty is None:
            return strongest_of_weakest(strength, self.course.at(iteration)).clamp_min(0)
        centre = math.log(2 - 2 * self.course.sparsity) / self.penalty
        return rate * self.penalty * (strength - centre).sign()


class MagnitudePruning(Pruning):
    """The smallest weights of each layer become zero and stay so (Zhu and Gupta, arXiv 1710.01878): the control.

    Args:
        net, keep: See :class:`Pruning`.
        course: The share of zeros in each layer by iteration.
    """

    def __init__(self, net: nn.Module, keep: Sequence[str], course: Course) -> None:
        super().__init__(net, keep)
        self.course = course

    @contextmanager
    def around_step(self, optimizer: torch.optim.Optimizer, iteration: int) -> Iterator[None]:
        yield
        share = self.course.at(iteration)
        with torch.no_grad():
            for weight in self.weights.values():
                if weight.grad is None:  # as in GradientRewiring
                    continue
                state = optimizer.state[weight]
                magnitude = weight.abs() * state.get(KEPT, 1.0)
                if round(share * weight.numel()):
                    magnitude.mul_(magnitude > strongest_of_weakest(magnitude, share))
                state[KEPT] = (magnitude > 0).to(weight.dtype)
                weight.mul_(state[KEPT])


def strongest_of_weakest(values: Tensor, share: float) -> Tensor:
    """The largest of this share of ``values``, the smallest ones; the scalar 0 where the share is none of them."""
    count = round(share * values.numel())
    return values.flatten().kthvalue(count).values if count else values.new_zeros(())


def build_pruning(options: Mapping[str, Any], net: nn.Module, total_iter: int) -> Pruning:
    """Build what the block ``train: pruning`` asks for.

    Raises:
        UserError: Keys that do not fit together, a course that does not end within the training, and what
            :class:`Pruning` refuses.
    """
    keep, penalty = options.get('keep') or (), options.get('penalty')
    sparsity, start, end = options['sparsity'], int(options.get('start_iter', 0)), options.get('end_iter')
    if penalty is not None:
        if options['type'] != 'GradientRewiring' or end is not None or start or sparsity < 0.5:
            raise UserError('train: pruning: penalty is the constant force of GradientRewiring, which follows no '
                            'course, and tells a sparsity of at least 0.5; write {type: GradientRewiring, sparsity: '
                            '0.8, penalty: 0.01}, or take penalty out and write end_iter.')
        return GradientRewiring(net, keep, Course(sparsity, 0, 1), penalty)
    if end is None or not start < end <= total_iter:
        raise UserError(f'train: pruning was given start_iter: {start} and end_iter: {end or "none"} in a training of '
                        f'{total_iter} iterations; write end_iter: {max(start + 1, int(total_iter * 0.6))}, the '
                        'iteration at which the sparsity is reached.')
    course = Course(sparsity, start, int(end))
    kinds: dict[str, type[GradientRewiring | MagnitudePruning]] = {
        'GradientRewiring': GradientRewiring, 'MagnitudePruning': MagnitudePruning}
    return kinds[options['type']](net, keep, course)
