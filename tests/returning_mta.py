"""A Postfix of the test's own that takes everything, bounces what nobody has, and files bounces in a Maildir."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.needs import missing, require_any

USERS = "users.test"
"""Mail to anybody there is taken, and bounces: nobody lives there."""
BOUNCES = "bounces.test"
"""Mail to anybody there lands in the Maildir."""
TOOLS = ("postfix", "/usr/sbin/postfix")

_MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file = {home}/log/mail.log
maillog_file_prefixes = {home}/log
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.users.test
mydestination = {users}
mynetworks = 127.0.0.0/8
local_recipient_maps =
alias_maps =
virtual_mailbox_domains = {bounces}
virtual_mailbox_base = {home}/mail
virtual_mailbox_maps = regexp:{home}/boxes
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 1
notify_classes =
smtputf8_enable = yes
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@contextlib.contextmanager
def returning_mta() -> Iterator[tuple[int, Path]]:
    """(port, Maildir) while it runs. Skips, or fails in CI, where there is no Postfix or we are not root."""
    postfix = require_any(TOOLS, "it bounces our mail (`make test` installs it where it may: apt, as root)")
    if os.geteuid() != 0:
        missing("Postfix starts as root only")
    home = Path(tempfile.mkdtemp(prefix="mta-", dir="/tmp"))
    home.chmod(0o755)  # its daemons have accounts of their own
    try:
        port = _configured(home)
        subprocess.run(
            [postfix, "-c", str(home / "etc"), "start"], check=True, capture_output=True, timeout=30
        )
        try:
            yield port, home / "mail" / "box"
        finally:
            subprocess.run(
                [postfix, "-c", str(home / "etc"), "abort"], check=False, capture_output=True, timeout=30
            )
            print((home / "log" / "mail.log").read_text()[-4000:])
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _configured(home: Path) -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    for name in ("etc", "queue", "data", "log", "mail"):
        (home / name).mkdir()
    shutil.chown(home / "data", "postfix")
    shutil.chown(home / "mail", 65534, 65534)
    for folder in ("box", "box/new", "box/cur", "box/tmp"):
        (home / "mail" / folder).mkdir()
        shutil.chown(home / "mail" / folder, 65534, 65534)
    (home / "boxes").write_text("/^/ box/\n")
    (home / "etc" / "main.cf").write_text(_MAIN.format(home=home, users=USERS, bounces=BOUNCES))
    (home / "etc" / "master.cf").write_text(_MASTER.format(port=port))
    return port
