"""Ledgers: the stores of all durable state."""
