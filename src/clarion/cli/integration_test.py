"""`clarion integrations test`: sends one real message through one integration, and follows it to its receipt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clarion.cli.assignments import EventData, event_data
from clarion.cli.options import Connect, Json, connected

if TYPE_CHECKING:
    from clarion.cli.client import Client

FIRST_LOOK_S = 0.2
LONGEST_PAUSE_S = 2.0
"""Between two looks at a message that does not change."""
GOOD = frozenset({"sent", "delivered"})
GOING = frozenset({"queued", "deferred", "sending"})


@connected
def send_test(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of the integration.")],
    to: Annotated[
        str | None,
        typer.Option("--to", help="An address of its channel: +4915112345678, ada@example.com, apns:..."),
    ] = None,
    user_id: Annotated[
        str | None, typer.Option("--user-id", help="A user, at their own contacts of its channel.")
    ] = None,
    template: Annotated[
        str | None, typer.Option("--template", help="Template to send. Default: one plain sentence.")
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--set", help="A value of the template's data, NAME=VALUE. VALUE may be JSON."),
    ] = None,
    data: EventData = None,
    timeout: Annotated[
        int, typer.Option("--timeout", metavar="SECONDS", min=1, help="How long to wait for the receipt.")
    ] = 120,
    *,
    connect: Connect,
    json: Json = False,
) -> None:
    """Send one real message through this integration and no other, and follow it to its receipt.

    Exit code 0: the message was delivered, or sent by a provider that reports nothing. 1: it failed or was not sent.
    3: no receipt within the timeout. Ctrl-C ends the watching, not the message.

    \b
    Examples:
      clarion integrations test main-sms --to +4915112345678
      clarion integrations test main-mail --user-id ada --template welcome --set plan=Reader
    """
    if (to is None) == (user_id is None):
        raise typer.BadParameter("give an address with --to, or a user with --user-id")
    from clarion.cli.client import segment

    body: dict[str, Any] = {"to": to, "user_id": user_id, "template": template}
    if data is not None or given:
        body["data"] = event_data(data, given or ())
    client = connect()
    sent = client.call("POST", f"/v1/integrations/{segment(key)}/test", body)
    following = Following(client, sent, quiet=json)
    try:
        message = following.to_its_end(timeout)
    except KeyboardInterrupt:
        following.left_to_do()
        raise
    if json:
        from clarion.cli import output

        output.as_json(message)
    raise typer.Exit(following.ended(message, timeout))


class Following:
    """Looks at a message until nothing more is to come of it, and prints each step once."""

    def __init__(self, client: Client, sent: Mapping[str, Any], *, quiet: bool) -> None:
        self._client = client
        self._message_id = sent["message_id"]
        self._callback_url = sent["callback_url"]
        self._event_id = sent["event_id"]
        self._quiet = quiet
        self._told = 0

    def to_its_end(self, timeout_s: float) -> Mapping[str, Any]:
        """The message, finished or as it is when the time is over."""
        from clarion.adapters.system import SystemClock
        from clarion.cli.client import pause

        clock = SystemClock()
        give_up_s, pause_s = clock.monotonic() + timeout_s, FIRST_LOOK_S
        while True:
            message, told = self._look(), self._told
            if message is not None:
                self._tell(message)
                if self._is_finished(message) or clock.monotonic() >= give_up_s:
                    return message
            elif clock.monotonic() >= give_up_s:
                return {"id": self._message_id, "status": "accepted", "timeline": [], "reason": None}
            pause_s = FIRST_LOOK_S if self._told > told else min(2 * pause_s, LONGEST_PAUSE_S)
            pause(min(pause_s, max(0.0, give_up_s - clock.monotonic())))

    def ended(self, message: Mapping[str, Any], timeout_s: float) -> int:
        """Say how it ended; the exit code."""
        from clarion.cli.exit_codes import Exit

        status, reason = message["status"], f" ({message['reason']})" if message["reason"] else ""
        if not self._is_finished(message):
            self._say_to_err(f"No receipt within {timeout_s:g} s: the message is {status}{reason}.")
            if status == "sent":
                self._say_to_err(
                    f"The provider accepted it and must report to {self._callback_url}: check that this URL is set "
                    "at the provider and can be reached from there."
                )
            self.left_to_do()
            return Exit.UNREACHABLE
        if status == "sent":
            self._say_to_err("Sent. This provider reports nothing more.")
        elif status not in GOOD:
            self._say_to_err(f"The message is {status}{reason}.")
        return Exit.OK if status in GOOD else Exit.FAILED

    def left_to_do(self) -> None:
        """Say how to go on."""
        self._say_to_err(
            f"It goes on without this command. To see it: clarion messages show {self._message_id}"
        )
        self._say_to_err(f"To stop it before it is sent: clarion messages cancel {self._message_id}")

    def _look(self) -> Mapping[str, Any] | None:
        """None: it is not planned yet."""
        from clarion.cli.client import Answered

        try:
            found: Mapping[str, Any] = self._client.get(f"/v1/messages/{self._message_id}")
        except Answered as refused:
            if refused.status != 404:
                raise
            return None
        return found

    def _is_finished(self, message: Mapping[str, Any]) -> bool:
        if message["status"] == "sent":
            return self._callback_url is None
        return message["status"] not in GOING and message["status"] != "accepted"

    def _tell(self, message: Mapping[str, Any]) -> None:
        if self._quiet:
            return
        timeline = message["timeline"]
        for number, change in enumerate(timeline[self._told :], self._told):
            if number == 0:
                self._line(message["created_at"], "accepted", f"event {self._event_id}")
            previous = timeline[number - 1]["status"] if number else None
            for at, step, text in steps(change, previous):
                self._line(at, step, text)
        self._told = len(timeline)

    def _line(self, at: str, step: str, text: str) -> None:
        from rich.text import Text

        from clarion.cli import output

        shown = output.clock_ms(at)
        output.out().print(Text(f"{shown}  ", style=output.SILENT), Text(f"{step:<9} {text}"), sep="")

    def _say_to_err(self, text: str) -> None:
        from clarion.cli import output

        output.err().print(text, style=output.SILENT, markup=False)


def steps(change: Mapping[str, Any], previous: str | None) -> list[tuple[str, str, str]]:
    """A change of a message as lines: when, what happened, in words. `previous`: the status before it."""
    at, outcome, took_ms = change["at"], change["outcome"], change["took_ms"]
    state = change["status"] + (f" ({change['reason']})" if change["reason"] else "")
    end = f": {change['detail']}" if change["detail"] else ""
    end += f"; next try at {change['due_at']}" if change["due_at"] else ""
    if outcome is None and change["status"] == "sending":
        return [(at, "called", f"attempt {change['attempt'] + 1}")]
    if outcome is None:
        step = "planned" if previous is None else "waits" if change["status"] in GOING else "ended"
        return [(at, step, f"{state}{end}")]
    if took_ms is None:
        return [(at, "receipt", (state if outcome == change["status"] else f"{outcome}: {state}") + end)]
    called = (
        [] if previous == "sending" else [(before(at, took_ms), "called", f"attempt {change['attempt']}")]
    )
    name = f", provider id {change['provider_id']}" if change["provider_id"] else ""
    return [*called, (at, "outcome", f"{outcome} after {took_ms} ms{name}: {state}{end}")]


def before(at: str, ms: int) -> str:
    """An RFC 3339 time, so many milliseconds earlier."""
    from datetime import datetime, timedelta

    return (datetime.fromisoformat(at) - timedelta(milliseconds=ms)).isoformat()
