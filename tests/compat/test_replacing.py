"""Attributes of BasicSR, replaced for good and for a while."""
from __future__ import annotations

import types

import pytest

from basicsr_snn.compat import replacing
from basicsr_snn.compat.replacing import replaced, replaces


@pytest.fixture
def owners(monkeypatch):
    """Two modules that hold the same function, and a class in the first."""
    first, second = types.ModuleType('first'), types.ModuleType('second')
    first.double = second.double = lambda number: 2 * number
    first.Holder = type('Holder', (), {'double': staticmethod(first.double)})
    monkeypatch.setattr(replacing, 'module', {'first': first, 'second': second}.__getitem__)
    return first, second


def test_replaced_for_a_while_in_modules_and_classes_also_when_it_fails(owners):
    first, second = owners
    before = first.double
    with replaced('double', len, 'first', 'first:Holder', 'second'):
        assert first.double is second.double is first.Holder.double is len
    assert first.double is second.double is first.Holder.double is before
    with pytest.raises(TypeError), replaced('double', len, 'first', 'first:Holder', 'second'):
        first.double(1)
    assert first.double is second.double is first.Holder.double is before


def test_replacement_gets_upstream_for_a_while_and_for_good(owners):
    first, second = owners
    before = first.double

    @replaces('double', 'first', 'second')
    def double_and_add(upstream, number):
        """Doubling gave too little."""
        return upstream(number) + 1

    with double_and_add:
        assert (first.double(3), second.double(3)) == (7, 7)
        assert first.double.__wrapped__ is before
    assert first.double is second.double is before
    double_and_add.install()
    double_and_add.install()
    assert (first.double(3), second.double(3)) == (7, 7)
    assert double_and_add(lambda number: number, 3) == 4


def test_every_replacement_says_why():
    with pytest.raises(TypeError, match='without a reason'):
        replaces('double', 'first')(lambda upstream: None)
