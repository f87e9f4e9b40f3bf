"""The composition root. No logic, and nothing happens at import.

`resources` are opened first, `engine` and `http_app` are built on them, `process` says in which order and who ends
what, `server` gives it a port and listens to signals. `store_process` keeps the store in a process beside it, whose
program is `store_program`.
"""
