"""Brokers: where accepted events wait until they are planned."""
