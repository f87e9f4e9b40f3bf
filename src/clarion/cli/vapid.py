"""`clarion vapid`: the key pair that browsers subscribe with."""

from __future__ import annotations

import typer

from clarion.cli.options import Json

program = typer.Typer(no_args_is_help=True, help="Keys for web push.")


@program.callback()
def _group() -> None:
    """Keys for web push."""


@program.command()
def create(json: Json = False) -> None:
    """Make a key pair for web push (VAPID). Nothing is stored: keep the private key like a password.

    Browsers subscribe to one public key. If you change the pair, every browser must subscribe again.

    \b
    Examples:
      clarion vapid create
      clarion vapid create --json > vapid.json
    """
    from clarion.adapters.webpush.vapid import new_keys
    from clarion.cli import output

    keys = new_keys()
    config = {"public_key": keys.public, "private_key": keys.private}
    if json:
        output.as_json(config)
        return
    console = output.out()
    console.print(f"public_key   {keys.public}")
    console.print(f"private_key  {keys.private}")
    console.print()
    console.print("To create an integration with them:", style=output.SILENT)
    console.print()
    console.print(_request(config), markup=False)
    console.print()
    console.print("Web pages subscribe with the public key: see docs/how-to/web-push.md", style=output.SILENT)


def _request(config: dict[str, str]) -> str:
    import msgspec

    body = {
        "channel": "push",
        "provider": "webpush",
        "config": {**config, "subject": "mailto:you@example.com"},
    }
    return (
        "curl -X PUT $CLARION_URL/v1/integrations/browsers \\\n"
        "  -H \"Authorization: Bearer $CLARION_API_KEY\" -H 'Content-Type: application/json' \\\n"
        f"  -d @- <<'END'\n{msgspec.json.encode(body).decode()}\nEND"  # On a command line others would see it.
    )
