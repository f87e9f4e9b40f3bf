"""Implementations of the ports, one file or folder per library or service."""
