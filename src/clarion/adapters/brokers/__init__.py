"""Event lanes."""
