"""How commands print: people get Rich, scripts get JSON on standard output, errors go to standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

TONES = {
    "sent": "green",
    "delivered": "green",
    "queued": "yellow",
    "deferred": "yellow",
    "sending": "yellow",
    "bounced": "red",
    "rejected": "red",
    "undelivered": "red",
    "failed": "red",
    "dead_lettered": "red",
}
SILENT = "bright_black"
FILE_WIDTH = 200


def out() -> Console:
    """Standard output, in colour on a terminal."""
    import sys

    from rich.console import Console

    # In a pipe there is no width to keep, and an id in two pieces is none.
    width = None if sys.stdout.isatty() else FILE_WIDTH
    return Console(highlight=False, soft_wrap=True, width=width)


def err() -> Console:
    """Standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def as_json(value: Any) -> None:
    """One JSON document."""
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def as_line(value: Any) -> None:
    """One JSON document on one line, out at once: for streams."""
    import msgspec

    print(msgspec.json.encode(value).decode(), flush=True)


def complain(text: str) -> None:
    """Say what went wrong."""
    from rich.text import Text

    console = err()
    for number, line in enumerate(text.splitlines() or ["failed"]):
        console.print(
            Text("clarion: " if number == 0 else "         ", style="red bold"), Text(line), sep="", end="\n"
        )


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A plain table; nothing in it is read as markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    if not shown.row_count:
        err().print("Nothing found.", style=SILENT)
        return
    out().print(shown)


def status(value: str) -> Any:
    """A status in its colour."""
    from rich.text import Text

    return Text(value, style=TONES.get(value, SILENT))


def clock(value: str | None) -> str:
    """An RFC 3339 time in this machine's zone, to the second."""
    if not value:
        return ""
    return datetime.fromisoformat(value).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clock_ms(value: str) -> str:
    """The time of day of an RFC 3339 time in this machine's zone, to the millisecond."""
    return datetime.fromisoformat(value).astimezone().isoformat(timespec="milliseconds")[11:23]


def explained(told: Mapping[str, Any]) -> None:
    """An explanation: one line a channel, then every rule that spoke."""
    from rich.text import Text

    console = out()
    console.print(Text(f"{told['user_id'] or '(deleted)'} · {told['workflow']}", style="bold"))
    console.print(Text(str(told["text"])))
    for channel in told["channels"]:
        console.print(Text("  "), status(channel["status"]), Text(f" {channel['text']}"), sep="")
        for said in channel["verdicts"]:
            inputs = ", ".join(f"{name}={value}" for name, value in said["inputs"].items())
            line = (
                f"      {said['rule']}: {said['result']} ({said['reason']}{'; ' + inputs if inputs else ''})"
            )
            console.print(Text(line, style=SILENT))


def rounds(label: str, more: Callable[[], tuple[int, bool]], *, quiet: bool) -> int:
    """Call `more` until it says that nothing is left, and count what it did."""
    done, left = 0, True
    with progress(quiet=quiet) as bar:
        task = bar.add_task(label, total=None)
        while left:
            count, left = more()
            done += count
            bar.update(task, completed=done)
    return done


def field(name: str, value: str) -> None:
    """A name and its value; a value of several lines stands below, set in."""
    from rich.text import Text

    lines = value.rstrip("\n").split("\n")
    text = lines[0] if len(lines) == 1 else "".join(f"\n    {line}".rstrip(" ") for line in lines)
    out().print(Text(f"  {name}: " if len(lines) == 1 else f"  {name}:", style=SILENT), Text(text), sep="")


def progress(*, quiet: bool) -> Any:
    """A progress bar on standard error; silent for scripts and outside terminals."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = err()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
