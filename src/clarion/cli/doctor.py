"""`clarion doctor`: what is wrong around an installation."""

from __future__ import annotations

from typing import Annotated

import typer

from clarion.cli.exit_codes import Exit
from clarion.cli.options import Json

program = typer.Typer(no_args_is_help=True, help="What is wrong around an installation.")

TONES = {"right": "green", "advice": "yellow", "wrong": "red"}


@program.callback()
def _group() -> None:
    """What is wrong around an installation."""


@program.command()
def dns(
    domain: Annotated[str, typer.Argument(help="Domain of the sender's address.")],
    selector: Annotated[
        list[str] | None, typer.Option(help="DKIM selector of your emails; may be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Check what the domain of a sender publishes: SPF, DKIM, DMARC, MX, MTA-STS, TLS-RPT, BIMI.

    \b
    Examples:
      clarion doctor dns example.com --selector clarion1
      clarion doctor dns news.example.com --json
    """
    import msgspec

    from clarion.adapters import mail_dns
    from clarion.cli import output
    from clarion.errors import Unavailable

    try:
        found = mail_dns.check_domain(domain.lower().rstrip("."), selector or [], mail_dns.system_lookup())
    except Unavailable as broken:
        output.complain(broken.detail)
        raise typer.Exit(Exit.UNREACHABLE) from None
    if json:
        output.as_json([msgspec.structs.asdict(one) for one in found])
    else:
        console = output.out()
        for one in found:
            console.print(f"{one.level:7}", style=TONES[one.level], end="")
            console.print(f"{one.record:8} {one.says}", markup=False)
    if any(one.level == "wrong" for one in found):
        raise typer.Exit(Exit.FAILED)
