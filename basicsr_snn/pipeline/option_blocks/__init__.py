"""What may stand in an option file: each block declared once, with the types, defaults and meanings of its keys.

The check of option files, the JSON schema for editors and the page ``docs/reference/options.md`` are made from these
declarations. Blocks that build a class (``type: SpikerIR``) are declared by that class: :mod:`built_by_class`.
"""
from basicsr_snn.pipeline.option_blocks.option_file import OptionFile

__all__ = ['OptionFile']
