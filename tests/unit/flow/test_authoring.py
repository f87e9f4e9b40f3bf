"""Authors at work in several processes on one store: nothing anybody published is lost unseen."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import PreconditionFailed
from clarion.flow.ledger import Ledger
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.setup import Partial, Template, Tenant
from clarion.services.templates import TemplateService
from tests.ledger_files import new_ledger
from tests.limited import InThread

ACME = TenantId(1)


def words(text: str, key: str = "note") -> Template:
    """A template that says this."""
    return Template(key=key, channels={Channel.SMS: {"en": {"text": text}}})


class Author:
    """Somebody at work in a process of their own: another ledger on the same file."""

    def __init__(self, path: Path) -> None:
        clock, random = SystemClock(), SystemRandom()
        vault = LocalVault(b"k" * 32, random)
        self.ledger = Ledger(SqliteLedger.open(path, vault=vault, clock=clock, random=random))
        self.authoring = TemplateService(self.ledger.setup, InThread(), clock)

    async def look(self) -> Author:
        """See what is there."""
        await self.ledger.setup.catch_up()
        return self

    def live(self, key: str = "note") -> tuple[int, str]:
        """Version and words of what is live, as this process knows it."""
        template = self.ledger.setup.templates.all(ACME)[key]
        return template.version, template.channels[Channel.SMS]["en"]["text"]


@pytest.fixture
async def authors(tmp_path: Path) -> AsyncIterator[tuple[Author, Author]]:
    """Two of them; version 1 of the note is live, and both have seen it."""
    path = new_ledger(tmp_path / "clarion.db")
    first = Author(path)
    await first.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="acme"))
    await first.authoring.publish(ACME, words("one"))
    second = await Author(path).look()
    yield first, second
    for author in (first, second):
        await author.ledger.close()


async def test_who_has_not_seen_the_live_version_does_not_replace_it(authors):
    """The second one is told, sees what is live, and then decides."""
    first, second = authors
    await first.authoring.publish(ACME, words("two"), replaces=1)
    with pytest.raises(PreconditionFailed, match="version 2 is live by now"):
        await second.authoring.publish(ACME, words("also two"), replaces=1)
    assert second.live() == (2, "two")
    await second.authoring.publish(ACME, words("three"), replaces=2)
    assert second.live() == (3, "three")


async def test_a_draft_does_not_replace_a_version_it_was_not_begun_from(authors):
    """Unless its author has seen that one; the draft is kept meanwhile."""
    first, second = authors
    await second.authoring.save(ACME, words("my draft"), 0)
    await first.authoring.publish(ACME, words("two"))
    with pytest.raises(PreconditionFailed, match="made from version 1"):
        await second.authoring.publish_draft(ACME, "note")
    assert second.authoring.draft(ACME, "note").template.channels == words("my draft").channels
    published = await second.authoring.publish_draft(ACME, "note", replaces=2)
    assert published.template is not None
    assert second.live() == (3, "my draft")


async def test_of_two_drafts_one_is_refused(authors):
    """Both began from none; neither saving, publishing nor throwing away touches what was not seen."""
    first, second = authors
    theirs = await first.authoring.save(ACME, words("theirs"), 0)
    with pytest.raises(PreconditionFailed, match="read it again"):
        await second.authoring.save(ACME, words("mine"), 0)
    newer = await second.authoring.save(ACME, words("both"), theirs.revision)
    for change in (
        first.authoring.save(ACME, words("mine"), theirs.revision),
        first.authoring.discard(ACME, "note", theirs.revision),
        first.authoring.publish_draft(ACME, "note", theirs.revision),
    ):
        with pytest.raises(PreconditionFailed, match="read it again"):
            await change
    assert first.authoring.draft(ACME, "note") == newer


async def test_a_partial_that_changed_meanwhile_goes_out_in_its_newest_words(authors):
    """What goes live carries the partial that is live, not the one this process had read; and a partial finds its users."""
    first, second = authors
    await second.authoring.put_partial(ACME, Partial(key="foot", source="Yours"))
    await second.authoring.publish(ACME, words('A {% include "foot" %}', "a"))
    await first.authoring.put_partial(ACME, Partial(key="foot", source="Yours, Acme"))
    published = await second.authoring.publish(ACME, words('B {% include "foot" %}', "b"))
    assert published.template is not None
    assert published.template.partials == {"foot": "Yours, Acme"}
    again = await first.authoring.put_partial(ACME, Partial(key="foot", source="Love"), replaces=2)
    assert [template.key for template in again.templates] == ["a", "b"]
    with pytest.raises(PreconditionFailed, match="version 3 is live"):
        await second.authoring.put_partial(ACME, Partial(key="foot", source="Bye"), replaces=2)


async def test_a_changed_partial_is_no_other_version_of_the_words(authors):
    """Who began from the version before it may publish: only the partial moved the number."""
    first, _ = authors
    await first.authoring.put_partial(ACME, Partial(key="foot", source="Yours"))
    await first.authoring.publish(ACME, words('A {% include "foot" %}', "a"))
    await first.authoring.save(ACME, words('AA {% include "foot" %}', "a"), 0)
    await first.authoring.put_partial(ACME, Partial(key="foot", source="Love"))
    assert first.live("a")[0] == 2
    published = await first.authoring.publish_draft(ACME, "a")
    assert published.template is not None
    assert published.template.partials == {"foot": "Love"}


RACER = """
import asyncio, json, sys
from pathlib import Path
from clarion.errors import PreconditionFailed
from tests.limited import InThread
from tests.unit.flow.test_authoring import ACME, Author, words

async def race(path, name, rounds):
    author, won = await Author(Path(path)).look(), 0
    print("ready", flush=True)
    for _ in range(int(rounds)):
        seen = int(sys.stdin.readline())
        try:
            await author.authoring.publish(ACME, words(f"{name} after {seen}"), replaces=seen)
            print(json.dumps(True), flush=True)
        except PreconditionFailed:
            print(json.dumps(False), flush=True)
    await author.ledger.close()

asyncio.run(race(*sys.argv[1:]))
"""


async def test_two_processes_that_publish_at_once_never_both_win(authors, tmp_path):
    """Round after round each replaces the version both have seen: one does, the other is refused."""
    rounds = 12
    racers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", RACER, str(tmp_path / "clarion.db"), name, str(rounds),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for name in ("ada", "bob")
    ]  # fmt: skip
    async with asyncio.timeout(60):
        for racer in racers:
            assert racer.stdout is not None
            assert await racer.stdout.readline() == b"ready\n"
        for seen in range(1, rounds + 1):
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write(b"%d\n" % seen)
            won = [json.loads(await racer.stdout.readline()) for racer in racers if racer.stdout]
            assert sorted(won) == [False, True], f"round {seen}: {won}"
        assert [await racer.wait() for racer in racers] == [0, 0]
    first, _ = authors
    with pytest.raises(PreconditionFailed):
        await first.authoring.publish(ACME, words("late"), replaces=1)
    assert first.live()[0] == rounds + 1
