"""Near matches that a user's mistake is answered with."""
from __future__ import annotations

from basicsr_snn.errors import near_matches


def test_near_matches_are_close_first_and_ignore_case():
    assert near_matches('Adamw', ['Adam', 'SGD', 'AdamW'])[0] == 'AdamW'
    assert near_matches('spikerir', ['SpikerIR', 'EDSR']) == ['SpikerIR']
    assert near_matches('neurn', {'neuron': 1, 'norm': 2})[0] == 'neuron'


def test_without_a_close_name_the_first_ones_are_offered():
    assert near_matches('xyz', ['alpha', 'beta', 'gamma', 'delta'], count=2) == ['alpha', 'beta']
    assert near_matches('xyz', []) == []
