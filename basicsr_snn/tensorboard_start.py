"""What TensorBoard's program imports when it starts, by the entry point ``tensorboard_plugins``: it shows nothing.

BasicSR requires tb-nightly and SpikingJelly requires tensorboard, and no requirement of ours can leave one of them out.
Both announce the plugin ``projector``, and the program ends where it finds one twice. The import of this module, which
comes before that, lets it keep one of each. Nothing of torch is imported for it (:mod:`basicsr_snn.asked`).
"""
from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from tensorboard import program
from tensorboard.plugins import base_plugin

ENTRY_POINTS = 'tensorboard_plugins'


class NothingToShow(base_plugin.TBLoader):
    """A loader without a plugin."""


def keep_one_of_each_plugin(owner: type = program.TensorBoard) -> None:
    """Let the program leave out plugins that it was given before."""
    begin = owner.__init__  # type: ignore[misc]

    @functools.wraps(begin)
    def begin_with_one_of_each(self: Any, plugins: Sequence[Any] | None = None, *args: Any, **kwargs: Any) -> None:
        begin(self, plugins and list(dict.fromkeys(plugins)), *args, **kwargs)

    owner.__init__ = begin_with_one_of_each  # type: ignore[misc]


keep_one_of_each_plugin()
