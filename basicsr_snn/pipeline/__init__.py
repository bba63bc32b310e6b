"""BasicSR's training and test with this package registered: option files, dry run, run, stop."""
