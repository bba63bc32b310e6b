"""BasicSR's own models on pictures whose sides the network cannot read."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from basicsr_snn.compat.replacing import module, replaces
from basicsr_snn.images.padding import restored_on_multiple
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.inference.probing import probe
from basicsr_snn.zoo.building import window_of


@replaces('test', 'basicsr.models.sr_model:SRModel')
def pad_for_the_network(upstream: Callable[[Any], None], model: Any) -> None:
    """Networks in windows and with strides died on pictures whose sides are no multiples of theirs."""
    multiple = _padded_to(model)
    if multiple == 1:
        upstream(model)
        return
    picture = model.lq

    def restored(padded: Tensor) -> Tensor:
        model.lq = padded
        upstream(model)
        return model.output

    try:
        model.output = restored_on_multiple(restored, picture, multiple)
    finally:
        model.lq = picture


def _padded_to(model: Any) -> int:
    """What sides the network of a model needs a multiple of and does not pad to itself; 1 where it is none for single
    pictures."""
    net = model.get_bare_model(model.net_g)
    found = None if isinstance(net, Restorer) else probe(net, window_of(model.opt['network_g']))
    return 1 if found is None else found.multiple


@replaces('test', 'basicsr.models.swinir_model:SwinIRModel')
def pad_as_other_models_do(upstream: Callable[[Any], None], model: Any) -> None:
    """It died where network_g has no window_size, and on pictures smaller than what it mirrored."""
    module('basicsr.models.sr_model').SRModel.test(model)
