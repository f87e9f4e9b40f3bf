"""The limited process: renders content of outsiders with limits on memory and time; it is replaced when it crashes."""
