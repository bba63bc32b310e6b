"""The shipped networks: one YAML row and one weight file each."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.inference.defaults import Task
from basicsr_snn.weight_files.card import Card
from basicsr_snn.yaml_files import read_yaml_file

FOLDER = Path(__file__).parent

GREY_ABOVE = 5.0
"""Noise of grey pictures that is no stronger is better removed by the blind colour student."""


@dataclass(frozen=True)
class Row:
    """What is known of one shipped network.

    Attributes:
        name: What the user types.
        task: What it restores, in words.
        does: The task of ``basicsr-snn restore`` that it is for, one of :data:`basicsr_snn.inference.defaults.TASKS`.
        default: Whether it is the network of its task when none is named; else it is the first student by name. For
            noise :func:`default_name` chooses by level.
        role: ``student``, ``twin`` (the ANN of a student) or ``teacher``.
        file: Weight file in the folder of this package.
        sha256: Checksum of that file, 64 hexadecimal digits.
        network: The ``network_g`` block that builds it.
        neuron: Type of its neurons, ``relu`` for an ANN.
        T: Time steps, None for an ANN.
        D: Largest spike count of one step, None for an ANN.
        noise: Standard deviation that it was trained for on the 0..255 scale: one, or [lowest, highest]; ``camera``:
            the noise of cameras, of which no level is told; None: it is for another task.
        licence: Licence of the weights and its holder.
        source: Where the weights come from.
        training: Model card of a network trained here: option file, data, steps, seed, hours, hardware, entry of the
            weight file, validation PSNR, what it started from. None for a network that others trained.
        notes: Anything else worth knowing.
    """

    name: str
    task: str
    role: str
    file: str
    sha256: str
    network: Mapping[str, Any]
    neuron: str
    T: int | None
    D: int | None
    licence: str
    source: str
    noise: float | list[float] | str | None = None
    training: Mapping[str, Any] | None = None
    notes: str = ''
    does: Task = 'denoise'
    default: bool = False

    @property
    def path(self) -> Path:
        return FOLDER / self.file

    @property
    def int8_file(self) -> Path | None:
        """The 8-bit form that ships beside the weights, an ONNX file; None: there is none."""
        file = int8_file_of(self.name)
        return file if file.is_file() else None

    @property
    def card(self) -> Card:
        """What its weight file would say of itself; those that ship are older than that."""
        return Card(self.network, self.noise, licence=self.licence, task=self.does)

    def contrast_for(self, sigma: float | None) -> float:
        """Factor on the contrast of pictures with noise ``sigma`` that gives them the one level the network was trained
        for; 1 for a network of many levels, or where the level is not known."""
        return 1.0 if sigma is None or not isinstance(self.noise, int | float) else self.noise / max(sigma, 1.0)


def int8_file_of(name: str) -> Path:
    """Where the 8-bit form of a shipped network lies; ``tools/write_int8.py`` writes it."""
    return FOLDER / f'{name}.int8.onnx'


@cache
def rows() -> tuple[Row, ...]:
    """All shipped networks, students first, each group by name."""
    found = [Row(**read_yaml_file(file)) for file in FOLDER.glob('*.yml')]
    return tuple(sorted(found, key=lambda row: (row.role == 'teacher', row.name)))


def row(name: str) -> Row:
    """The row of one shipped network.

    Raises:
        UserError: No shipped network has this name.
    """
    by_name = {row.name: row for row in rows()}
    if name not in by_name:
        raise UserError(f'no shipped network is called "{name}"; did you mean '
                        f'{" or ".join(near_matches(name, by_name))}? All names: basicsr-snn list.')
    return by_name[name]


def default_name(channels: int = 3, sigma: float | None = None) -> str:
    """Name of the network that ``denoise`` runs when none is named.

    Args:
        channels: Of the picture.
        sigma: Level of Gaussian noise, where it is known. A grey picture takes the grey student, a colour one the
            student for the highest level that is no higher; below these levels the blind one. At another level than it
            was trained for a student is given another contrast, which is measured to be better than the blind one
            (``studies/real_noise/named_levels.py``). None: the student for the noise of cameras.
    """
    shipped = {row.name for row in rows()}
    if sigma is None:
        wanted = ['spikerir_small_colorreal']
    elif channels == 1:
        wanted = ['spikerir_small_gray25'] if sigma > GREY_ABOVE else []
    else:
        levels = [row.noise for row in rows() if isinstance(row.noise, int | float) and row.noise <= sigma
                  and row.name == f'spikerir_small_color{row.noise:g}']
        wanted = [f'spikerir_small_color{max(levels):g}'] if levels else []
    return next(name for name in (*wanted, 'spikerir_small_colorblind', 'ffdnet_color') if name in shipped)


def students_of_task(task: Task) -> list[Row]:
    """The students that ship for a task, by name."""
    return [row for row in rows() if row.does == task and row.role == 'student']


def default_of_task(task: Task, channels: int = 3) -> str:
    """Name of the network that ``restore`` runs for a task other than noise when none is named.

    Args:
        task: What is to be done.
        channels: Of the picture: where there are students of as many, it is one of them.

    Raises:
        UserError: No network ships for it.
    """
    students = students_of_task(task)
    if not students:
        raise UserError(f'no network for --task {task} ships yet; train one with an option file that says task: {task} '
                        'and give its weight file as --weights FILE or -n FILE.')
    fitting = [row for row in students if row.network.get('in_ch', 3) == channels] or students
    return next((row for row in fitting if row.default), fitting[0]).name
