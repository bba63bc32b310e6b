"""Whether the program ``tensorboard`` can start.

BasicSR requires tb-nightly and SpikingJelly requires tensorboard, which own the same files. Beside each other one
overwrites the other, and the program refuses the plugins that both register.
"""
from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from basicsr_snn.compat.replacing import module, replaces

REPAIR = 'pip uninstall -y tb-nightly tensorboard && pip install tensorboard'


def why_tensorboard_cannot_start() -> str | None:
    """One sentence for an environment with several owners of TensorBoard's files, with the command that helps.

    Event files are written all the same. ``pip check`` misses tb-nightly afterwards, which BasicSR does not need.
    """
    owners = sorted({plugin.dist.name for plugin in entry_points(group='tensorboard_plugins', name='projector')
                     if plugin.dist is not None})
    if len(owners) < 2:
        return None
    return f'tensorboard cannot start while {" and ".join(owners)} own the same files; type: {REPAIR}'


@replaces('init_tb_loggers', 'basicsr.train')
def say_why_tensorboard_cannot_start(upstream: Callable[[dict[str, Any]], Any], opt: dict[str, Any]) -> Any:
    """BasicSR and SpikingJelly bring two packages that own TensorBoard's files, and then its program cannot start."""
    sentence = why_tensorboard_cannot_start()
    if sentence and opt['logger'].get('use_tb_logger'):
        module('basicsr.utils').get_root_logger().warning(sentence)
    return upstream(opt)
