"""Modules of one's own: those that an option file names, and those that installed packages announce as plugins."""
