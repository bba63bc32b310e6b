"""What a student learns from a teacher: feature hooks, adapters between them, weights over time."""
