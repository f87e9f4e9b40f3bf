"""Mailboxes are read for ever, and no mail stops the reading."""

import pytest

from clarion.adapters.mailboxes.maildir import Maildir
from clarion.errors import Unavailable
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.quarantine import QuarantineFilter
from clarion.model.setup import Tenant
from clarion.model.status import Status
from clarion.ports.mailbox import Fetched
from clarion.services.mail_reader import MailReader
from clarion.services.message_references import MessageReferences
from tests.engine import engine, workflow
from tests.unit.content.returns.samples import TAG, mail, report

GONE = report("550 5.1.1 <ada@example.org>: User unknown", "5.1.1")


class Box:
    """A mailbox in memory."""

    def __init__(self, *mails):
        self.mails = dict(enumerate(mails))
        self.marked = []
        self.down = 0
        self.closed = False

    async def fetch(self, limit):
        if self.down:
            self.down -= 1
            raise Unavailable("the mail server is away")
        return [Fetched(str(n), raw) for n, raw in self.mails.items() if str(n) not in self.marked][:limit]

    async def done(self, key):
        self.marked.append(key)

    async def close(self):
        self.closed = True


def reader(clarion, box, **more):
    """A reader of this box."""
    return MailReader(clarion.services.inbound_mail, box, clarion.ledger.setup.tenants, clarion.clock, **more)


async def test_a_bounce_in_the_mailbox_moves_its_message(store):
    """Whichever tenant it belongs to; what is unclear is shown to the home tenant."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("mail", channel=Channel.EMAIL))
        other = await clarion.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="other"))
        await clarion.put_user("ada")
        await clarion.trigger("mail", "ada")
        await clarion.until_idle()
        tag = MessageReferences(clarion.vault).of(await clarion.one())
        box = Box(GONE.replace(TAG.encode(), tag.encode()), mail("What is this?"))
        one = reader(clarion, box, home="other")
        assert await one.check() == 2
        assert box.marked == ["0", "1"]
        assert (await clarion.one()).status is Status.BOUNCED
        (kept,) = await clarion.ledger.quarantine.page(other.id, QuarantineFilter(), None, 10)
        assert kept.why == "not_understood"
        assert await one.check() == 0


async def test_a_mailbox_that_is_away_is_tried_again(store):
    """Without a word to anybody's messages."""
    async with engine(store) as clarion:
        await clarion.create_setup()
        box = Box(mail("hello"))
        box.down = 2
        one = reader(clarion, box)
        assert [await one.check() for _ in range(4)] == [0, 0, 1, 0]


async def test_one_mail_does_not_hold_up_the_others(store, monkeypatch):
    """What cannot be taken at all is set aside for a person, and said in the log."""
    async with engine(store) as clarion:
        await clarion.create_setup()
        inbound = clarion.services.inbound_mail
        take = inbound.take

        async def fragile(raw, home, **more):
            if raw == b"poison":
                raise RuntimeError("a fault of ours")
            return await take(raw, home, **more)

        monkeypatch.setattr(inbound, "take", fragile)
        box = Box(b"poison", mail("hello"))
        assert await reader(clarion, box).check() == 2
        assert len(await clarion.ledger.quarantine.page(clarion.tenant, QuarantineFilter(), None, 10)) == 2


@pytest.mark.parametrize("home", ["", "nobody"])
async def test_without_a_tenant_nothing_is_read(store, home):
    """Mail waits where it is until there is somebody to show it to."""
    async with engine(store) as clarion:
        if home:
            await clarion.create_setup()
        box = Box(mail("hello"))
        assert await reader(clarion, box, home=home).check() == 0
        assert box.marked == []


async def test_what_could_not_be_stored_is_fetched_again(tmp_path, store, monkeypatch):
    """The store was full for a moment: the mails of that look come again, and need no restart."""
    async with engine(store) as clarion:
        await clarion.create_setup()
        box = tmp_path / "mail"
        for folder in ("new", "cur", "tmp"):
            (box / folder).mkdir(parents=True)
        for number in range(3):
            (box / "new" / f"{number}.m").write_bytes(mail("hello"))
        inbound = clarion.services.inbound_mail
        taken: list[bytes] = []

        async def take(raw, home, *, any_tenant):
            if not taken:
                taken.append(raw)
                raise Unavailable("the disk is full")
            taken.append(raw)

        monkeypatch.setattr(inbound, "take", take)
        one = reader(clarion, Maildir(box))
        assert [await one.check() for _ in range(3)] == [0, 3, 0]
        assert len(taken) == 4
        assert one.trouble == ""
