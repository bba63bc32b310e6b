"""A network at work on pictures of any size: called, tiled, seen from several sides, from file to file."""
