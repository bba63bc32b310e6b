"""Weight files: what they hold, what they say of their network, how large they may be. Nothing in one is ever run."""
