"""Whether the program ``tensorboard`` can start.

BasicSR requires tb-nightly and SpikingJelly requires tensorboard, which own the same files. pip installs both, and
nothing that we require can leave one out; the one that comes last, tb-nightly, overwrites the other. What is then in
the way: its files import ``pkg_resources``, which setuptools has below version 82 only (we require such a one), and
both announce a plugin of one name (:mod:`basicsr_snn.tensorboard_start` lets the program keep one).
"""
from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from basicsr_snn.compat.replacing import module, replaces
from basicsr_snn.errors import first_line

ENTRY_POINTS = 'tensorboard_plugins'
SETUPTOOLS = 'pip install "setuptools<82"'
ONE_OWNER = 'pip uninstall -y tensorboard tb-nightly && pip install tb-nightly "setuptools<82"'


def why_tensorboard_cannot_start() -> str | None:
    """One sentence, with the command that helps, for an environment in which the program ends at once; else None.

    Event files are written all the same. ``pip check`` misses a package where one of the two is left out.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # pkg_resources asks everybody not to use it
            module('tensorboard.default')
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == 'pkg_resources'
        return f'tensorboard cannot start ({first_line(error)}); type: {SETUPTOOLS if missing else ONE_OWNER}'
    owners = owners_of_tensorboard()
    if len(owners) < 2 or _one_plugin_of_each_is_kept():
        return None
    return f'tensorboard cannot start while {" and ".join(owners)} own the same files; type: {ONE_OWNER}'


def owners_of_tensorboard() -> list[str]:
    """The installed packages that own TensorBoard's files."""
    return sorted({plugin.dist.name for plugin in entry_points(group=ENTRY_POINTS, name='projector')
                   if plugin.dist is not None})


def _one_plugin_of_each_is_kept() -> bool:
    """Whether this package is installed so that TensorBoard finds what it brings for it."""
    return any(plugin.module == 'basicsr_snn.tensorboard_start' for plugin in entry_points(group=ENTRY_POINTS))


@replaces('init_tb_loggers', 'basicsr.train')
def say_why_tensorboard_cannot_start(upstream: Callable[[dict[str, Any]], Any], opt: dict[str, Any]) -> Any:
    """BasicSR and SpikingJelly bring two packages that own TensorBoard's files, and then its program cannot start."""
    wanted = opt['logger'].get('use_tb_logger')
    sentence = why_tensorboard_cannot_start() if wanted else None
    if sentence:
        module('basicsr.utils').get_root_logger().warning(sentence)
    return upstream(opt)
