"""Our networks in programs of others: what their libraries ask of a network, said for ours.

The modules that users import, ``basicsr_snn.spandrel`` and ``basicsr_snn.deepinv``, have the names of those libraries.
"""
