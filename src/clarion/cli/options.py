"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DATA_DIR = Path("clarion-data")

Url = Annotated[
    str | None,
    typer.Option(
        "--url", envvar="CLARION_URL", help="Address of a running Clarion.", rich_help_panel="Connection"
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="CLARION_API_KEY",
        help="API key; better in the variable than on the command line.",
        rich_help_panel="Connection",
        show_default=False,
    ),
]
Data = Annotated[
    Path,
    typer.Option(
        "--data",
        help="Data directory of `clarion dev`: its dev.json gives address and key if none is named.",
        rich_help_panel="Connection",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", envvar="CLARION_CONFIG", help="Settings file; without it ./clarion.toml if there is one."
    ),
]
DataDir = Annotated[
    Path | None, typer.Option("--data", help="Data directory, instead of `data_dir` of the settings.")
]
