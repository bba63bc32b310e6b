"""Near matches that a user's mistake is answered with."""
from __future__ import annotations

from basicsr_snn.errors import first_line, near_matches, one_line


def test_near_matches_are_close_first_and_ignore_case():
    assert near_matches('Adamw', ['Adam', 'SGD', 'AdamW'])[0] == 'AdamW'
    assert near_matches('spikerir', ['SpikerIR', 'EDSR']) == ['SpikerIR']
    assert near_matches('neurn', {'neuron': 1, 'norm': 2})[0] == 'neuron'


def test_without_a_close_name_the_first_ones_are_offered():
    assert near_matches('xyz', ['alpha', 'beta', 'gamma', 'delta'], count=2) == ['alpha', 'beta']
    assert near_matches('xyz', []) == []


def test_words_of_other_errors_fit_into_a_sentence():
    error = ValueError('  bad\n  value ')
    assert (first_line(error), one_line(error)) == ('bad', 'bad value')
    assert first_line(error, 2) == 'ba'
    assert first_line(EOFError()) == one_line(EOFError()) == 'EOFError'
