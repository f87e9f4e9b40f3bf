"""Formats: how the records of sources are written, one file each."""
