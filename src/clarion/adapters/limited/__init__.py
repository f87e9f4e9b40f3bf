"""The limited process: renders what outsiders wrote; it may crash, and is replaced."""
