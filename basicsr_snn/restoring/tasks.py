"""``basicsr_snn.restore``: whatever is wrong with a picture of any kind, one of the same kind out."""
from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from basicsr_snn import zoo
from basicsr_snn.engines.placing import place
from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.images.enlarging import enlarged
from basicsr_snn.images.files import Picture, to_float, to_integers
from basicsr_snn.images.noise_level import estimate_noise_level, middle
from basicsr_snn.inference.calling import usual_device
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.inference.defaults import AUTO_LEVEL, AUTO_STRENGTH, STRONGEST, TASKS, Task
from basicsr_snn.inference.denoising import Denoiser
from basicsr_snn.restoring.choice import level_of_a_student, refuse_other_task, usual_strength
from basicsr_snn.restoring.given import Given, restored_in_kind
from basicsr_snn.zoo.trained_network import TrainedNetwork, named_network

NOISIEST = 6.0
"""Standard deviations that no noise leaves."""

NUMBERS = (int, float, np.integer, np.floating)
KEPT_NETWORKS = 4
DENOISE: Task = 'denoise'


@dataclass(frozen=True)
class Wanted:
    """What is to be done with a picture.

    Attributes:
        task: For which the network is chosen, or which a named one must be for; None: what the named one does.
        network: A shipped network or a weight file; None: the one that ships for the task.
        sigma: Noise level on the 0..255 scale, ``'auto'``, or None.
        strength: Share of the change that is made, or ``'auto'``.
    """

    task: Task | None
    network: str | Path | None = None
    sigma: float | str | None = None
    strength: float | str = AUTO_STRENGTH

    def check(self) -> None:
        """Raise a ``UserError`` for values that are none, or do not go together."""
        if self.task is None and self.network is None:
            raise UserError(f'no task was given; give task= one of {", ".join(TASKS)}, or network= a name or a weight '
                            'file.')
        if self.task is not None and self.task not in TASKS:
            raise UserError(f'task={self.task!r} is not known; did you mean '
                            f'{" or ".join(near_matches(str(self.task), TASKS))}? Known: {", ".join(TASKS)}.')
        if self.sigma is not None and self.task not in (None, DENOISE):
            raise UserError(f"sigma is for task='{DENOISE}', but task='{self.task}' was given; leave it out.")
        if not (self.sigma is None or isinstance(self.sigma, str) and self.sigma == AUTO_LEVEL
                or isinstance(self.sigma, NUMBERS) and 0 <= self.sigma <= 255):
            raise UserError(f"sigma={self.sigma!r} is no noise level; give a number from 0 to 255, 'auto', or None.")
        if not (isinstance(self.strength, str) and self.strength == AUTO_STRENGTH
                or isinstance(self.strength, NUMBERS) and 0 <= self.strength <= STRONGEST):
            raise UserError(f"strength={self.strength!r} is none; give a number from 0 (no change) to {STRONGEST:g}, "
                            "or 'auto'.")

    @property
    def noise(self) -> float:
        """How far the noise that is told reaches beyond black and white, in 0..1."""
        return NOISIEST * float(self.sigma) / 255 if isinstance(self.sigma, NUMBERS) else 0.0


def restore(picture: Any, task: Task | None = None, network: str | Path | None = None, *,
            sigma: float | str | None = None, strength: float | str = AUTO_STRENGTH) -> Any:
    """Restore one picture, as ``basicsr-snn restore`` restores files.

    Args:
        picture: What :func:`basicsr_snn.denoise` takes: an array, a PIL image, or the path of a picture file.
        task: What is to be done: ``denoise``, ``sr2`` and ``sr4`` (twice or four times as large), ``derain``, ``jpeg``
            or ``deblur``. It chooses the network that ships for it; None: what the named network does.
        network: A shipped network or a weight file, as for :func:`basicsr_snn.load`; one that says it was trained for
            another task, or enlarges otherwise, is refused. None: the one that ``basicsr-snn restore`` takes.
        sigma: Noise level on the 0..255 scale, of the task ``denoise`` only; ``'auto'``: estimated; None: the
            network's own.
        strength: How much of the change is made, 0 to 2; of a task that enlarges, of the change to the bicubic picture.
            ``'auto'``: see :func:`basicsr_snn.denoise`.

    Returns:
        What was given, of the same type, as much larger as the network enlarges; see :func:`basicsr_snn.denoise`.

    Raises:
        UserError: An unknown task, a network for another one, or what :func:`basicsr_snn.denoise` refuses.
    """
    return restored_as(Wanted(task, network, sigma, strength), picture, 'restore')


