"""What a domain publishes for the mail it sends: SPF, DKIM, DMARC, MX, BIMI, MTA-STS, TLS-RPT, and what must be mended."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from clarion.errors import Unavailable

Lookup = Callable[[str, str], Sequence[str]]
"""`lookup(name, type)`: the records as text, TXT in one piece; none when there are none. Raises Unavailable."""
Level = Literal["right", "advice", "wrong"]

MOST_LOOKUPS = 10
"""RFC 7208, 4.6.4: with more, SPF is an error for every receiver."""
MOST_PARENTS = 8
"""RFC 9989: how far up the tree a policy is looked for."""
SMALLEST_RSA = 1024
USUAL_RSA = 2048
LOOKUP_S = 5.0
_COSTLY = ("include:", "exists:", "redirect=")
_REMOVED = ("pct", "rf", "ri")
"""Tags of DMARC that RFC 9989 has removed."""


class DnsFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of record says about the domain."""

    record: str
    level: Level
    says: str


def system_lookup() -> Lookup:
    """Asks the name servers of this machine."""
    from dns.exception import DNSException
    from dns.resolver import NXDOMAIN, NoAnswer, Resolver

    resolver = Resolver()

    def lookup(name: str, kind: str) -> Sequence[str]:
        try:
            answer = resolver.resolve(name, kind, lifetime=LOOKUP_S)
        except (NXDOMAIN, NoAnswer):
            return ()
        except DNSException as broken:
            raise Unavailable(
                f"{kind} of {name} cannot be looked up ({type(broken).__name__}): try again, or ask its name server"
            ) from None
        if kind == "TXT":
            return [b"".join(one.strings).decode("utf-8", "replace") for one in answer]
        return [one.to_text() for one in answer]

    return lookup


def check_domain(domain: str, selectors: Sequence[str], lookup: Lookup) -> list[DnsFinding]:
    """Everything about the domain of a sender's address, most important first. Raises Unavailable."""
    return [
        *_spf(domain, lookup),
        *_dkim(domain, selectors, lookup),
        *_dmarc(domain, lookup),
        *_mx(domain, lookup),
        *_mta_sts(domain, lookup),
        *_tls_rpt(domain, lookup),
        *_bimi(domain, lookup),
    ]


def _spf(domain: str, lookup: Lookup) -> Iterator[DnsFinding]:
    records = _texts(domain, "v=spf1", lookup)
    if not records:
        yield _wrong(
            "SPF",
            f"{domain} has no SPF record: publish one that includes whoever sends, such as `v=spf1 include:... -all`",
        )
        return
    if len(records) > 1:
        yield _wrong(
            "SPF",
            f"{domain} has {len(records)} SPF records, which receivers take for none: join them into one",
        )
        return
    terms = records[0].lower().split()[1:]
    lookups = _spf_lookups(records[0], lookup, {domain})
    if any(term in {"all", "+all"} for term in terms):
        yield _wrong("SPF", "`+all` lets everybody send in your name: end the record with `-all` or `~all`")
    elif lookups > MOST_LOOKUPS:
        yield _wrong(
            "SPF",
            f"it needs {lookups} or more DNS lookups and may need {MOST_LOOKUPS}: remove senders you no longer use",
        )
    elif not any(term.endswith("all") or term.startswith("redirect=") for term in terms):
        yield _advice("SPF", "it says nothing about other senders: end it with `-all` or `~all`")
    else:
        yield _right("SPF", f"one record, {lookups} of {MOST_LOOKUPS} lookups")


def _spf_lookups(record: str, lookup: Lookup, seen: set[str]) -> int:
    """How many DNS lookups a record takes with what it includes; it ends soon after there are too many."""
    count = 0
    for term in (one.lstrip("+-~?") for one in record.lower().split()[1:]):
        name = term.partition("/")[0].partition(":")[0]
        if not term.startswith(_COSTLY) and name not in {"a", "mx", "ptr"}:
            continue
        count += 1
        target = term.partition(":")[2] or term.partition("=")[2]
        if not term.startswith(("include:", "redirect=")) or "%" in target or target in seen:
            continue
        seen.add(target)
        if len(seen) > MOST_LOOKUPS * 2:
            return count
        for included in _texts(target, "v=spf1", lookup)[:1]:
            count += _spf_lookups(included, lookup, seen)
    return count


def _dkim(domain: str, selectors: Sequence[str], lookup: Lookup) -> Iterator[DnsFinding]:
    if not selectors:
        yield _advice(
            "DKIM", "not checked: give `--selector` as your emails name it (`s=` in the field DKIM-Signature)"
        )
    for selector in selectors:
        name = f"{selector}._domainkey.{domain}"
        records = lookup(name, "TXT")
        if not records:
            yield _wrong(
                "DKIM", f"there is no key at {name}: publish the record that your relay or service shows"
            )
            continue
        yield _dkim_key(selector, _tags(records[0]))


def _dkim_key(selector: str, tags: dict[str, str]) -> DnsFinding:
    data = "".join(tags.get("p", "").split())
    if not data:
        return _wrong("DKIM", f"the key of {selector} is revoked (`p=` is empty): publish a new one")
    if tags.get("k", "rsa") == "ed25519":
        return _right("DKIM", f"{selector}: Ed25519; have an RSA key, too, as some receivers know no other")
    try:
        key = load_der_public_key(b64decode(data, validate=True))
    except ValueError:
        return _wrong(
            "DKIM", f"the key of {selector} cannot be read: publish it again, without quotes inside"
        )
    if not isinstance(key, RSAPublicKey) or key.key_size < SMALLEST_RSA:
        return _wrong(
            "DKIM", f"the key of {selector} is too small, and receivers ignore it: make one with 2048 bits"
        )
    if "y" in tags.get("t", "").split(":"):
        return _advice("DKIM", f"{selector} is in test mode (`t=y`): remove that, or receivers may ignore it")
    if key.key_size < USUAL_RSA:
        return _advice("DKIM", f"{selector}: RSA with {key.key_size} bits; use 2048")
    return _right("DKIM", f"{selector}: RSA with {key.key_size} bits")


