"""A ledger whose addresses were recognised by the way they were typed recognises them by their one spelling."""

import sqlite3

from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Channel
from clarion.model.suppression import Suppression, SuppressionFilter
from clarion.ports import vault as spelling
from clarion.ports.vault import contact_hash
from clarion.testing.ledger_contract import LedgerSubject

TYPED = "kim@bücher.example"
ON_THE_WIRE = "kim@xn--bcher-kva.example"


async def earlier(opened, path, clock, random, monkeypatch, *suppressed):
    """A ledger as the version before wrote it, with Kim in it; closed again. The tenant."""
    with monkeypatch.context() as before:
        before.setattr(spelling, "normal_mail_address", lambda address: address.strip().lower())
        subject = await LedgerSubject(opened(), clock, random).create_setup()
        await subject.put_user("kim", TYPED)
        rows = [
            Suppression(
                tenant=subject.tenant,
                channel=Channel.EMAIL,
                hash=contact_hash(LocalVault(b"k" * 32, random), subject.tenant, Channel.EMAIL, address),
                reason="address_gone",
                at=clock.now(),
            )
            for address in suppressed
        ]
        await subject.ledger.suppressions.add(rows)
        await subject.ledger.close()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DELETE FROM meta WHERE key = 'spelling'")
    connection.close()
    return subject.tenant


async def test_contacts_and_their_suppressions_move_to_the_one_spelling(
    opened, path, clock, random, monkeypatch
):
    """Once, when the ledger is opened: reports that name the domain as servers do find the person."""
    tenant = await earlier(opened, path, clock, random, monkeypatch, TYPED)
    wanted = contact_hash(LocalVault(b"k" * 32, random), tenant, Channel.EMAIL, ON_THE_WIRE)
    for _ in range(2):
        ledger = opened()
        try:
            kim = (await ledger.users.find(tenant, ["kim"]))["kim"]
            assert [contact.hash for contact in kim.profile.contacts] == [wanted]
            assert kim.suppressed == {wanted}
            assert kim.revision == 1
            owners = await ledger.directory.with_contact(tenant, Channel.EMAIL, wanted, 2)
            assert [one.id for one in owners] == ["kim"]
            assert [
                row.hash for row in await ledger.suppressions.page(tenant, SuppressionFilter(), None, 10)
            ] == [wanted]
        finally:
            await ledger.close()


async def test_a_suppression_that_nobody_has_stays_as_it_is(opened, path, clock, random, monkeypatch):
    """Its address is known by its hash alone; people whose spelling was the one already keep theirs."""
    tenant = await earlier(
        opened, path, clock, random, monkeypatch, "gone@münchen.example", "ada@example.org"
    )
    ledger = opened()
    try:
        assert len(await ledger.suppressions.page(tenant, SuppressionFilter(), None, 10)) == 2
        ada = (await ledger.users.find(tenant, ["ada"]))["ada"]
        assert ada.suppressed == {ada.profile.contacts[0].hash}
    finally:
        await ledger.close()
