"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def optional(name: str, kind: object, default: object = None) -> Parameter:
    """An option for `with_options`."""
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)


_CHOICE = [optional("url", Url), optional("api_key", ApiKey), optional("data_dir", Data, DATA_DIR)]


def with_options(
    command: Callable[..., None],
    keyword: str,
    options: Sequence[Parameter],
    value: Callable[..., object],
) -> Callable[..., None]:
    """The command with these options in the place of one of its keywords, which gets `value(**options)`."""
    hints = get_type_hints(command, include_extras=True)
    shown: list[Parameter] = []
    for name, one in signature(command).parameters.items():
        shown += options if name == keyword else [one.replace(annotation=hints[name])]

    @wraps(command)
    def run(**given: object) -> None:
        chosen = {option.name: given.pop(option.name) for option in options}
        command(**{keyword: value(**chosen)}, **given)

    run.__annotations__ = {one.name: one.annotation for one in shown}
    run.__signature__ = Signature(shown)  # type: ignore[attr-defined]
    return run


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """A command of a running Clarion: whoever types it gets the options that choose one, in the place where the
    command has its keyword `connect`."""
    return with_options(command, "connect", _CHOICE, _connect)


def _connect(url: str | None, api_key: str | None, data_dir: Path) -> Connect:
    from clarion.cli.client import connect

    return partial(connect, url, api_key, data_dir)
