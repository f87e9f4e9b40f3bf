"""Clarion: self-hosted notification infrastructure, from one process on one file to a billion a day."""

__version__ = "0.1.0"
