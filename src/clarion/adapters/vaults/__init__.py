"""Vaults: where the installation's key is kept, and how data is encrypted."""
