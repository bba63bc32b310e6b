"""What a thread builds is seen part by part, what others build is not."""
from __future__ import annotations

import threading

import pytest
from torch import nn
from torch.nn.modules import module as hooks

from basicsr_snn.zoo.followed import followed

KINDS = (hooks.register_module_parameter_registration_hook, hooks.register_module_module_registration_hook)


def test_only_parts_of_this_thread_are_seen_and_only_inside():
    seen = []
    with followed(seen.append, *KINDS):
        other = threading.Thread(target=nn.Linear, args=(5, 6))
        other.start()
        other.join()
        net = nn.Sequential(nn.Linear(2, 3))
    nn.Linear(2, 2)
    assert [id(part) for part in seen] == [id(part) for part in (net[0].weight, net[0].bias, net[0])]


def test_what_is_raised_breaks_the_building_off_and_is_forgotten():
    def refuse(part) -> None:
        raise ValueError('enough')

    with pytest.raises(ValueError, match='enough'), followed(refuse, *KINDS):
        nn.Linear(2, 3)
    nn.Linear(2, 3)
