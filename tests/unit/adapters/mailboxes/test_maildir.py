"""A Maildir is read without losing a mail or taking one twice."""

import asyncio
import os

import pytest

from clarion.adapters.mailboxes.maildir import MOST_BYTES, Maildir
from clarion.errors import Unavailable


@pytest.fixture
def box(tmp_path):
    """An empty Maildir."""
    for name in ("new", "cur", "tmp"):
        (tmp_path / name).mkdir()
    return tmp_path


def arrive(box, name, raw=b"mail"):
    """A mail as a delivery agent leaves it."""
    (box / "tmp" / name).write_bytes(raw)
    (box / "tmp" / name).rename(box / "new" / name)


async def test_mail_is_claimed_oldest_first_and_marked_when_done(box):
    """It moves from `new` to `cur`, and is seen once somebody has taken care of it."""
    for name in ("2.b", "1.a", "3.c"):
        arrive(box, name, name.encode())
    mailbox = Maildir(box)
    first = await mailbox.fetch(2)
    assert [(m.key, m.raw) for m in first] == [("1.a:2,", b"1.a"), ("2.b:2,", b"2.b")]
    assert os.listdir(box / "new") == ["3.c"]
    for mail in first:
        await mailbox.done(mail.key)
    assert [m.key for m in await mailbox.fetch(2)] == ["3.c:2,"]
    assert sorted(os.listdir(box / "cur")) == ["1.a:2,S", "2.b:2,S", "3.c:2,"]
    assert await mailbox.fetch(2) == []


async def test_what_was_not_finished_is_fetched_after_a_restart(box):
    """And what was finished is not; flags of others are kept."""
    arrive(box, "1.a")
    (box / "cur" / "0.z:2,F").write_bytes(b"flagged")
    (box / "cur" / "0.y:2,RS").write_bytes(b"read")
    crashed = Maildir(box)
    assert [m.key for m in await crashed.fetch(10)] == ["0.z:2,F", "1.a:2,"]
    again = Maildir(box)
    assert [m.key for m in await again.fetch(10)] == ["0.z:2,F", "1.a:2,"]
    await again.done("0.z:2,F")
    assert sorted(os.listdir(box / "cur")) == ["0.y:2,RS", "0.z:2,FS", "1.a:2,"]


async def test_two_readers_share_nothing(box):
    """The move decides who gets it."""
    one, other = Maildir(box), Maildir(box)
    await asyncio.gather(one.fetch(1), other.fetch(1))
    for number in range(200):
        arrive(box, f"{number:03}.m")
    keys: list[str] = []
    while os.listdir(box / "new"):  # who is overtaken comes back with fewer
        batches = await asyncio.gather(*(reader.fetch(20) for _ in range(4) for reader in (one, other)))
        keys += [m.key for batch in batches for m in batch]
    assert len(keys) == len(set(keys)) == 200


async def test_strange_things_in_the_folder_are_passed_over(box):
    """Links, pipes, directories and hidden files are no mail; what vanishes meanwhile is no trouble."""
    os.symlink("/etc/passwd", box / "new" / "link")
    os.mkfifo(box / "new" / "pipe")
    (box / "new" / "folder").mkdir()
    (box / "new" / ".hidden").write_bytes(b"x")
    arrive(box, "z.big", b"x" * (MOST_BYTES + 10))
    mailbox = Maildir(box)
    (mail,) = await mailbox.fetch(10)
    assert (mail.key, len(mail.raw)) == ("z.big:2,", MOST_BYTES)
    os.unlink(box / "cur" / "z.big:2,")
    await mailbox.done(mail.key)


async def test_a_missing_folder_says_what_to_do(tmp_path):
    """Instead of ending the loop with a stack trace."""
    with pytest.raises(Unavailable, match=r"inbound\.maildir"):
        await Maildir(tmp_path / "nowhere").fetch(1)
