"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, get_type_hints

import typer

if TYPE_CHECKING:
    from clarion.cli.client import Client

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
        help="API key. Prefer the variable: the command line is visible to other users.",
        rich_help_panel="Connection",
        show_default=False,
    ),
]
Data = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        help="Data directory of `clarion dev`: its dev.json has the address and key to use by default.",
        rich_help_panel="Connection",
    ),
]
IfMatch = Annotated[
    str | None,
    typer.Option(
        "--if-match",
        help="ETag the change is based on, like v3 (a version) or d12 (a draft). Refused if it is no longer current.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", envvar="CLARION_CONFIG", help="Settings file. Default: ./clarion.toml if it exists."
    ),
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Data directory, instead of `data_dir` of the settings.")
]


class Connect(Protocol):
    """Reaches the Clarion that was chosen on the command line; ConfigError when none was."""

    def __call__(self) -> Client:
        """A client for it."""


_CHOICE = [
    Parameter("url", Parameter.KEYWORD_ONLY, default=None, annotation=Url),
    Parameter("api_key", Parameter.KEYWORD_ONLY, default=None, annotation=ApiKey),
    Parameter("data_dir", Parameter.KEYWORD_ONLY, default=DATA_DIR, annotation=Data),
]


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """A command of a running Clarion: whoever types it gets the options that choose one, in the place where the
    command has its keyword `connect`."""
    hints = get_type_hints(command, include_extras=True)
    shown: list[Parameter] = []
    for name, one in signature(command).parameters.items():
        shown += _CHOICE if name == "connect" else [one.replace(annotation=hints[name])]

    @wraps(command)
    def run(*, url: str | None, api_key: str | None, data_dir: Path, **given: object) -> None:
        from clarion.cli.client import connect

        command(connect=partial(connect, url, api_key, data_dir), **given)

    run.__annotations__ = {one.name: one.annotation for one in shown}
    run.__signature__ = Signature(shown)  # type: ignore[attr-defined]
    return run
