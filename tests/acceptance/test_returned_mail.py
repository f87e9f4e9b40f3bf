"""Mail that a real mail server bounces, and real mailboxes it is read from."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from clarion.adapters.ledgers.migrate import migrate
from clarion.adapters.mailboxes.imap import ImapFolder, ImapServer
from clarion.adapters.system import SystemEntropy
from clarion.adapters.vaults.local import LocalVault
from clarion.app import App
from clarion.config import Inbound, Settings
from clarion.errors import Unavailable
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.setup import Category, Integration, SendAll, SendStep, Template, Tenant, Workflow
from clarion.model.status import Reason, Status
from clarion.model.submission import Submission
from clarion.model.user import Contact, Profile
from clarion.ports.ledger import MessageFilter, UserPut
from tests.needs import missing, require_any
from tests.returning_mta import BOUNCES, USERS, returning_mta

pytestmark = pytest.mark.acceptance
TENANT = TenantId(1)


def settings(directory: Path, maildir: Path) -> Settings:
    """An installation on a new directory that reads the Maildir."""
    made = Settings(
        data_dir=directory,
        public_url="https://notify.example",
        inbound=Inbound(maildir=maildir, poll_s=0.1),
    )
    LocalVault.from_file(made.key_path, SystemEntropy())
    migrate(made.database_path)
    return made


async def furnish(app: App, port: int) -> None:
    """One person whom nobody has, and a workflow that mails them through the server at `port`."""
    setup = app.ledger.setup
    await setup.tenants.put(Tenant(id=TenantId(0), key="acme"))
    await setup.categories.put(TENANT, Category(key="news"))
    fields = {"subject": "Hello {{ user.id }}", "text": "Hello"}
    await setup.templates.put(TENANT, Template(key="note", channels={Channel.EMAIL: {"en": fields}}))
    step = SendStep(key="send", template="note", to=SendAll(channels=(Channel.EMAIL,)))
    await setup.workflows.put(TENANT, Workflow(key="hello", category="news", steps=(step,)))
    config = {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "from_address": "news@example.com",
        "return_domain": BOUNCES,
    }
    await setup.integrations.put(
        TENANT, Integration(key="post", channel=Channel.EMAIL, provider="smtp", config=config)
    )
    contact = Contact(channel=Channel.EMAIL, address=f"ghost@{USERS}")
    await app.ledger.users.put(TENANT, [UserPut(id="ghost", profile=Profile(contacts=(contact,)))])


async def settled(app: App, wanted: Status) -> Reason | None:
    """The reason of the newest message, once it is where it should be."""
    newest = None
    for _ in range(300):
        found, _ = await app.ledger.records.page(TENANT, MessageFilter(), None, 1)
        newest = found[0] if found else None
        if newest is not None and newest.status is wanted:
            return newest.reason
        await asyncio.sleep(0.1)
    raise AssertionError(newest)


async def test_postfix_bounces_and_the_address_is_retired(tmp_path):
    """Sent, taken, bounced by a real server to the signed return path, read from the Maildir, and never used again."""
    with returning_mta() as (port, maildir):
        async with App.open(settings(tmp_path, maildir)) as app:
            await furnish(app, port)
            hello = Submission(workflow="hello", recipients=("ghost",))
            await app.pipeline.submit(TENANT, [hello])
            assert await settled(app, Status.BOUNCED) is Reason.ADDRESS_GONE
            await app.pipeline.submit(TENANT, [hello])
            assert await settled(app, Status.SUPPRESSED) is Reason.SUPPRESSED_ADDRESS
            (row,) = await app.ledger.suppressions.page(TENANT, b"", 10)
            assert row.reason == "address_gone"
            assert await app.ledger.strays.page(TENANT, None, 10) == []
        (name,) = os.listdir(maildir / "cur")
        assert name.endswith(":2,S")


DOVECOT = """
base_dir = {home}/run
state_dir = {home}/run
log_path = {home}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
default_login_user = nobody
default_internal_user = nobody
default_internal_group = nogroup
mail_location = maildir:{home}/mail
mail_uid = 65534
mail_gid = 65534
first_valid_uid = 1
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={home}/mail
}}
"""


@contextlib.contextmanager
def imap_server():
    """(port, Maildir) of a Dovecot of the test's own."""
    dovecot = require_any(
        ("dovecot", "/usr/sbin/dovecot"),
        "mail is read from it (`make test` installs it where it may: apt, as root)",
    )
    if os.geteuid() != 0:
        missing("Dovecot starts as root only")
    home = Path(tempfile.mkdtemp(prefix="imap-", dir="/tmp"))
    home.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for folder in ("mail", "mail/new", "mail/cur", "mail/tmp"):
        (home / folder).mkdir()
        shutil.chown(home / folder, 65534, 65534)
    (home / "dovecot.conf").write_text(DOVECOT.format(home=home, port=port))
    server = subprocess.Popen([dovecot, "-F", "-c", str(home / "dovecot.conf")])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
        yield port, home / "mail"
    finally:
        server.terminate()
        server.wait(10)
        log = home / "dovecot.log"
        print(log.read_text()[-4000:] if log.exists() else "no log")
        shutil.rmtree(home, ignore_errors=True)


def folder(port: int, password: str = "secret") -> ImapFolder:
    """The folder as the settings would open it."""
    server = ImapServer(host="127.0.0.1", port=port, user="clarion", password=password, security="none")
    return ImapFolder(server)


async def test_an_imap_folder_is_read_and_marked():
    """Only what is unseen, oldest first, whole; what is done stays where it is and is not fetched again."""
    with imap_server() as (port, mail):
        for number in range(3):
            path = mail / "new" / f"{number}.m"
            path.write_bytes(b"Subject: %d\r\n\r\nbody \xff\r\n" % number)
            shutil.chown(path, 65534, 65534)
        mailbox = folder(port)
        first = await mailbox.fetch(2)
        assert [m.raw for m in first] == [b"Subject: %d\r\n\r\nbody \xff\r\n" % n for n in range(2)]
        await mailbox.done(first[0].key)
        await mailbox.close()
        again = await mailbox.fetch(10)
        assert [m.raw[:10] for m in again] == [b"Subject: 1", b"Subject: 2"]
        for one in again:
            await mailbox.done(one.key)
        assert await mailbox.fetch(10) == []
        assert len(os.listdir(mail / "cur")) == 3


async def test_an_imap_server_that_refuses_says_what_to_do():
    """A wrong password, and a server that is not there; the password is in no text."""
    with imap_server() as (port, _):
        with pytest.raises(Unavailable, match=r"inbound\.imap_host") as refused:
            await folder(port, "wrong-word").fetch(1)
        assert "wrong-word" not in str(refused.value)
    with pytest.raises(Unavailable):
        await folder(port).fetch(1)
