"""What a domain publishes for its mail, and what is said about it."""

import socket
import threading

import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from clarion.adapters.mail_dns import check_domain, system_lookup
from clarion.content.mail.dkim import new_key, public_record
from clarion.errors import Unavailable

RIGHT = {
    ("shop.example", "TXT"): ["google-site-verification=x", "v=spf1 include:_spf.mail.example -all"],
    ("_spf.mail.example", "TXT"): ["v=spf1 ip4:192.0.2.0/24 mx ~all"],
    ("s1._domainkey.shop.example", "TXT"): [public_record(new_key("rsa"))],
    ("_dmarc.shop.example", "TXT"): ["v=DMARC1; p=reject; rua=mailto:dmarc@shop.example"],
    ("shop.example", "MX"): ["10 mx.shop.example."],
    ("_mta-sts.shop.example", "TXT"): ["v=STSv1; id=20260105"],
    ("mta-sts.shop.example", "A"): ["192.0.2.7"],
    ("_smtp._tls.shop.example", "TXT"): ["v=TLSRPTv1; rua=mailto:tls@shop.example"],
    ("default._bimi.shop.example", "TXT"): ["v=BIMI1; l=https://shop.example/logo.svg"],
}


def checked(changes=None, domain="shop.example", selectors=("s1",)):
    """What is said about a domain that is right but for these records."""
    records = {**RIGHT, **(changes or {})}
    return check_domain(domain, selectors, lambda name, kind: records.get((name, kind), ()))


def said(record, changes, **more):
    """The findings about one kind of record that are not right."""
    return [
        (one.level, one.says)
        for one in checked(changes, **more)
        if one.record == record and one.level != "right"
    ]


def test_a_domain_with_everything_is_right():
    """Nothing is left to mend."""
    assert [(one.record, one.level) for one in checked()] == [
        (name, "right") for name in ("SPF", "DKIM", "DMARC", "MX", "MTA-STS", "TLS-RPT", "BIMI")
    ]


TEN = {(f"i{n}.example", "TXT"): ["v=spf1 a mx -all"] for n in range(4)}


