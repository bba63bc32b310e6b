"""How a block of an option file is declared."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec

Kind = Literal['network', 'neuron', 'hidden_neuron', 'loss', 'feature_loss', 'rate_loss', 'perceptual_loss',
               'optimizer', 'scheduler', 'dataset', 'mixed_in', 'metric']
"""What a block with a ``type:`` can build. ``feature_loss`` is a loss of two features or pictures, ``rate_loss`` of
accumulations, ``perceptual_loss`` one that answers with two terms; ``hidden_neuron`` is what differs from the
``neuron`` beside it; ``mixed_in`` is a dataset in the ``sets`` of another."""

Built = dict[str, Any]
"""A block ``{type: NAME, ...}``, whose keys are declared by the class NAME."""

Count = Annotated[int, msgspec.Meta(ge=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
Iterations = Annotated[float, msgspec.Meta(ge=1, multiple_of=1)]
"""A number of iterations, which BasicSR's users also write as `5e3`."""
Positive = Annotated[float, msgspec.Meta(gt=0)]
Word = Annotated[str, msgspec.Meta(pattern=r'^(?!.*\.(\.|$))[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}$(?!\n)')]
"""A name that becomes the name of a file or folder: one plain word. Some file systems drop a dot at its end."""

NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class Block(msgspec.Struct, forbid_unknown_fields=True):
    """A block of an option file: its keys, with their types, defaults and meanings.

    A key without a default is required. A key whose type includes ``None`` may stand without a value (``key: ~``).
    """

    added_by_parser: ClassVar[tuple[str, ...]] = ()
    """Keys that BasicSR's parser adds."""

    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Keys that users look for here, and where they stand."""


def says(meaning: str, example: Any = None, builds: Kind | None = None) -> msgspec.Meta:
    """The meaning of a key.

    Args:
        meaning: What it is for, as the reference prints it.
        example: A value to type, for the sentence about a wrong one; the default where there is none.
        builds: What the block builds, where it has a ``type:``.
    """
    return msgspec.Meta(
        description=meaning or None, examples=None if example is None else [example],
        extra=None if builds is None else {'builds': builds},
        extra_json_schema=None if builds is None else {'allOf': [{'$ref': f'#/$defs/{builds}'}]})
