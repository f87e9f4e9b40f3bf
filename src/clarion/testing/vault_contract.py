"""What every vault must do, as checks to run over yours.

import pytest
from clarion.testing.vault_contract import VAULT_CONTRACT, VaultSubject

@pytest.mark.parametrize("check", VAULT_CONTRACT, ids=lambda check: check.__name__)
def test_my_vault_keeps_the_contract(check):
    check(VaultSubject(open=my_vault, foreign=vault_of_another_installation, random=SystemRandom()))

`open` opens the vault of one installation, as often as it is called; the randomness behind it must not repeat itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from clarion.errors import SealBroken
from clarion.model.ids import TenantId
from clarion.ports.clock import Random
from clarion.ports.vault import Vault

KEY_BYTES: Final = 32
TEXTS: Final = (b"", b"\x00", b"ada@example.org", bytes(range(256)), "Grüße 👋".encode(), b"x" * 1_000_000)


class VaultSubject:
    """One installation, another, and fresh keys."""

    def __init__(self, open: Callable[[], Vault], foreign: Callable[[], Vault], random: Random) -> None:
        self.open = open
        self.vault = open()
        self.foreign = foreign()
        self._random = random

    def key(self) -> bytes:
        """A new data key."""
        return self._random.bytes(KEY_BYTES)


def refused(work: Callable[..., object], *given: bytes) -> bool:
    """Whether it raises SealBroken. Any other error is the vault's mistake."""
    try:
        work(*given)
    except SealBroken:
        return True
    return False


def what_was_sealed_opens_with_its_key(subject: VaultSubject) -> None:
    """Any bytes, also none, and also in the next process."""
    key = subject.key()
    for text in TEXTS:
        sealed = subject.vault.seal(key, text)
        assert subject.vault.open(key, sealed) == text
        assert subject.open().open(key, sealed) == text


def a_batch_under_many_keys_opens_piece_by_piece(subject: VaultSubject) -> None:
    """More keys than any cache holds: each opens its own, none opens its neighbour's."""
    keys = [subject.key() for _ in range(6_000)]
    sealed = [subject.vault.seal(key, b"%d" % place) for place, key in enumerate(keys)]
    opened = [subject.vault.open(key, one) for key, one in zip(keys, sealed, strict=True)]
    assert opened == [b"%d" % place for place in range(6_000)]
    for key, neighbour in zip(keys[:200], sealed[1:201], strict=True):
        assert refused(subject.vault.open, key, neighbour)


def sealed_bytes_hide_the_text(subject: VaultSubject) -> None:
    """It is not among them, and equal texts do not look alike, not even from two processes."""
    key, text = subject.key(), b"ada@example.org"
    sealed = [vault.seal(key, text) for vault in (subject.vault, subject.open()) for _ in range(500)]
    assert all(text not in one for one in sealed)
    assert len(set(sealed)) == 1_000, "a nonce was used twice"


def another_key_opens_nothing(subject: VaultSubject) -> None:
    """Neither a fresh one, nor the tenant's, nor one that was destroyed or cut."""
    key = subject.key()
    sealed = subject.vault.seal(key, b"text")
    others = (
        subject.key(),
        subject.vault.tenant_key(TenantId(1)),
        bytes(KEY_BYTES),
        b"",
        key[:16],
        key + key,
    )
    for other in others:
        assert refused(subject.vault.open, other, sealed)


def altered_bytes_do_not_open(subject: VaultSubject) -> None:
    """Each single bit is authenticated; so is the length at both ends."""
    key = subject.key()
    sealed = subject.vault.seal(key, b"text")
    for bit in range(8 * len(sealed)):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        assert refused(subject.vault.open, key, bytes(altered)), f"bit {bit} may change"
    for other in (*(sealed[:end] for end in range(len(sealed))), sealed[1:], sealed + b"\x00", sealed * 2):
        assert refused(subject.vault.open, key, other)


def a_wrapped_key_comes_back(subject: VaultSubject) -> None:
    """In this process and the next; the wrapped form does not show it."""
    key = subject.key()
    wrapped = subject.vault.wrap(key)
    assert key not in wrapped
    assert subject.vault.unwrap(wrapped) == subject.open().unwrap(wrapped) == key


