"""Objects are topics and users whose names begin with `$`, in every store."""

from __future__ import annotations

from clarion.model.ids import NO_USER
from clarion.model.recipient_object import OBJECTS_END, ObjectName, first_key
from clarion.model.rota import Rota
from clarion.model.topic import Topic
from clarion.model.user import Profile, UserPut
from clarion.ports.terms import Subject
from clarion.testing.ledger_contract.subject import LedgerSubject

TEAM = ObjectName(type="team", id="payments.eu")


async def objects_of_a_type_lie_side_by_side_and_before_all_other_topics(subject: LedgerSubject) -> None:
    """In order of id, apart from those of a type that begins alike."""
    topics, tenant = subject.ledger.topics, subject.tenant
    others = ("0", "News", "news", "a.b")
    names = (("team", "b"), ("team", "a.b"), ("team", "a"), ("team", "Ä"), ("team-x", "a"), ("team_", "a"))
    for key in (*others, *(ObjectName(type=kind, id=own_id).key for kind, own_id in names)):
        await topics.put(tenant, Topic(key=key))
    assert [one.key for one in await topics.page(tenant, OBJECTS_END, 99)] == sorted(others)
    first = first_key("team")
    found = [one.key for one in await topics.page(tenant, first, 99) if one.key.startswith(first)]
    assert found == [first + own_id for own_id in ("a", "a.b", "b", "Ä")]
    assert [one.key for one in await topics.page(tenant, first, 4)] == found


async def an_object_has_another_tag_after_every_change(subject: LedgerSubject) -> None:
    """Of its topic, its members or its user; and none once its topic is gone."""
    ledger, tenant = subject.ledger, subject.tenant
    asked = Subject(tenant=tenant, kind="object", key=TEAM.key)
    assert await ledger.tag(asked) is None
    ada = await subject.put_user("ada")
    seen = []
    await ledger.topics.put(tenant, Topic(key=TEAM.key))
    seen.append(await ledger.tag(asked))
    await ledger.users.put(tenant, [UserPut(id=TEAM.key, profile=Profile())])
    seen.append(await ledger.tag(asked))
    rota = Rota(members=(ada.no,), timezone="UTC", handover=("09:00",), starts_on="2026-01-05")
    await ledger.users.put(tenant, [UserPut(id=TEAM.key, profile=Profile(rota=rota))])
    seen.append(await ledger.tag(asked))
    await ledger.topics.put(tenant, Topic(key=TEAM.key, name="Payments"))
    seen.append(await ledger.tag(asked))
    await ledger.topics.subscribe(tenant, TEAM.key, [ada.no])
    seen.append(await ledger.tag(asked))
    assert len({*seen, None}) == len(seen) + 1
    stored = (await ledger.users.find(tenant, [TEAM.key]))[TEAM.key]
    assert stored.profile.rota == rota
    await ledger.users.delete(tenant, "ada")
    assert list(await ledger.topics.members(tenant, TEAM.key, NO_USER, 9)) == []
    await ledger.topics.delete(tenant, TEAM.key)
    assert await ledger.tag(asked) is None


OBJECTS_CONTRACT = (
    objects_of_a_type_lie_side_by_side_and_before_all_other_topics,
    an_object_has_another_tag_after_every_change,
)
