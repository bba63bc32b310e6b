"""Many networks on the same pictures: quality, counted cost, speed and memory of each in one row."""
