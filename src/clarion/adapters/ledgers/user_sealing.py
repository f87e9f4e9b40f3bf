"""How users are stored: sealed with a key of their own, and recognised by the hashes of their addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import structlog
from msgspec.structs import replace

from clarion.errors import Conflict, SealBroken, UserUnreadable
from clarion.model.channel import Channel
from clarion.model.consent import Consent, ConsentRecord
from clarion.model.ids import NO_USER, Instant, TenantId, UserNo
from clarion.model.user import RESERVED, WEEK, Profile, User, UserPut
from clarion.model.user_change import UserChange, UserChangeKind
from clarion.ports.clock import Random
from clarion.ports.vault import Vault, contact_hash
from clarion.rules.exact import added

log = structlog.get_logger(__name__)

KEY_BYTES = 32
EMPTY = Profile()

_json = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Profile).decode
_UNDECODABLE = (msgspec.MsgspecError, ValueError, TypeError, AttributeError, LookupError)
"""What comes of bytes that are no profile."""
PREFERENCES = Profile.__struct_fields__.index("preferences")


class UserSealing:
    """Makes users, and their profiles what may be stored."""

    def __init__(self, vault: Vault, random: Random) -> None:
        self._vault = vault
        self._random = random

    def new(self, tenant: TenantId, id: str, now: Instant) -> User:
        """Somebody who has no number yet."""
        return User(
            no=NO_USER,
            tenant=tenant,
            id=id,
            key=self._random.bytes(KEY_BYTES),
            profile=EMPTY,
            revision=1,
            inbox_epoch=self._random.bytes(8).hex(),
            created_at=now,
            updated_at=now,
        )

    def put(
        self, stored: Mapping[str, User], tenant: TenantId, puts: Iterable[UserPut], now: Instant
    ) -> tuple[dict[str, User], dict[str, list[ConsentRecord]]]:
        """Everybody who was stored or is put, as they are afterwards; whoever does not change is the same object. And the consent
        records to add, by whose they are.

        Raises Conflict when somebody has another revision than the one that is put, and UserUnreadable.
        """
        puts = list(puts)
        _require_revisions(stored, puts)
        users, said = dict(stored), dict[str, list[ConsentRecord]]()
        for put in puts:
            user = users.get(put.id) or self.new(tenant, put.id, now)
            if put.profile is not None or put.consents:
                users[put.id], records = self._replaced(user, put, now)
                said.setdefault(put.id, []).extend(records)
            else:
                users[put.id] = user
        return users, said

    def hash_of(self, tenant: TenantId, channel: Channel, address: str) -> bytes:
        """What an address is recognised by."""
        return contact_hash(self._vault, tenant, channel, address)

    def hashed(self, tenant: TenantId, profile: Profile) -> Profile:
        """With the hashes of its contacts."""
        return replace(
            profile,
            contacts=tuple(
                replace(contact, hash=self.hash_of(tenant, contact.channel, contact.address))
                for contact in profile.contacts
            ),
        )

    def erased(self, tenant: TenantId, user: UserNo, user_id: str, at: Instant) -> list[UserChange]:
        """What is recorded of an erasure: nothing of a user that Clarion made for itself."""
        if user_id.startswith(RESERVED):
            return []
        sealed = self._vault.seal(self._vault.tenant_key(tenant), user_id.encode(errors="surrogatepass"))
        kind = UserChangeKind.ERASED
        return [UserChange(tenant=tenant, user=user, at=at, kind=kind, sealed_id=sealed)]

    def sealed(self, user: User) -> bytes:
        """The profile as it is stored."""
        return self._vault.seal(user.key, _pack(user.profile))

    def profile(self, user: UserNo, tenant: TenantId, key: bytes, sealed: bytes) -> Profile | None:
        """The profile that was stored; None when it cannot be read."""
        try:
            return _profile(self._vault.open(key, sealed))
        except (SealBroken, *_UNDECODABLE) as fault:
            tell_unreadable(user, tenant, fault)
            return None

    def consents(self, user: User, records: Iterable[ConsentRecord]) -> list[Consent]:
        """The records of a user as they are stored."""
        return [
            Consent(
                id=one.id,
                tenant=user.tenant,
                user=user.no,
                purpose=one.purpose,
                channel=one.channel,
                action=one.action,
                at=one.recorded_at if one.at is None else one.at,
                recorded_at=one.recorded_at,
                source=one.source,
                text_version=one.text_version,
                proof=self._vault.seal(user.key, _json(one.proof)) if one.proof else b"",
            )
            for one in records
        ]

    def _replaced(self, user: User, put: UserPut, now: Instant) -> tuple[User, list[ConsentRecord]]:
        require_readable(user)
        kept, profile = user.profile, user.profile
        if put.profile is not None:
            fixed = {"endpoints": kept.endpoints, "devices": kept.devices, "consents": kept.consents}
            profile = replace(self.hashed(user.tenant, put.profile), **fixed)
        consents, records = added(kept.consents, put.consents)
        if consents is not kept.consents:
            profile = replace(profile, consents=consents)
        if profile == kept:
            return user, records
        revision = user.revision + 1 if user.no else 1
        return replace(user, profile=profile, revision=revision, updated_at=now), records


def with_profile(user: User, profile: Profile, now: Instant) -> User:
    """The next revision of somebody."""
    require_readable(user)
    return replace(user, profile=profile, revision=user.revision + 1, updated_at=now)


def require_readable(user: User) -> None:
    """What cannot be opened must not be written over: with it would go what the person has chosen."""
    if user.unreadable:
        raise UserUnreadable(user.id)


def tell_unreadable(user: UserNo, tenant: TenantId, fault: Exception) -> None:
    """In the log, for whoever has to mend it."""
    log.error("user_unreadable", tenant=tenant, user=user, error=type(fault).__name__)


def hashes(user: User) -> frozenset[bytes]:
    """Of all addresses."""
    return frozenset(digest for _, digest in user.profile.addresses())


def contacts(users: Iterable[User]) -> list[tuple[TenantId, Channel, UserNo, bytes]]:
    """Everything these are recognised by."""
    return sorted(
        {
            (user.tenant, channel, user.no, digest)
            for user in users
            for channel, digest in user.profile.addresses()
        }
    )


def _profile(packed: bytes) -> Profile:
    """As it was packed; weekdays that were numbers then have their names."""
    try:
        return _unpack(packed)
    except msgspec.ValidationError:
        fields = msgspec.msgpack.decode(packed)
        for window in fields[PREFERENCES].get("quiet_hours", ()):
            window["days"] = [day if isinstance(day, str) else WEEK[day] for day in window.get("days", WEEK)]
        return msgspec.convert(fields, Profile)


def _require_revisions(stored: Mapping[str, User], puts: Iterable[UserPut]) -> None:
    for put in puts:
        if put.revision is None:
            continue
        found = stored[put.id].revision if put.id in stored else 0
        if found != put.revision:
            raise Conflict(
                f"the user was changed meanwhile: expected revision {put.revision}, found {found}; "
                "read it again and repeat the change"
            )
