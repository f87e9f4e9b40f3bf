"""A Dovecot of the test's own: a real IMAP server on free ports, on plain sockets or with a certificate."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import trustme

from tests.needs import missing, require_any

NOBODY = 65534
_CONF = """
base_dir = {home}/run
state_dir = {home}/run
log_path = {home}/dovecot.log
protocols = imap
listen = 127.0.0.1
{ssl}
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
    port = {tls_port}
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
auth_failure_delay = 0
{passdb}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={home}/mail
}}
"""
_PASSWORD = """
passdb {
  driver = static
  args = password=secret
}
"""
_TOKEN = """
auth_mechanisms = xoauth2
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {home}/oauth2.conf
}}
"""


class Dovecot(NamedTuple):
    """Where it is, and where its mail lies."""

    port: int
    tls_port: int
    mail: Path

    def put(self, name: str, raw: bytes) -> None:
        """A new mail in the folder."""
        path = self.mail / "new" / name
        path.write_bytes(raw)
        shutil.chown(path, NOBODY, NOBODY)

    def folder(self, name: str) -> Dovecot:
        """The same server with another folder, which is new and empty."""
        other = self._replace(mail=self.mail / f".{name}")
        _make_maildir(other.mail)
        return other


def _make_maildir(mail: Path) -> None:
    for folder in (mail, mail / "new", mail / "cur", mail / "tmp"):
        folder.mkdir()
        shutil.chown(folder, NOBODY, NOBODY)


@contextlib.contextmanager
def dovecot(certificate: trustme.LeafCert | None = None, token_url: str = "") -> Iterator[Dovecot]:
    """With a certificate: STARTTLS on one port and TLS on the other. Who logs in says the password `secret`, or an
    access token that `token_url` (which it is appended to) knows the mail address of."""
    program = require_any(
        ("dovecot", "/usr/sbin/dovecot"),
        "mail is read from it (`make test` installs it where it may: apt, as root)",
    )
    if os.geteuid() != 0:
        missing("Dovecot starts as root only")
    home = Path(tempfile.mkdtemp(prefix="imap-", dir="/tmp"))
    home.chmod(0o755)
    port, tls_port = _free_ports()
    _make_maildir(home / "mail")
    conf = _CONF.format(
        home=home,
        port=port,
        tls_port=tls_port if certificate else 0,
        ssl=_ssl(home, certificate),
        passdb=_TOKEN.format(home=home) if token_url else _PASSWORD,
    )
    (home / "dovecot.conf").write_text(conf)
    (home / "oauth2.conf").write_text(f"tokeninfo_url = {token_url}\nusername_attribute = email\n")
    server = subprocess.Popen([program, "-F", "-c", str(home / "dovecot.conf")])
    try:
        _wait_for(port)
        yield Dovecot(port, tls_port, home / "mail")
    finally:
        server.terminate()
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(5)
        log = home / "dovecot.log"
        print(log.read_text()[-4000:] if log.exists() else "no log")
        shutil.rmtree(home, ignore_errors=True)


def _wait_for(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError("Dovecot does not start")


def _ssl(home: Path, certificate: trustme.LeafCert | None) -> str:
    if certificate is None:
        return "ssl = no"
    certificate.cert_chain_pems[0].write_to_path(home / "cert.pem")
    certificate.private_key_pem.write_to_path(home / "key.pem")
    return f"ssl = yes\nssl_cert = <{home}/cert.pem\nssl_key = <{home}/key.pem"


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
