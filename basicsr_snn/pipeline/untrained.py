"""A test of a network without weights says so."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from basicsr.utils import get_root_logger

from basicsr_snn.compat.replacing import replaces
from basicsr_snn.zoo.building import weights_in

UNTRAINED = ('none: the network is untrained, with random weights; name a file as path: pretrain_network_g, or add '
             '--weights FILE')


def names_weights(options: Mapping[str, Any]) -> bool:
    """Whether the network of a test has a weight file, or is built with its weights."""
    return bool(options['path'].get('pretrain_network_g')) or weights_in(options['network_g']) is not None


@replaces('build_model', 'basicsr.test')
def say_what_is_untrained(upstream: Callable[[dict[str, Any]], Any], opt: dict[str, Any]) -> Any:
    """A network without weights was scored like any other, without a word."""
    if 'network_g' in opt and not names_weights(opt):
        get_root_logger().warning(f'Weights: {UNTRAINED}.')
    return upstream(opt)
