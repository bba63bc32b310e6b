"""The package's version, for every room that tells it."""
__version__ = '0.1.0'
