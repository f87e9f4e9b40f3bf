"""Commands, no logic."""
