"""Validates email addresses for envelopes and header fields."""

from __future__ import annotations

import re
from functools import lru_cache

import idna

from clarion.errors import ContentError

LONGEST_LOCAL = 64
LONGEST_ADDRESS = 254
"""Octets, RFC 5321 section 4.5.3.1 with the erratum on the path's length."""

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_USUAL = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*@{_LABEL}(?:\.{_LABEL})*").fullmatch
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*").fullmatch
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*"').fullmatch
_DOT_ATOM = re.compile(rf"(?:{_ATEXT}|[^\x00-\x7f])+(?:\.(?:{_ATEXT}|[^\x00-\x7f])+)*").fullmatch
_ATOMS_AND_DOTS = re.compile(rf"(?:{_ATEXT}|[^\x00-\x7f]|\.)+").fullmatch


def wire_address(address: str) -> str:
    """The address as it is written on the wire: domain in A-labels, a local part with odd dots quoted.

    It is ASCII unless its local part is not (RFC 6531). Raises ContentError, without quoting it, when it is none.
    """
    if _USUAL(address) is not None and len(address) <= LONGEST_LOCAL and "@" in address:
        return address
    return _unusual(address)


def _unusual(address: str) -> str:
    local, at, domain = address.rpartition("@")
    if not at or not local.isprintable():
        raise _no_address()
    if _DOT_ATOM(local) is None and _QUOTED(local) is None:
        if _ATOMS_AND_DOTS(local) is None:
            raise _no_address()
        local = f'"{local}"'  # `a..b@` and `a.@` exist at Japanese carriers
    if len(local.encode()) > LONGEST_LOCAL:
        raise _no_address()
    found = f"{local}@{wire_domain(domain)}"
    if len(found.encode()) > LONGEST_ADDRESS:
        raise _no_address()
    return found


@lru_cache(maxsize=1024)
def wire_domain(domain: str) -> str:
    """A domain in A-labels (IDNA 2008); ContentError when it is none."""
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError:
            raise _no_address() from None
    if _DOMAIN(domain) is None or len(domain) > LONGEST_ADDRESS:
        raise _no_address()
    return domain


def domain_of(address: str) -> str:
    """The part behind the last `@`."""
    return address.rpartition("@")[2]


def _no_address() -> ContentError:
    return ContentError("the address is not an email address: correct the contact")
