"""Frozen values that every part of Clarion speaks. No I/O, no clock, no randomness."""
