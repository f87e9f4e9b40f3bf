"""How much mail a domain gets."""

from clarion.adapters.providers.smtp.config import DomainLimits, SmtpConfig
from clarion.adapters.providers.smtp.domain_limits import KEPT, Domain, Domains


def test_a_domain_that_asks_again_is_left_alone_twice_as_long():
    """Up to a minute between two mails."""
    one: Domain[str] = Domain(DomainLimits())
    now = 0.0
    gaps = []
    for _ in range(9):
        one.slow_down(now)
        gaps.append(one.admit(now))
        now += 100
    assert gaps[:4] == [1, 2, 4, 8]
    assert max(gaps) <= 60 + 4 * 60  # the last in a row of those put off


def test_refusals_of_one_burst_count_once():
    """Twenty mails were under way when the first was refused."""
    one: Domain[str] = Domain(DomainLimits())
    for _ in range(20):
        one.slow_down(0.0)
    assert one.admit(0.0) == 1.0


def test_mails_that_are_put_off_do_not_come_back_together():
    """Each is given a later moment, and at its moment it may go."""
    one: Domain[str] = Domain(DomainLimits())
    one.slow_down(0.0)
    waits = [one.admit(0.0) for _ in range(5)]
    assert waits == [1, 2, 3, 4, 5]
    assert [one.admit(wait) for wait in waits] == [0.0] * 5


def test_a_domain_that_takes_mail_again_gets_all_of_it():
    """Every success halves the gap."""
    one: Domain[str] = Domain(DomainLimits())
    one.slow_down(0.0)
    for _ in range(6):
        one.speed_up()
    assert [one.admit(0.0) for _ in range(50)] == [0.0] * 50


def test_a_rate_is_kept():
    """A second's worth at once, then no more than the rate."""
    one: Domain[str] = Domain(DomainLimits(per_second=10))
    passed = sum(1 for i in range(1_000) if not one.admit(i / 100))
    assert 95 <= passed <= 111


def test_a_domain_is_recognised_however_it_is_spelled():
    """Mails go to A-labels; whoever writes the settings may not."""
    limited = DomainLimits(concurrency=1)
    config = SmtpConfig(host="x", from_address="a@example.com", domains={"Bücher.Example": limited})
    assert Domains(config).of("kim@xn--bcher-kva.example").most == 1


def test_domains_are_told_apart_and_not_remembered_for_ever():
    """Whatever the case; a domain with a limit of its own has it."""
    config = SmtpConfig(
        host="x", from_address="a@example.com", domains={"Slow.Example": DomainLimits(concurrency=1)}
    )
    all_of_them: Domains[str] = Domains(config)
    assert all_of_them.of("a@SLOW.example") is all_of_them.of("b@slow.example")
    assert (all_of_them.of("a@slow.example").most, all_of_them.of("a@other.example").most) == (1, 20)
    busy = all_of_them.of("a@busy.example")
    busy.under_way = 1
    for i in range(KEPT + 50):
        all_of_them.of(f"a@domain{i}.example")
    assert all_of_them.of("a@busy.example") is busy
    assert len(all_of_them._known) <= KEPT + 1
