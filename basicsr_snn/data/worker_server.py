"""Imported by the server that data workers are forked from, and nowhere else: the server ends with who started it.

By itself it would live as long as its workers do, and these as long as it.
"""
from basicsr_snn.data.workers import die_with_parent

die_with_parent()
