"""The top level of an option file."""
from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from basicsr_snn.images.limits import DEFAULT_MEGAPIXELS, HIGHEST_MEGAPIXELS
from basicsr_snn.inference.defaults import Task
from basicsr_snn.pipeline.option_blocks.base import Block, Built, Natural, Word, says
from basicsr_snn.pipeline.option_blocks.distillation import Distill
from basicsr_snn.pipeline.option_blocks.logger import DistParams, Logger
from basicsr_snn.pipeline.option_blocks.path import Path
from basicsr_snn.pipeline.option_blocks.training import Train
from basicsr_snn.pipeline.option_blocks.validation import Val

Factor = Annotated[int, msgspec.Meta(ge=1, le=16)]
Megapixels = Annotated[float, msgspec.Meta(gt=0, le=HIGHEST_MEGAPIXELS)]
Seed = Annotated[int, msgspec.Meta(ge=0, le=4_000_000_000)]
"""NumPy's generator starts from 32 bits, and each process adds its rank."""


OwnModules = msgspec.defstruct('OwnModules', [('import', Annotated[list[str], says(
    'Your own modules, or `.py` files beside the option file: they are imported first, which runs them, so that what '
    'they register with BasicSR is known.', ['my_arch.py'])], msgspec.field(default_factory=list))], bases=(Block,),
    kw_only=True)
"""The key that is a word of Python's own, which no class body can declare."""


class OptionFile(OwnModules, kw_only=True):  # type: ignore[misc, valid-type, call-arg]
    """A training (with a `train:` block) or a test (without one) of `SNNModel` or `ANNSNNDistillModel`."""

    added_by_parser: ClassVar = ('dist', 'rank', 'world_size', 'auto_resume', 'is_train', 'root_path')

    name: Annotated[Word, says('Name of the experiment: results go to `experiments/NAME` or `results/NAME`.', 'a_word')]
    model_type: Annotated[str, says('`SNNModel`, or `ANNSNNDistillModel` for a training under a teacher.', 'SNNModel')]
    num_gpu: Annotated[Literal['auto'] | Natural, says(
        'Number of GPUs; `auto` takes every GPU there is, or the CPU; 0 is the CPU.', 'auto')]
    scale: Annotated[Factor, says('Factor by which the network enlarges the picture.')] = 1
    manual_seed: Annotated[Seed | None, says('Seed of weights, crops and noise; another at each start by default.',
                                             0)] = None
    max_megapixels: Annotated[Megapixels, says('Pictures that declare more are refused before they are decoded.')] = (
        DEFAULT_MEGAPIXELS)
    licence: Annotated[str | None, says('Licence of the trained weights, which their files then tell.',
                                        'Apache-2.0')] = None
    task: Annotated[Task | None, says(
        'What the network restores, which its weight files then tell `basicsr-snn restore`.', 'sr2')] = None
    datasets: Annotated[dict[str, Annotated[Built, says('', builds='dataset')]], says(
        'Data sets by phase: `train` and `val` (`val_2` and so on) of a training, `test_1` and so on of a test.')]
    network_g: Annotated[Built, says('The network to train or test.', builds='network')]
    distill: Annotated[Distill | None, says('Teachers and what they teach; with `ANNSNNDistillModel` only.')] = None
    path: Annotated[Path, says('Weights to begin with.')]
    train: Annotated[Train | None, says('The training; an option file without this block is a test.')] = None
    val: Annotated[Val | None, says('Validation of a training, or the test; required in a test.')] = None
    logger: Annotated[Logger | None, says('What is logged and saved; required in a training.')] = None
    dist_params: Annotated[DistParams | None, says('Training on several machines with `--launcher slurm`.')] = None
    find_unused_parameters: Annotated[bool, says(
        'On several processes, look for parameters without gradient in each step.')] = False