def _dmarc(domain: str, lookup: Lookup) -> Iterator[DnsFinding]:
    where, records = _dmarc_records(domain, lookup)
    if not records:
        yield _wrong(
            "DMARC",
            f"neither {domain} nor its parents have a policy, which Gmail, Yahoo and Outlook want of bulk senders: "
            f"publish `v=DMARC1; p=none; rua=mailto:...` at _dmarc.{domain}",
        )
        return
    if len(records) > 1:
        yield _wrong(
            "DMARC",
            f"there are {len(records)} policies at _dmarc.{where}, which receivers take for none: leave one",
        )
        return
    tags = _tags(records[0])
    policy = tags.get("p", "") if where == domain else tags.get("sp") or tags.get("p", "")
    if policy not in {"none", "quarantine", "reject"}:
        yield _wrong("DMARC", f"the policy at _dmarc.{where} says neither p=none, p=quarantine nor p=reject")
        return
    yield _right("DMARC", f"p={policy} at _dmarc.{where}")
    if "rua" not in tags:
        yield _advice("DMARC", "nobody gets reports: add `rua=mailto:...`, and read who sends in your name")
    if policy == "none":
        yield _advice(
            "DMARC", "p=none protects nobody: once the reports are clean, use p=quarantine, then p=reject"
        )
    if removed := [tag for tag in _REMOVED if tag in tags]:
        yield _advice(
            "DMARC",
            f"{', '.join(removed)}: removed by RFC 9989, so receivers ignore it; to test a policy, use t=y",
        )


def _dmarc_records(domain: str, lookup: Lookup) -> tuple[str, list[str]]:
    """The policy of the domain, or of the next parent that has one (RFC 9989)."""
    labels = domain.split(".")
    for at in range(min(len(labels), MOST_PARENTS)):
        where = ".".join(labels[at:])
        if records := _texts(f"_dmarc.{where}", "v=DMARC1", lookup):
            return where, records
    return domain, []


def _mx(domain: str, lookup: Lookup) -> Iterator[DnsFinding]:
    hosts = [record.split()[-1] for record in lookup(domain, "MX")]
    if not hosts:
        yield _advice("MX", "it receives no mail, so answers and complaints go nowhere: publish an MX record")
    elif "." in hosts:
        yield _wrong(
            "MX", "the null MX says that nobody can answer, and some receivers refuse mail from such a domain"
        )
    else:
        yield _right("MX", ", ".join(host.rstrip(".") for host in hosts))


def _mta_sts(domain: str, lookup: Lookup) -> Iterator[DnsFinding]:
    records = _texts(f"_mta-sts.{domain}", "v=STSv1", lookup)
    host = f"mta-sts.{domain}"
    if not records:
        yield _advice("MTA-STS", "not published; it protects mail to you, and has no effect on what you send")
    elif "id" not in _tags(records[0]):
        yield _wrong("MTA-STS", f"the record at _mta-sts.{domain} has no id")
    elif not (lookup(host, "A") or lookup(host, "AAAA")):
        yield _wrong("MTA-STS", f"{host} does not exist, so senders cannot fetch the policy")
    else:
        yield _right("MTA-STS", "published")


def _tls_rpt(domain: str, lookup: Lookup) -> Iterator[DnsFinding]:
    records = _texts(f"_smtp._tls.{domain}", "v=TLSRPTv1", lookup)
    if not records:
        yield _advice("TLS-RPT", "not published; with it you hear when mail to you could not be encrypted")
    elif "rua" not in _tags(records[0]):
        yield _wrong("TLS-RPT", f"the record at _smtp._tls.{domain} has no rua")
    else:
        yield _right("TLS-RPT", "published")


def _bimi(domain: str, lookup: Lookup) -> Iterator[DnsFinding]:
    records = _texts(f"default._bimi.{domain}", "v=BIMI1", lookup)
    if not records:
        yield _advice(
            "BIMI",
            "not published; it shows your logo beside your emails, once DMARC says quarantine or reject",
        )
        return
    tags = _tags(records[0])
    where, policies = _dmarc_records(domain, lookup)
    own = _tags(policies[0]) if policies else {}
    if not tags.get("l", "").startswith("https://"):
        yield _wrong("BIMI", "the logo (`l=`) is not at an https:// URL")
    elif own.get("p") not in {"quarantine", "reject"}:
        yield _wrong(
            "BIMI", f"it has no effect while the policy at _dmarc.{where} is not p=quarantine or p=reject"
        )
    else:
        yield _right("BIMI", "published")


def _texts(name: str, version: str, lookup: Lookup) -> list[str]:
    """The TXT records of this version."""
    start = version.lower()
    return [one for one in lookup(name, "TXT") if one.lower().replace(" ", "").startswith(start)]


def _tags(record: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in record.split(";"))
    return {name.strip().lower(): value.strip() for name, is_pair, value in pairs if is_pair}


def _right(record: str, says: str) -> DnsFinding:
    return DnsFinding(record=record, level="right", says=says)


def _advice(record: str, says: str) -> DnsFinding:
    return DnsFinding(record=record, level="advice", says=says)


def _wrong(record: str, says: str) -> DnsFinding:
    return DnsFinding(record=record, level="wrong", says=says)
