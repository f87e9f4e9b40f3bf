"""Pure decisions: values and now in, values out. No clock, no I/O, no randomness."""
