"""Protocols between the engine and the world. At most six methods each; adapters implement them."""
