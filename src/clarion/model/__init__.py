"""Frozen values that every part of Clarion uses. No I/O, no clock, no randomness."""
