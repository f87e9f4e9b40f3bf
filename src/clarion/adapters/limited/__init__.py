"""A process of its own for what outsiders wrote: it may die, and is replaced."""
