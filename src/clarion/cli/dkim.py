"""`clarion dkim`: keys that sign mail."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from clarion.cli.options import Json

program = typer.Typer(no_args_is_help=True, help="Keys that sign mail (DKIM).")

TXT_STRING = 255
"""Octets of one string in a TXT record (RFC 1035); longer records are several strings."""


class KeyKind(StrEnum):
    """What can be made."""

    RSA = "rsa"
    ED25519 = "ed25519"


Domain = Annotated[str, typer.Option(help="Domain of the sender's address.")]
Selector = Annotated[str, typer.Option(help="Selector of the key: use a new one for every key.")]
KindOption = Annotated[
    KeyKind,
    typer.Option(
        "--kind",
        help="All receivers verify rsa; ed25519 keys are small and fast, but some receivers ignore them.",
    ),
]


@program.callback()
def _group() -> None:
    """Keys that sign mail (DKIM)."""


@program.command()
def create(domain: Domain, selector: Selector, kind: KindOption = KeyKind.RSA, json: Json = False) -> None:
    """Make a key that signs mail (DKIM). Nothing is stored: publish the record, keep the private key like a password.

    \b
    Examples:
      clarion dkim create --domain example.com --selector clarion1
      clarion dkim create --domain example.com --selector clarion2 --kind ed25519 --json > dkim.json
    """
    from clarion.cli import output
    from clarion.content.mail.dkim import check_names, new_key, public_record

    domain, selector = check_names(domain, selector)
    private_key = new_key(kind.value)
    name, record = f"{selector}._domainkey.{domain}", public_record(private_key)
    if json:
        output.as_json({"name": name, "record": record, "selector": selector, "private_key": private_key})
        return
    console = output.out()
    console.print("Publish this record:", style=output.SILENT)
    console.print(f"{name}. TXT {_strings(record)}", markup=False, soft_wrap=True)
    console.print()
    console.print(
        f"Add {selector} to `dkim_selectors` of the integration, and this to `dkim_keys`:",
        style=output.SILENT,
    )
    console.print(private_key, markup=False, soft_wrap=True)


def _strings(record: str) -> str:
    return " ".join(f'"{record[at : at + TXT_STRING]}"' for at in range(0, len(record), TXT_STRING))
