"""Blocks with a ``type:``, declared by the signature and the docstring of the class that they build.

A new network, loss or neuron needs no entry here: its arguments are the keys, their annotations the types, and the
``Args:`` of its docstring the meanings.
"""
from __future__ import annotations

import collections.abc
import functools
import inspect
import operator
import re
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec
import torch
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, Registry

from basicsr_snn.compat.optimizers import OPTIMIZERS
from basicsr_snn.losses.rate_loss import SpikeRateLoss
from basicsr_snn.pipeline.option_blocks.base import Block, Kind, NotNegative, says
from basicsr_snn.pipeline.option_blocks.datasets import DATASETS, LoadedDataset, mixed_in
from basicsr_snn.pipeline.option_blocks.training import SCHEDULERS
from basicsr_snn.spiking.base import DEFAULT_NEURON, NEURONS

NO_SINGLE_TERM = ('PerceptualLoss', 'SpikeRateLoss', 'GANLoss', 'MultiScaleGANLoss', 'WeightedTVLoss')
"""Losses that answer with two terms, or compare no two features."""

GIVEN = {'optimizer': ('params',), 'metric': ('img', 'img2'), 'neuron': ('channels',)}
"""Arguments that code gives."""

TYPES: dict[str, dict[str, Any]] = {'optimizer': {'lr': NotNegative, 'weight_decay': NotNegative},
                                    'loss': {'reduction': Literal['mean', 'sum']}}
"""Types of arguments that are narrower than their annotations say."""

REQUIRED = {'optimizer': ('lr',)}
"""Arguments that BasicSR requires, whatever the class does."""

SWALLOWING = ('metric',)
"""Kinds whose functions take any argument and read none of them."""

PLAIN = (bool, int, float, str, Any, type(None))
GENERIC = (list, tuple, dict, collections.abc.Sequence, collections.abc.Mapping)


def registered(registry: Registry) -> dict[str, Any]:
    """Names and classes of one of BasicSR's registries; its own suffix, which its ``get`` tries too, is left out."""
    return {name.removesuffix('_basicsr'): entry for name, entry in registry}


def known(kind: Kind) -> Mapping[str, Callable[..., Any]]:
    """What a block of this kind can build, by the name that stands in ``type:``."""
    if kind == 'optimizer':
        return {name: getattr(torch.optim, name) for name in OPTIMIZERS}
    if kind == 'feature_loss':
        return {name: entry for name, entry in known('loss').items() if name not in NO_SINGLE_TERM}
    if kind == 'rate_loss':
        return {name: entry for name, entry in known('loss').items()
                if inspect.isclass(entry) and issubclass(entry, SpikeRateLoss)}
    if kind == 'perceptual_loss':  # those of others answer with what they like
        return {name: entry for name, entry in known('loss').items()
                if name == 'PerceptualLoss' or not entry.__module__.startswith(('basicsr.', 'basicsr_snn.'))}
    if kind == 'scheduler':
        return SCHEDULERS
    if kind in ('neuron', 'hidden_neuron'):
        return NEURONS
    if kind == 'mixed_in':
        return known('dataset')
    return registered({'network': ARCH_REGISTRY, 'loss': LOSS_REGISTRY, 'dataset': DATASET_REGISTRY,
                       'metric': METRIC_REGISTRY}[kind])


def block_of(kind: Kind, name: str) -> type[Block]:
    """The block that builds the class ``name``."""
    if kind == 'dataset':
        return DATASETS.get(name, OtherDataset)
    if kind == 'mixed_in':
        return mixed_in(DATASETS.get(name, OtherDataset))
    if kind == 'scheduler':
        return SCHEDULERS[name]
    like: dict[Kind, Kind] = {'feature_loss': 'loss', 'rate_loss': 'loss', 'perceptual_loss': 'loss',
                              'hidden_neuron': 'neuron'}
    kind = like.get(kind, kind)
    return _declared_by(known(kind)[name], kind, name)


class OtherDataset(LoadedDataset, kw_only=True, forbid_unknown_fields=False):
    """Any data set but ours: what the loader reads is known, the rest is its own."""


class Metric(Block, kw_only=True):
    """A score."""

    type: str
    better: Annotated[Literal['higher', 'lower'], says('Which value is the better one.')] = 'higher'


