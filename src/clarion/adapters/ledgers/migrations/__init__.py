"""How a file or server of an earlier version becomes one of this version, step by step."""
