"""What mined negatives are worth, on simulated logs with known relevance (README.md)."""
