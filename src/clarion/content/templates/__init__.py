"""Templates: the sandboxed engine, inheritance, review, and the compiled form of each channel."""
