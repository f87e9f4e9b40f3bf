"""Importers: what other notification systems export becomes a configuration folder, with a report of what has no equal."""
