"""Vaults: keep the installation's key and encrypt data."""
