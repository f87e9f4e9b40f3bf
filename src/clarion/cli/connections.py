"""`clarion connections`: HTTP services that steps of workflows may call."""

from __future__ import annotations

import typer

from clarion.cli.documents import Noun, add

program = typer.Typer(no_args_is_help=True, help="Name HTTP services that steps of workflows may call.")

add(
    program,
    Noun(
        path="connections",
        one="connection",
        columns={
            "key": lambda one: one["key"],
            "url": lambda one: one["url"],
            "methods": lambda one: ", ".join(one["methods"]).upper(),
            "timeout": lambda one: f"{one['timeout_s']} s",
        },
        example="shop-api",
        change="url=https://shop.example.com/api",
    ),
)
