"""Pictures: files, colour and bits, noise, padding, scores. Knows no network."""
