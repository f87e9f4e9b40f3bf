"""Certificates of servers on this machine, signed by an authority that only the test trusts."""

from __future__ import annotations

from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


def issue(home: Path) -> None:
    """Write `cert.pem` and `key.pem` for a server in this folder, and `ca.pem` for its clients."""
    authority = trustme.CA()
    ours = authority.issue_cert("127.0.0.1")
    key = load_pem_private_key(ours.private_key_pem.bytes(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # Java reads no other.
    authority.cert_pem.write_to_path(home / "ca.pem")
    ours.cert_chain_pems[0].write_to_path(home / "cert.pem")
    (home / "key.pem").write_bytes(pem)


def stranger(folder: Path) -> Path:
    """The certificate of an authority that has signed nothing."""
    path = folder / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(path)
    return path
