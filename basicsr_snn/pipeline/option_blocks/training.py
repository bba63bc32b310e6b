"""The ``train:`` block."""
from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from basicsr_snn.pipeline.option_blocks.base import (
    Block,
    Built,
    Count,
    Iterations,
    Natural,
    NotNegative,
    Positive,
    says,
)

Warmup = Annotated[float, msgspec.Meta(ge=-1, multiple_of=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Tandem(Block, kw_only=True):
    """A network that begins as an ANN, and whose layers become spiking group by group (arXiv 2007.01204)."""

    every: Annotated[Count, says('Iterations from one group of layers to the next.', 500)]
    groups: Annotated[Count, says('Number of groups.', 6)]


class Pruning(Block, kw_only=True):
    """Weights that become zero while a network trains, in each layer the same share; it is saved with its zeros."""

    type: Annotated[Literal['GradientRewiring', 'MagnitudePruning'], says(
        'Connections that may grow again (Grad R, arXiv 2105.04916), or the smallest weights for good (arXiv '
        '1710.01878).', 'GradientRewiring')]
    sparsity: Annotated[Annotated[float, msgspec.Meta(gt=0, lt=1)], says('Share of zeros at the end.', 0.8)]
    start_iter: Annotated[Natural, says('Last iteration without pruning.')] = 0
    end_iter: Annotated[Iterations | None, says(
        'Iteration at which the sparsity is reached; required without `penalty`.', 2000)] = None
    keep: Annotated[list[str], says('Modules that stay whole, as in `named_modules()`.', ['stem', 'head'])] = []
    penalty: Annotated[Positive | None, says(
        "A constant force in the place of the course, with `GradientRewiring`: the paper's α, in learning rates.",
        0.01)] = None


class StockTrain(Block, kw_only=True):
    """What BasicSR's own `SRModel` reads."""

    total_iter: Annotated[Iterations, says('Iterations of the training.', 30000)]
    warmup_iter: Annotated[Warmup, says('Iterations in which the learning rate rises to its value; -1 for none.')] = -1
    optim_g: Annotated[Built, says('Optimiser, a class of `torch.optim`.', {'type': 'AdamW', 'lr': 0.001},
                                   builds='optimizer')]
    scheduler: Annotated[Built, says('Course of the learning rate.', builds='scheduler')]
    ema_decay: Annotated[Share, says('Decay of the moving average of the weights, which is validated; 0 for none.',
                                     0.999)] = 0
    pixel_opt: Annotated[Built | None, says('Loss on the picture.', {'type': 'L1Loss'}, builds='feature_loss')] = None
    perceptual_opt: Annotated[Built | None, says('Loss on VGG features of the picture.',
                                                        builds='perceptual_loss')] = None


class Train(StockTrain, kw_only=True):
    """The training."""

    grad_clip: Annotated[NotNegative | None, says('Largest norm of the gradient; no limit by default.', 1.0)] = None
    fft_opt: Annotated[Built | None, says('Loss on the Fourier transform of the picture.', {'type': 'FFTLoss'},
                                          builds='feature_loss')] = None
    rate_opt: Annotated[Built | None, says('Penalty on accumulations above a budget.',
                                           {'type': 'SpikeRateLoss', 'target': 20000}, builds='rate_loss')] = None
    micro_batches: Annotated[Count, says('Parts in which a batch is run, to save memory; gradients add up.')] = 1
    amp: Annotated[bool, says('Whether to compute the network in bfloat16 where that is safe.')] = False
    cuda_graph: Annotated[bool, says(
        'Whether one GPU replays the whole step as a CUDA graph, without waiting for launches.')] = False
    every_step: Annotated[bool, says(
        'Whether losses see the running mean of the picture after each time step (arXiv 2501.15925).')] = False
    pruning: Annotated[Pruning | None, says('Weights that become zero on the way.')] = None
    tandem: Annotated[Tandem | None, says('Progressive training from ANN to SNN.')] = None


class MultiStepRestartLR(Block, kw_only=True):
    """The learning rate falls by a factor at each milestone; `MultiStepLR` is the same."""

    type: Literal['MultiStepLR', 'MultiStepRestartLR']
    milestones: Annotated[list[Iterations], says('Iterations at which it falls.', [10000, 20000])]
    gamma: Annotated[Positive, says('Factor of each fall.')] = 0.1
    restarts: Annotated[tuple[NotNegative, ...], says('Iterations at which it begins anew.')] = (0,)
    restart_weights: Annotated[tuple[float, ...], says('Factor on the learning rate, one for each restart.')] = (1,)


class CosineAnnealingRestartLR(Block, kw_only=True):
    """The learning rate falls along half a cosine in each period."""

    type: Literal['CosineAnnealingRestartLR']
    periods: Annotated[list[Iterations], says('Iterations of each period; together at least `total_iter`.', [30000])]
    restart_weights: Annotated[tuple[float, ...], says('Factor on the learning rate, one for each period.')] = (1,)
    eta_min: Annotated[NotNegative, says('Learning rate at the end of a period.', 0.000001)] = 0


SCHEDULERS: dict[str, type[Block]] = {
    'MultiStepLR': MultiStepRestartLR, 'MultiStepRestartLR': MultiStepRestartLR,
    'CosineAnnealingRestartLR': CosineAnnealingRestartLR}
"""Blocks of the schedulers that BasicSR knows, by name."""
