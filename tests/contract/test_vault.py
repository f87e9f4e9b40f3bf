"""Every vault keeps the contract, and the contract finds one that does not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clarion.adapters.system import SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import SealBroken
from clarion.model.ids import TenantId
from clarion.ports.vault import Vault
from clarion.testing.vault_contract import VAULT_CONTRACT, VaultSubject

ENTROPY = SystemRandom()
CHECKS = {check.__name__: check for check in VAULT_CONTRACT}


def local(directory: Path) -> VaultSubject:
    """Its key in a file, as the installation has it."""

    def open_(name: str) -> Callable[[], Vault]:
        return lambda: LocalVault.from_file(directory / name, ENTROPY)

    return VaultSubject(open_("ours.key"), open_("theirs.key"), ENTROPY)


VAULTS: dict[str, Callable[[Path], VaultSubject]] = {"local": local}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("name", VAULTS)
def test_every_vault_keeps_the_contract(name, check, tmp_path):
    """On a new installation for every check."""
    check(VAULTS[name](tmp_path))


class Repeats:
    """Randomness that is none: the same again in every process."""

    def bytes(self, n):
        return bytes(n)

    def uniform(self):
        return 0.0


class InTheClear(LocalVault):
    def seal(self, key, plain):
        return super().seal(key, b"") + plain

    def open(self, key, sealed):
        return sealed[29:]


class OpensAnyKey(LocalVault):
    def seal(self, key, plain):
        return super().seal(bytes(32), plain)

    def open(self, key, sealed):
        return super().open(bytes(32), sealed)


class IgnoresTheEnd(LocalVault):
    def seal(self, key, plain):
        return super().seal(key, plain) + b"."

    def open(self, key, sealed):
        return super().open(key, sealed[:-1])


class OneTenant(LocalVault):
    def tenant_key(self, tenant):
        return super().tenant_key(TenantId(1))


class OnePurpose(LocalVault):
    def hash(self, purpose, value):
        return super().hash("", purpose.encode() + value)


class Crashes(LocalVault):
    def open(self, key, sealed):
        try:
            return super().open(key, sealed)
        except SealBroken:
            raise ValueError(sealed) from None


class KeepsDestroyedKeys(LocalVault):
    def unwrap(self, wrapped):
        return super().unwrap(wrapped) if any(wrapped) else bytes(32)


class WrapsForEverybody(LocalVault):
    def wrap(self, key):
        return self.seal(bytes(32), key)

    def unwrap(self, wrapped):
        return self.open(bytes(32), wrapped)


class Talks(LocalVault):
    def open(self, key, sealed):
        try:
            return super().open(key, sealed)
        except SealBroken:
            raise SealBroken(f"{key.hex()} does not open it") from None


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (InTheClear, "sealed_bytes_hide_the_text"),
        (InTheClear, "altered_bytes_do_not_open"),
        (OpensAnyKey, "another_key_opens_nothing"),
        (OpensAnyKey, "a_batch_under_many_keys_opens_piece_by_piece"),
        (OpensAnyKey, "destroying_a_key_makes_its_texts_unreadable"),
        (IgnoresTheEnd, "altered_bytes_do_not_open"),
        (OneTenant, "tenant_keys_are_derived"),
        (OnePurpose, "hashes_depend_on_installation_purpose_and_value"),
        (Crashes, "another_key_opens_nothing"),
        (KeepsDestroyedKeys, "destroying_a_key_makes_its_texts_unreadable"),
        (WrapsForEverybody, "a_wrapped_key_belongs_to_its_installation"),
        (Talks, "it_does_not_show_what_it_was_given"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_vault_that_breaks_a_promise_is_found(kind, check):
    """Each check finds the fault it is there for."""
    ours, theirs = ENTROPY.bytes(32), ENTROPY.bytes(32)
    subject = VaultSubject(lambda: kind(ours, ENTROPY), lambda: kind(theirs, ENTROPY), ENTROPY)
    with pytest.raises((AssertionError, ValueError)):
        CHECKS[check](subject)


def test_a_nonce_that_comes_twice_is_found():
    """Two processes whose randomness is the same seal the same."""
    subject = VaultSubject(
        lambda: LocalVault(bytes(32), Repeats()), lambda: LocalVault(b"o" * 32, Repeats()), ENTROPY
    )
    with pytest.raises(AssertionError):
        CHECKS["sealed_bytes_hide_the_text"](subject)
