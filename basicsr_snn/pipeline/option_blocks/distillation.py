"""The ``distill:`` block."""
from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from basicsr_snn.images.noise import HIGHEST_SIGMA
from basicsr_snn.pipeline.option_blocks.base import Block, Built, Count, Iterations, Natural, NotNegative, Word, says


class Teacher(Block, kw_only=True):
    """A trained network that teaches, or a twin that is trained beside the student."""

    name: Annotated[Word | None, says('Name that hints refer to by `of`; required for each of `teachers`.',
                                     'ffdnet')] = None
    network: Annotated[Built, says('The teacher, any registered architecture.', builds='network')]
    path: Annotated[str | None, says('Its weight file; required unless it is trained here or brings its weights.',
                                     'basicsr_snn/zoo/ffdnet_color.pth')] = None
    param_key: Annotated[str | None, says('Entry of the weight file to load; what the file has by default.',
                                          'params')] = None
    level: Annotated[Annotated[float, msgspec.Meta(ge=0, le=HIGHEST_SIGMA)] | None, says(
        'Noise level that it is told of every picture, 0..255 scale; that of each picture by default.', 10)] = None
    trainable: Annotated[bool, says(
        'Whether it is a twin that is trained beside the student and dropped in the end (arXiv 2409.15849).')] = False
    optim: Annotated[Built | None, says('Optimiser of the twin; that of the student by default.',
                                        {'type': 'AdamW', 'lr': 0.001}, builds='optimizer')] = None
    start_iter: Annotated[Natural, says('Iteration from which twin and student are matched.')] = 0


class Adapter(Block, kw_only=True):
    """How a feature of the student is brought to the shape of the teacher's: by a 1x1 convolution, always."""

    resize: Annotated[Literal['pool', 'unshuffle'], says(
        'Features of other sizes are averaged over areas, or the pixels of an area become channels.')] = 'pool'
    picture: Annotated[bool, says('Whether the adapter reads the noisy picture beside the feature.')] = False
    unit: Annotated[bool, says("Whether the teacher's channels are brought to mean 0 and variance 1.")] = False
    fit: Annotated[bool, says('Whether it begins as the best linear map of the first batch, not at random.')] = False


class Hint(Block, kw_only=True):
    """A feature of the student that is drawn to a feature of the teacher."""

    name: Annotated[Word | int, says('Name in the log.', 'dec')]
    of: Annotated[str | None, says(
        'Name of the teacher, the first by default; of a hint also `truth`, the clean picture.', 'ffdnet')] = None
    teacher: Annotated[str, says(
        'Module of the teacher, as in `named_modules()`; of a hint also `picture`, what it restores, or `residual`, '
        'the noisy picture minus this.', 'model.20')]
    student: Annotated[str, says('Module of the student, as in `named_modules()`.', 'decoder.0')]
    loss: Annotated[Built | None, says('Distance of the features; mean squared error by default.',
                                       {'type': 'FeatureHintLoss', 'criterion': 'mse'}, builds='feature_loss')] = None
    weight: Annotated[NotNegative, says("Factor on the loss. 0.12 is H-KD's.")] = 0.12
    relative: Annotated[bool, says(
        "Whether the weight is a share of the gradient that the picture's own losses have at the student's module.",
    )] = False
    adapter: Annotated[Adapter | None, says('What lies between the features; a 1x1 convolution of averages by default.',
                                            {'resize': 'unshuffle', 'picture': True, 'fit': True})] = None
    time: Annotated[Literal['mean', 'last', 'all'], says(
        "Which of the student's time steps the teacher's feature is compared with.")] = 'mean'


class Tail(Hint, kw_only=True):
    """A feature of the student that goes on through the teacher, whose picture is compared with the truth."""

    of: Annotated[str | None, says('Name of the teacher, the first by default.', 'ffdnet')] = None
    loss: Annotated[Built | None, says('Distance of the pictures; L1 by default.', {'type': 'L1Loss'},
                                       builds='feature_loss')] = None
    weight: Annotated[NotNegative, says('Factor on the loss.')] = 1.0


class Schedule(Block, kw_only=True):
    """How the weight of all hints changes in the course of the training."""

    type: Annotated[Literal['constant', 'linear', 'cosine', 'step'], says('Form of the fall.')] = 'constant'
    end_iter: Annotated[Count | None, says('Iteration at which it ends; required but for `constant`.', 10000)] = None
    end_weight: Annotated[NotNegative, says('Factor on the weights from there on.')] = 0.0


class Distill(Block, kw_only=True):
    """Teachers and what they teach. Either `teacher` or `teachers` is required."""

    teacher: Annotated[Teacher | None, says('The teacher.')] = None
    teachers: Annotated[list[Teacher] | None, says('Several teachers, each with a `name`.')] = None
    hints: Annotated[list[Hint] | None, says("Features of the student that are drawn to the teacher's.")] = None
    tails: Annotated[list[Tail] | None, says(
        'Features of the student that go on through the teacher (arXiv 2503.16572).')] = None
    output: Annotated[Built | None, says("Loss of the student's picture against the teacher's.",
                                         {'type': 'L1Loss', 'loss_weight': 0.5}, builds='feature_loss')] = None
    schedule: Annotated[Schedule | None, says('Course of the weights of hints and tails; constant by default.')] = None
    until: Annotated[Iterations | None, says('Last iteration with teachers; to the end by default.', 10000)] = None
    every: Annotated[Count, says('The teachers teach at each step that is a multiple of this, and cost nothing at the '
                                 'others.')] = 1
    adapter_lr: Annotated[NotNegative | None, says('Learning rate of the adapters; that of the student by default.',
                                                   0.001)] = None