class OurNeuron(Block, kw_only=True):
    """A neuron."""

    type: str = DEFAULT_NEURON


class AnyBuilt(Block, kw_only=True):
    """What a block of another kind holds beside the arguments of its class."""

    type: str


BASES = {'metric': Metric, 'neuron': OurNeuron}
"""What a block of this kind holds beside the arguments of its class."""


@functools.cache
def _declared_by(built: Callable[..., Any], kind: Kind, name: str) -> type[Block]:
    parameters = [p for p in inspect.signature(built).parameters.values() if p.name not in GIVEN.get(kind, ())]
    takes_any = kind not in SWALLOWING and any(p.kind is p.VAR_KEYWORD for p in parameters)
    try:
        hints = get_type_hints(built.__init__ if inspect.isclass(built) else built, include_extras=True)
    except NameError:  # an annotation that only type checkers can read
        hints = {}
    hints = {**types_in_docstring(built), **hints, **TYPES.get(kind, {})}
    meanings = argument_meanings(built)
    fields = [(p.name, Annotated[_readable(hints.get(p.name, _told_by(p.default))),
                                 says(meanings.get(p.name, ''))],
               *([] if p.name in REQUIRED.get(kind, ()) else _default(p)))
              for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return cast('type[Block]', msgspec.defstruct(name, fields, bases=(BASES.get(kind, AnyBuilt),), kw_only=True,
                                                 forbid_unknown_fields=not takes_any))


def _default(parameter: inspect.Parameter) -> list[Any]:
    if parameter.default is parameter.empty:
        return []
    plain = parameter.default is None or isinstance(parameter.default, bool | int | float | str | tuple)
    return [parameter.default if plain else msgspec.UNSET]


def _told_by(default: Any) -> Any:
    """The type of an argument without annotation, as far as its default tells."""
    if isinstance(default, bool):
        return bool
    if isinstance(default, int | float):
        return float
    return str if isinstance(default, str) else Any


def _readable(annotation: Any) -> Any:
    """The part of an annotation that YAML can hold; ``Any`` where there is none."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        built = arguments[1] if isinstance(arguments[1], str) else None
        return Annotated[dict[str, Any], says('', builds=cast('Kind', built))] if built else annotation
    if origin in (Union, types.UnionType):
        parts = [part for part in map(_readable, arguments) if part is not Any]
        return functools.reduce(operator.or_, parts) if parts else Any
    if origin in GENERIC:
        return origin[tuple(part if part is Ellipsis else _readable(part) for part in arguments)]
    return annotation if annotation in PLAIN or origin is Literal else Any


def argument_meanings(built: Callable[..., Any]) -> dict[str, str]:
    """What the docstring of a class or function says of each argument, as Markdown."""
    entries = re.findall(r'^ {4}(\w+)(?: \([^)]*\))?: (.*(?:\n {5,}.*)*)', _arguments(built), re.MULTILINE)
    return {name: as_markdown(' '.join(text.split())) for name, text in entries}


def types_in_docstring(built: Callable[..., Any]) -> dict[str, type]:
    """Types that a docstring such as BasicSR's gives required arguments: ``crop_border (int): ...``."""
    entries = re.findall(r'^ {4}(\w+) \((int|float|bool|str)\):', _arguments(built), re.MULTILINE)
    required = {p.name for p in inspect.signature(built).parameters.values() if p.default is p.empty}
    return {name: {'int': int, 'float': float, 'bool': bool, 'str': str}[kind]
            for name, kind in entries if name in required}


def _arguments(built: Callable[..., Any]) -> str:
    """The part of a docstring that describes the arguments."""
    section = re.search(r'^Args:\n(.*?)(?=^\S|\Z)', inspect.getdoc(built) or '', re.DOTALL | re.MULTILINE)
    return section[1] if section else ''


def as_markdown(text: str) -> str:
    """A sentence of a docstring, in Markdown instead of reStructuredText."""
    text = re.sub(r':math:`([^`]*)`', r'\1', text).replace(r'\beta', 'β').replace(r'\theta', 'θ')
    text = re.sub(r':\w+:`~?(?:[\w.]*\.)?(\w+)`', r'`\1`', text)
    return text.replace('``', '`').replace('`None`', '`~`')