@pytest.mark.parametrize(
    ("record", "changes", "level", "words"),
    [
        ("SPF", {("shop.example", "TXT"): []}, "wrong", "no SPF record"),
        ("SPF", {("shop.example", "TXT"): ["v=spf1 -all", "v=spf1 ~all"]}, "wrong", "2 SPF records"),
        ("SPF", {("shop.example", "TXT"): ["v=spf1 +all"]}, "wrong", "everybody"),
        ("SPF", {("shop.example", "TXT"): ["v=spf1 ip4:192.0.2.1"]}, "advice", "other senders"),
        (
            "SPF",
            {
                **TEN,
                ("shop.example", "TXT"): [
                    f"v=spf1 {' '.join(f'include:i{n}.example' for n in range(4))} -all"
                ],
            },
            "wrong",
            "12 or more",
        ),
        ("DKIM", {("s1._domainkey.shop.example", "TXT"): []}, "wrong", "no key"),
        ("DKIM", {("s1._domainkey.shop.example", "TXT"): ["v=DKIM1; p="]}, "wrong", "revoked"),
        ("DKIM", {("s1._domainkey.shop.example", "TXT"): ["v=DKIM1; p=AAAA"]}, "wrong", "cannot be read"),
        (
            "DKIM",
            {("s1._domainkey.shop.example", "TXT"): [public_record(new_key("rsa")) + "; t=y"]},
            "advice",
            "test mode",
        ),
        ("DMARC", {("_dmarc.shop.example", "TXT"): []}, "wrong", "Gmail, Yahoo and Outlook"),
        (
            "DMARC",
            {("_dmarc.shop.example", "TXT"): ["v=DMARC1; p=none", "v=DMARC1; p=none"]},
            "wrong",
            "leave one",
        ),
        ("DMARC", {("_dmarc.shop.example", "TXT"): ["v=DMARC1; p=maybe"]}, "wrong", "neither"),
        ("DMARC", {("_dmarc.shop.example", "TXT"): ["v=DMARC1; p=reject"]}, "advice", "reports"),
        (
            "DMARC",
            {("_dmarc.shop.example", "TXT"): ["v=DMARC1; p=none; rua=mailto:a@b"]},
            "advice",
            "protects nobody",
        ),
        (
            "DMARC",
            {("_dmarc.shop.example", "TXT"): ["v=DMARC1; p=reject; pct=50; rua=mailto:a@b"]},
            "advice",
            "RFC 9989",
        ),
        ("MX", {("shop.example", "MX"): []}, "advice", "no mail"),
        ("MX", {("shop.example", "MX"): ["0 ."]}, "wrong", "null MX"),
        ("MTA-STS", {("_mta-sts.shop.example", "TXT"): []}, "advice", "not published"),
        ("MTA-STS", {("_mta-sts.shop.example", "TXT"): ["v=STSv1;"]}, "wrong", "no id"),
        ("MTA-STS", {("mta-sts.shop.example", "A"): []}, "wrong", "does not exist"),
        ("TLS-RPT", {("_smtp._tls.shop.example", "TXT"): []}, "advice", "not published"),
        ("TLS-RPT", {("_smtp._tls.shop.example", "TXT"): ["v=TLSRPTv1;"]}, "wrong", "no rua"),
        ("BIMI", {("default._bimi.shop.example", "TXT"): []}, "advice", "not published"),
        ("BIMI", {("default._bimi.shop.example", "TXT"): ["v=BIMI1; l=http://x"]}, "wrong", "https"),
        (
            "BIMI",
            {("_dmarc.shop.example", "TXT"): ["v=DMARC1; p=none; rua=mailto:a@b"]},
            "wrong",
            "no effect",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words(record, changes, level, words):
    """With what to do about it."""
    ((found, says),) = said(record, changes)
    assert found == level
    assert words in says


def test_a_subdomain_has_the_policy_of_its_parent():
    """What the parent says of subdomains counts before what it says of itself."""
    policy = {("_dmarc.shop.example", "TXT"): ["v=DMARC1; p=reject; sp=quarantine; rua=mailto:a@b"]}
    findings = [one.says for one in checked(policy, domain="news.shop.example") if one.record == "DMARC"]
    assert findings == ["p=quarantine at _dmarc.shop.example"]


def test_includes_in_a_circle_end():
    """A record that includes itself is counted once."""
    circle = {
        ("shop.example", "TXT"): ["v=spf1 include:a.example -all"],
        ("a.example", "TXT"): ["v=spf1 include:shop.example include:a.example -all"],
    }
    assert said("SPF", circle) == []


def test_without_a_selector_dkim_is_not_checked():
    """Nobody can list the selectors of a domain."""
    ((level, says),) = said("DKIM", {}, selectors=())
    assert level == "advice"
    assert "--selector" in says


@pytest.fixture
def name_server(monkeypatch):
    """A name server on a real socket, which this machine asks; its rcode for each name."""
    rcodes: dict[str, dns.rcode.Rcode] = {}
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve():
        while True:
            data, client = server.recvfrom(4096)
            if data == b"stop":
                return
            question = dns.message.from_wire(data)
            name = question.question[0].name.to_text(omit_final_dot=True)
            answer = dns.message.make_response(question)
            answer.set_rcode(rcodes.get(name, dns.rcode.NXDOMAIN))
            if name == "shop.example":
                text = '"v=spf1 " "include:a.example -all"'
                answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "TXT", text))
            server.sendto(answer.to_wire(), client)

    thread = threading.Thread(target=serve)
    thread.start()
    own = dns.resolver.Resolver(configure=False)
    own.nameservers, own.port = ["127.0.0.1"], server.getsockname()[1]
    monkeypatch.setattr(dns.resolver, "Resolver", lambda: own)
    yield rcodes
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
        stop.sendto(b"stop", server.getsockname())
    thread.join()
    server.close()


def test_the_name_servers_are_asked(name_server):
    """Long records come in pieces; a name that does not exist has no records."""
    name_server["shop.example"] = dns.rcode.NOERROR
    lookup = system_lookup()
    assert lookup("shop.example", "TXT") == ["v=spf1 include:a.example -all"]
    assert lookup("nobody.example", "TXT") == ()


def test_a_name_server_that_fails_is_no_missing_record(name_server):
    """It is said so, instead of advice that would be wrong."""
    name_server["shop.example"] = dns.rcode.SERVFAIL
    with pytest.raises(Unavailable, match="try again"):
        system_lookup()("shop.example", "TXT")
