"""A plan of trainings in YAML: its runs in order of value, and the options of each."""
from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml
from runs import EXPERIMENTS, OPTIONS, set_length, set_weight

# isort: split
from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.pipeline.option_files import read_options

TWIN_ARM, TWIN_SEED = 'twin', 0
VALIDATIONS = 12


@dataclass(frozen=True)
class Run:
    """One training of a plan.

    Attributes:
        arm: What is compared, of the plan's ``arms``; ``twin``: an ANN that others begin with.
        neuron: Of the plan's ``neurons``.
        size: Of the student.
        steps: Length.
        pictures: How many photographs it sees.
        fft: Whether 0.1 FFT is added to L1.
        average: Whether the moving average of the weights is validated.
        clip: Whether the gradient of the sum of all losses is clipped.
        lr: Learning rate.
        weight: Of hints or the teacher's picture; None: that of the arm.
        seed: Of weights, crops and noise.
    """

    arm: str
    neuron: str
    size: str
    steps: int
    pictures: int
    fft: bool
    average: bool
    clip: bool
    lr: float
    weight: float | None
    seed: int

    @property
    def name(self) -> str:
        """Name of its experiment."""
        marks = ''.join(f'_{mark}' for mark, there in (('fft', self.fft), ('average', self.average),
                                                       ('unclipped', not self.clip)) if there)
        weight = '' if self.weight is None else f'_weight{self.weight:g}'
        return (f'regime_{self.arm}_{self.neuron}_{self.size}_{self.pictures}pictures{marks}_lr{self.lr:g}{weight}_'
                f'{self.steps}_seed{self.seed}')

    def key(self) -> tuple[str, ...]:
        """Its fields as a row of a table holds them."""
        return tuple('' if value is None else str(value) for value in asdict(self).values())


FIELDS = tuple(field.name for field in fields(Run))
"""Columns of a table that tell which run a row is of."""


class Plan:
    """A plan file: see ``binary.yml``.

    Args:
        file: The YAML file.

    Raises:
        UserError: A block, neuron, size or arm that the plan does not declare.
    """

    def __init__(self, file: Path) -> None:
        self.name = file.stem
        self.content: dict[str, Any] = yaml.safe_load(file.read_text(encoding='utf-8'))
        self.blocks = [self._runs_of(block) for block in self.content['blocks']]

    def runs(self) -> list[Run]:
        """All runs once, in order of value, each after the one that it needs."""
        wanted = (run for block in self.blocks for run in block)
        return list(dict.fromkeys(one for run in wanted for one in (*self._twins(run), run)))

    def _runs_of(self, block: Mapping[str, Any]) -> list[Run]:
        given = {key: value for key, value in block.items() if key != 'about'}
        if unknown := given.keys() - set(FIELDS):
            raise UserError(f'a block of the plan has {", ".join(sorted(unknown))}; it may have {", ".join(FIELDS)}.')
        values = [given.get(key, [self.content['defaults'].get(key)]) for key in FIELDS]
        runs = [Run(*chosen) for chosen in itertools.product(*values)]
        for run in runs:
            for key, known in (('arm', 'arms'), ('neuron', 'neurons'), ('size', 'sizes')):
                if (word := getattr(run, key)) not in self.content[known]:
                    raise UserError(f'the plan has no {key} "{word}"; did you mean '
                                    f'{" or ".join(near_matches(str(word), self.content[known]))}?')
        arms = list(self.content['arms'])
        return sorted(runs, key=lambda run: (run.seed, given.get('arm', arms).index(run.arm)))  # seed by seed

    def needed(self, run: Run) -> Run | None:
        """The twin whose weights a run begins with or is taught by; None for most."""
        return next(self._twins(run), None)

    def _twins(self, run: Run) -> Iterator[Run]:
        arm = self._declared(run)
        if self.begins_as_twin(run) or TWIN_ARM.upper() in str(arm):
            yield replace(run, arm=TWIN_ARM, neuron=self.content['twins'][run.neuron], seed=TWIN_SEED, weight=None,
                          steps=arm.get('twin_steps', self.content['twin_steps']), lr=self.content['defaults']['lr'])

    def begins_as_twin(self, run: Run) -> bool:
        return self._declared(run).get('start') == TWIN_ARM

    def _declared(self, run: Run) -> Mapping[str, Any]:
        """What the plan says of a run's arm; nothing of a twin."""
        return {} if run.arm == TWIN_ARM else self.content['arms'][run.arm]

    def options(self, run: Run) -> dict[str, Any]:
        """Options of a run, as ``basicsr-snn train`` takes them."""
        options = read_options(OPTIONS / f'{self.content["base"]}.yml')
        own = self.content.get('neuron_options', {}).get(run.neuron, {})
        for key, value in {**self.content['options'], **own, **self._arm(run)}.items():
            set_option(options, key, copy.deepcopy(value))
        if 'distill' in options:
            options['model_type'] = 'ANNSNNDistillModel'
        self._set_factors(options, run)
        return options

    def _arm(self, run: Run) -> dict[str, Any]:
        """The options of an arm, with the words that stand for this run's paths and twin replaced."""
        size, twin = self.content['sizes'][run.size], self.needed(run)
        words: dict[str, Any] = {word.upper(): path for word, path in size.items()}
        words['SPIKING'] = {key: value for key, value in self._network(run).items() if key != 'weights'}
        if twin is not None:
            words['TWIN'] = {'network': self._network(twin), 'path': str(trained_weights(twin))}
        arm = replaced(self._declared(run), words)
        return {key: value for key, value in arm.items() if key not in ('start', 'twin_steps')}

    def _network(self, run: Run) -> dict[str, Any]:
        return {'type': 'SpikerIR', 'in_ch': 3, 'size': run.size, **copy.deepcopy(self.content['neurons'][run.neuron])}

    def _set_factors(self, options: dict[str, Any], run: Run) -> None:
        options.update(name=run.name, manual_seed=run.seed, network_g=self._network(run))
        set_length(options, run.steps)
        train, data = options['train'], options['datasets']
        data['train']['subset'], data['val']['subset'] = [0, run.pictures], self.content['validated_on']
        data['train']['dataset_enlarge_ratio'] = 40_000 // run.pictures
        train['optim_g']['lr'] = run.lr
        if not run.fft:
            del train['fft_opt']
        if not run.average:
            train['ema_decay'] = 0
        if not run.clip:
            del train['grad_clip']
        if run.weight is not None:
            set_weight(options.get('distill', {}), run.weight)
        told = options['logger']['print_freq']
        options['val']['val_freq'] = max(told, run.steps // VALIDATIONS // told * told)
        options['logger']['save_checkpoint_freq'] = options['val']['val_freq']  # whose networks are looked at
        if self.begins_as_twin(run):
            options['path']['pretrain_network_g'] = str(start_weights(run))


def trained_weights(run: Run) -> Path:
    return EXPERIMENTS / run.name / 'models' / 'net_g_latest.pth'


def start_weights(run: Run) -> Path:
    return EXPERIMENTS / f'{run.name}_start.pth'


def set_option(options: dict[str, Any], path: str, value: Any) -> None:
    """Set one option by the dotted path of its key."""
    *parents, key = path.split('.')
    for parent in parents:
        options = options.setdefault(parent, {})
    options[key] = value


def replaced(options: Any, words: Mapping[str, Any]) -> Any:
    """A copy of nested options in which values that are one of these words are replaced."""
    if isinstance(options, dict):
        return {key: replaced(value, words) for key, value in options.items()}
    if isinstance(options, list):
        return [replaced(value, words) for value in options]
    return words.get(options, options) if isinstance(options, str) else options
