"""From templates to channel content: compile, localise, render."""
