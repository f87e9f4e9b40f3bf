"""Normalises the spelling of an email address: domain in A-labels, all lower case."""

from __future__ import annotations

import re
from functools import lru_cache
from unicodedata import normalize

_LONGEST_DOMAIN = 255
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).fullmatch
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PLAIN = re.compile(r"[!#-\[\]-~]+@[0-9A-Za-z.-]*[0-9A-Za-z]").fullmatch


def normal_mail_address(address: str) -> str:
    """The same for every spelling that reaches the same mailbox; for what is no address, something stable."""
    address = address.strip()
    if _PLAIN(address) is not None:
        return address.lower()
    local, at, domain = address.rpartition("@")
    if (quoted := _QUOTED(local)) is not None:
        local = _ESCAPED.sub(r"\1", quoted.group(1))
    return normalize("NFC", normalize("NFC", local).lower()) + at + normal_domain(domain)


@lru_cache(maxsize=4096)
def normal_domain(domain: str) -> str:
    """A domain in A-labels (IDNA 2008 with the mapping of UTS 46), lower case, without the dot at the end."""
    if not domain.isascii() and len(domain) <= _LONGEST_DOMAIN:
        import idna

        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError:
            domain = normalize("NFKC", domain)
    return domain.lower().rstrip(".")