def a_wrapped_key_belongs_to_its_installation(subject: VaultSubject) -> None:
    """A stolen table is useless without the installation's key; an altered or foreign form is refused."""
    wrapped = subject.vault.wrap(subject.key())
    altered = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    assert refused(subject.foreign.unwrap, wrapped)
    for one in (
        altered,
        wrapped[:-1],
        b"",
        bytes(len(wrapped)),
        subject.vault.seal(subject.key(), b"k" * 32),
    ):
        assert refused(subject.vault.unwrap, one)


def destroying_a_key_makes_its_texts_unreadable(subject: VaultSubject) -> None:
    """Nothing else that the installation has opens them, also not what it opened before."""
    destroyed, kept = subject.key(), subject.key()
    wrapped = subject.vault.wrap(destroyed)
    sealed, others = subject.vault.seal(destroyed, b"gone"), subject.vault.seal(kept, b"stays")
    assert subject.vault.open(subject.vault.unwrap(wrapped), sealed) == b"gone"
    wrapped, destroyed = bytes(len(wrapped)), b""
    for vault in (subject.vault, subject.open()):
        assert refused(vault.unwrap, wrapped)
        for key in (destroyed, kept, vault.tenant_key(TenantId(1)), vault.tenant_key(TenantId(2))):
            assert refused(vault.open, key, sealed)
        assert vault.open(kept, others) == b"stays"


def tenant_keys_are_derived(subject: VaultSubject) -> None:
    """The same after a restart; another for each tenant and each installation; fit for sealing."""
    tenants = [TenantId(number) for number in range(1, 50)]
    keys = [subject.vault.tenant_key(tenant) for tenant in tenants]
    assert keys == [subject.open().tenant_key(tenant) for tenant in tenants]
    assert len({*keys, *map(subject.foreign.tenant_key, tenants)}) == 2 * len(tenants)
    assert {len(key) for key in keys} == {KEY_BYTES}
    assert subject.vault.open(keys[0], subject.vault.seal(keys[0], b"text")) == b"text"


def hashes_depend_on_installation_purpose_and_value(subject: VaultSubject) -> None:
    """16 bytes, the same after a restart; a purpose and a value do not run into one another."""
    pairs = [
        ("contact", b"a"),
        ("contact", b"b"),
        ("key", b"a"),
        ("contac", b"ta"),
        ("", b"contacta"),
        ("x", b""),
    ]
    hashes = [subject.vault.hash(purpose, value) for purpose, value in pairs]
    assert hashes == [subject.open().hash(purpose, value) for purpose, value in pairs]
    assert {len(one) for one in hashes} == {16}
    foreign = [subject.foreign.hash(purpose, value) for purpose, value in pairs]
    assert len({*hashes, *foreign}) == 2 * len(pairs)


def threads_may_share_it(subject: VaultSubject) -> None:
    """The writer's thread seals while the event loop opens."""
    keys = [subject.key() for _ in range(8)]

    def work(place: int) -> bytes:
        key = keys[place % len(keys)]
        return subject.vault.open(key, subject.vault.seal(key, b"%d" % place))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(2_000))) == [b"%d" % place for place in range(2_000)]


def it_does_not_show_what_it_was_given(subject: VaultSubject) -> None:
    """Neither it nor its errors say a key or a text: a log might pick them up."""
    key, text = subject.key(), b"ada@example.org"
    sealed = subject.vault.seal(key, text)
    said = [repr(subject.vault), str(subject.vault)]
    for given in ((key, sealed[:-1]), (key[:16], sealed), (subject.key(), sealed)):
        try:
            subject.vault.open(*given)
        except SealBroken as broken:
            said += [repr(broken), str(broken), repr(broken.__cause__)]
    for secret in (key, text):
        assert not [one for one in said if secret.hex() in one or repr(secret)[2:-1] in one]


Check = Callable[[VaultSubject], None]

VAULT_CONTRACT: Final[Sequence[Check]] = (
    what_was_sealed_opens_with_its_key,
    a_batch_under_many_keys_opens_piece_by_piece,
    sealed_bytes_hide_the_text,
    another_key_opens_nothing,
    altered_bytes_do_not_open,
    a_wrapped_key_comes_back,
    a_wrapped_key_belongs_to_its_installation,
    destroying_a_key_makes_its_texts_unreadable,
    tenant_keys_are_derived,
    hashes_depend_on_installation_purpose_and_value,
    threads_may_share_it,
    it_does_not_show_what_it_was_given,
)
