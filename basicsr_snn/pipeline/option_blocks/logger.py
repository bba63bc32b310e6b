"""The ``logger:`` and ``dist_params:`` blocks."""
from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from basicsr_snn.pipeline.option_blocks.base import Block, Iterations, says

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Wandb(Block, kw_only=True):
    """Copy of the TensorBoard log at Weights & Biases; off without a project."""

    project: Annotated[str | None, says('Name of the project there.', 'my_project')] = None
    resume_id: Annotated[str | None, says('Run to go on with.', '1a2b3c4d')] = None


class Logger(Block, kw_only=True):
    """What is logged and saved, and how often."""

    print_freq: Annotated[Iterations, says('Iterations from one line of the log to the next.', 100)]
    save_checkpoint_freq: Annotated[Iterations, says('Iterations from one checkpoint to the next.', 1000)]
    use_tb_logger: Annotated[bool, says('Whether to write a log for TensorBoard, to `tb_logger/NAME`.', True)]
    wandb: Annotated[Wandb | None, says('Weights & Biases.')] = None


class DistParams(Block, kw_only=True):
    """Read in trainings with `--launcher slurm`; refused with `--launcher pytorch`, which does not."""

    backend: Annotated[Literal['nccl', 'gloo', 'mpi'], says('What carries gradients from process to process.')] = 'nccl'
    port: Annotated[Port | None, says('Port of the first process; by default `MASTER_PORT` or 29500.', 29500)] = None