def restored_as(wanted: Wanted, picture: Any, verb: str) -> Any:
    """A picture of any kind restored in its kind; ``verb`` is the function that was called, for messages."""
    wanted.check()
    return restored_in_kind(picture, partial(_restored, wanted), verb, wanted.noise)


def _restored(wanted: Wanted, given: Given) -> np.ndarray:
    """The colours restored, and alpha behind them, of the type that was given."""
    colours = given.colours
    denoiser = _denoiser(wanted, colours)
    if wanted.strength != AUTO_STRENGTH:
        denoiser = replace(denoiser, strength=float(wanted.strength))
    picture = Picture(colours, None, Path('the picture'))
    scale = denoiser.net.scale
    answer = np.empty((scale * colours.shape[0], scale * colours.shape[1], colours.shape[2]), colours.dtype)
    for band in denoiser.bands(picture):
        whole = np.issubdtype(colours.dtype, np.integer)
        answer[band.rows] = to_integers(band.restored, picture.bits) if whole else band.restored.clip(0, 1)
    return answer if given.alpha is None else np.dstack([answer, enlarged(given.alpha[:, :, None], scale)])


def _denoiser(wanted: Wanted, colours: np.ndarray) -> Denoiser:
    """The network that is named or suits the task and the picture, told its noise level."""
    estimated = wanted.sigma == AUTO_LEVEL
    level = estimate_noise_level(to_float(middle(colours))) if estimated else wanted.sigma
    level = None if level is None else float(level)
    channels = colours.shape[2]
    if wanted.network is not None:
        return _named(wanted, level)
    if wanted.task is not None and wanted.task != DENOISE:
        net = _network(zoo.default_of_task(wanted.task, channels))[1]
        return Denoiser(net, net.in_ch)
    level = level_of_a_student(channels, level) if estimated and level is not None else level
    row = zoo.row(zoo.default_name(channels, level))
    net = _network(row.name)[1]
    return Denoiser(net, net.in_ch, sigma=level, contrast=row.contrast_for(level), strength=usual_strength(row.noise))


def _named(wanted: Wanted, level: float | None) -> Denoiser:
    trained, net = _network(str(wanted.network))
    refuse_other_task(wanted.task, trained, net.scale, lambda task: f"task='{task}'",
                      lambda task: 'leave task out' if task is None else f"give task='{task}'")
    if net.written_channels != net.in_ch or net.in_ch not in (1, 3):
        raise UserError(f'{trained.name} reads {net.in_ch} channels and writes {net.written_channels}, but pictures '
                        'have 1 or 3 of them; call it with tensors, by basicsr_snn.load.')
    if level is not None and not net.takes_sigma:
        raise UserError(f'sigma was given, but {wanted.network} takes no noise level; leave it out, or choose another '
                        'network.')
    return Denoiser(net, net.in_ch, sigma=level, strength=usual_strength(trained.known_card().noise))


def _network(name: str) -> tuple[TrainedNetwork, Restorer]:
    """A network by name or weight file, kept for the next picture as long as the file does not change."""
    file = Path(os.path.expanduser(name))
    state = file.stat() if file.is_file() else None
    return _kept_network(name, state and (state.st_mtime_ns, state.st_size))


@lru_cache(KEPT_NETWORKS)
def _kept_network(name: str, state_of_file: tuple[int, int] | None) -> tuple[TrainedNetwork, Restorer]:
    device = usual_device()
    trained = named_network(name)
    return trained, place(trained, 'auto', gpu=device == 'cuda').net.to(device)
