"""Nobody can make a token, or make another one out of one."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clarion.adapters.vaults.local import LocalVault
from clarion.model.ids import TenantId, UserNo
from clarion.model.setup import Tenant
from clarion.services.consents import ConsentService
from clarion.services.last_checks import LastChecks
from clarion.services.message_references import MessageReferences
from clarion.services.unsubscribe import UnsubscribeLinks
from clarion.testing.ports import ManualClock, SeededRandom

TENANTS = st.integers(1, 2**31)
USERS = st.integers(1, 2**47)
KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64)


class Everybody:
    """Stands in for a ledger in which every tenant exists and nobody lives."""

    def __init__(self):
        self.setup = self.tenants = self.categories = self.users = self

    def all(self, tenant=None):
        return {} if tenant else _AnyTenant()

    async def get(self, numbers):
        self.asked = numbers
        return {}


class _AnyTenant(dict):
    def get(self, tenant_id, default=None):
        return Tenant(id=tenant_id, key="any")


EVERYBODY: Any = Everybody()
VAULT = LocalVault(b"k" * 32, SeededRandom())
CONSENTS = ConsentService(EVERYBODY, LastChecks(ManualClock(), 0), VAULT, ManualClock(), SeededRandom())
OURS = UnsubscribeLinks(EVERYBODY, CONSENTS, VAULT, "https://notify.example")
OTHER_VAULT = LocalVault(b"o" * 32, SeededRandom())
THEIRS = UnsubscribeLinks(EVERYBODY, CONSENTS, OTHER_VAULT, "https://notify.example")


def read(token):
    """The choice of a token, or None."""
    return asyncio.run(OURS.read(token))


@given(TENANTS, USERS, KEYS)
def test_a_token_says_what_it_was_made_for(tenant, user, category):
    """And its text says nothing of it: two for the same are different."""
    first, second = (OURS.token(TenantId(tenant), UserNo(user), category) for _ in range(2))
    assert first != second
    choice = read(first)
    assert (choice.tenant.id, choice.category.key) == (tenant, category)
    assert EVERYBODY.asked == [user]


@given(TENANTS, USERS, KEYS, st.data())
def test_a_changed_token_is_worthless(tenant, user, category, data):
    """Whichever character is changed, dropped or added."""
    token = OURS.token(TenantId(tenant), UserNo(user), category)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.text(max_size=3))
    changed = token[:at] + other + token[at + data.draw(st.integers(0, 2)) :]
    assert (read(changed) is not None) == (changed == token)


@given(TENANTS, USERS, KEYS)
def test_a_token_of_another_installation_is_worthless(tenant, user, category):
    """The key decides."""
    assert read(THEIRS.token(TenantId(tenant), UserNo(user), category)) is None


@given(st.text(max_size=200) | st.text("ABCDEFabcdef0123456789-_", max_size=200))
def test_what_was_made_up_is_worthless(text):
    """Whatever it looks like, and without a fault; the same for the tags of return paths."""
    assert read(text) is None
    assert MessageReferences(VAULT).read(text) is None
