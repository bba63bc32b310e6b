"""What a student learns from a teacher: taps on features, adapters between them, weights over time."""
