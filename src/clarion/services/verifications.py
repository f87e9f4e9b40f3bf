"""Verifications: one-time codes are made here, sent like any other notification, and compared here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hmac import compare_digest

import msgspec

from clarion.errors import ClarionError, Conflict, InvalidInput, NotFound, RateLimited
from clarion.flow import verification_workflow
from clarion.flow.ledger import Ledger
from clarion.model.channel import PHONES, Channel, Lane
from clarion.model.consent import ConsentAction, ConsentSource, ConsentStatement
from clarion.model.ids import Instant, TenantId, id_text, new_event_id
from clarion.model.setup import Workflow, channels_of
from clarion.model.submission import Acceptance, Submission
from clarion.model.user import RESERVED, Contact, Preferences, Profile, User, UserPut
from clarion.model.verification import ConsentAsked, Resend, Verification, VerificationId, VerificationStatus
from clarion.ports.clock import Clock, Random
from clarion.ports.vault import Vault, contact_hash
from clarion.rules import phone_numbers, sms_guard
from clarion.rules.preferences import allowed, with_category
from clarion.services.consents import ConsentOrigin, ConsentService
from clarion.services.link_tokens import LinkTokens
from clarion.services.seen_countries import SeenCountries

MOST_CHECKS = 5
"""Codes that may be tried."""
MOST_SENDS = 4
PAUSE_S = 30
"""The least time between two codes of one verification."""
MOST_CREATED, CREATED_S = 5, 600
"""Verifications of one address, and in which time."""

CONFIRM_PATH = "/c/"

Submit = Callable[
    [TenantId, Sequence[Submission], Mapping[str, Workflow] | None],
    Awaitable[Sequence[Acceptance | ClarionError]],
]


class VerificationService:
    """Only the hash of a code is kept here. The code itself is in the event that carries it, encrypted for its user."""

    def __init__(
        self,
        ledger: Ledger,
        submit: Submit,
        countries: SeenCountries,
        consents: ConsentService,
        vault: Vault,
        clock: Clock,
        random: Random,
        public_url: str,
    ) -> None:
        self._ledger = ledger
        self._consents = consents
        self._links = LinkTokens(vault, b"c1")
        self._base = f"{public_url}{CONFIRM_PATH}" if public_url else ""
        self._submit = submit
        self._countries = countries
        self._vault = vault
        self._clock = clock
        self._random = random

    async def user_with(self, tenant: TenantId, channel: Channel, address: str) -> User:
        """The user who has this address; one is created when nobody has it."""
        hashed = contact_hash(self._vault, tenant, channel, address)
        found = await self._ledger.directory.with_contact(tenant, channel, hashed, 1)
        if found:
            return found[0]
        profile = Profile(contacts=(Contact(channel=channel, address=address),))
        put = UserPut(id=f"{RESERVED}verification:{hashed.hex()}", profile=profile)
        return (await self._ledger.users.put(tenant, [put]))[0]

    async def create(
        self,
        tenant: TenantId,
        user: User,
        channels: Sequence[Channel],
        workflow: Workflow | None,
        *,
        digits: int,
        ttl_s: int,
        consent: ConsentAsked | None = None,
    ) -> Verification:
        """A new code, on its way when this returns. Raises RateLimited when the address had too many lately."""
        now = self._clock.now()
        used = (
            channels if workflow is None else [one for step in workflow.sends() for one in channels_of(step)]
        )
        contact = next((user.usable(channel)[0] for channel in used if user.usable(channel)), None)
        if contact is None:
            names = ", ".join(used)
            raise InvalidInput(
                f"the user {user.id!r} cannot be reached on {names}: add a contact.", pointer="#/channels"
            )
        new_id = VerificationId(new_event_id(now, self._random.bytes(10)))
        code = self._code(digits)
        verification = Verification(
            id=new_id,
            tenant=tenant,
            user=user.no,
            contact=contact.hash,
            channels=tuple(channels),
            workflow="" if workflow is None else workflow.key,
            digits=digits,
            hash=self._hash(new_id, code),
            created_at=now,
            sent_at=now,
            expires_at=Instant(now + ttl_s * 1000),
            consent=consent,
        )
        since = Instant(now - CREATED_S * 1000)
        if not await self._ledger.verifications.add(verification, since, MOST_CREATED):
            raise RateLimited(
                f"this address had {MOST_CREATED} verifications within {CREATED_S // 60} minutes: wait, or check "
                "the code of the last one.",
                retry_after_s=CREATED_S,
            )
        await self._send(verification, user, code)
        return verification

    async def get(self, tenant: TenantId, verification_id: VerificationId) -> Verification:
        """As it is now. Raises NotFound."""
        found = await self._ledger.verifications.get(tenant, verification_id)
        return _there(found, verification_id).at(self._clock.now())

    async def retry(self, tenant: TenantId, verification_id: VerificationId) -> Verification:
        """Send a new code; earlier ones are no longer right."""
        before = await self.get(tenant, verification_id)
        now, code = self._clock.now(), self._code(before.digits)
        resend = Resend(
            hash=self._hash(verification_id, code), at=now, most=MOST_SENDS, pause_ms=PAUSE_S * 1000
        )
        after = await self._ledger.verifications.resend(tenant, verification_id, resend)
        if after is None:
            now_it_is = await self.get(tenant, verification_id)
            if now_it_is.status is not VerificationStatus.PENDING:
                raise Conflict(f"the verification is {now_it_is.status}: create another one.")
            if now_it_is.sends >= MOST_SENDS:
                raise Conflict(
                    f"{MOST_SENDS} codes were sent: check the last one, or create another verification."
                )
            raise RateLimited(f"wait {PAUSE_S} seconds between two codes.", retry_after_s=PAUSE_S)
        user = (await self._ledger.users.get([after.user])).get(after.user)
        if user is None:
            raise Conflict("the user of the verification was deleted.")
        await self._send(after, user, code)
        return after

    async def check(self, tenant: TenantId, verification_id: VerificationId, code: str) -> Verification:
        """Compare a code. Every check is counted before, so that no number of parallel checks gives more guesses."""
        store, now = self._ledger.verifications, self._clock.now()
        counted = _there(await store.count_check(tenant, verification_id, now, MOST_CHECKS), verification_id)
        if counted.status is not VerificationStatus.PENDING:
            await self._grant(counted, {"confirmed_by": "code"}, first=False)
            return counted
        given = "".join(character for character in code if character.isdecimal())
        right = compare_digest(self._hash(verification_id, given), counted.hash)
        if not right and counted.checks < MOST_CHECKS:
            return counted
        status = VerificationStatus.APPROVED if right else VerificationStatus.LOCKED
        ended = _there(await store.finish(tenant, verification_id, status, now), verification_id)
        if right and ended.status is VerificationStatus.APPROVED:
            await self._confirm(ended)
        await self._grant(ended, {"confirmed_by": "code"}, first=right)
        return ended

    def link(self, verification: Verification) -> str:
        """Where the user confirms a consent without a code; empty: there is no such page."""
        if verification.consent is None or not self._base:
            return ""
        return self._base + self._links.token(verification.tenant.to_bytes(4, "big") + verification.id)

    async def linked(self, token: str) -> Verification | None:
        """The verification that a link leads to, as it is now; None: it is none of ours, or it was deleted."""
        plain = self._links.opened(token)
        if plain is None:
            return None
        tenant, verification_id = TenantId(int.from_bytes(plain[:4], "big")), VerificationId(plain[4:])
        found = await self._ledger.verifications.get(tenant, verification_id)
        return None if found is None else found.at(self._clock.now())

    async def confirm(self, verification: Verification, proof: Mapping[str, str]) -> Verification:
        """The user followed the link and said yes: who can open it reads the address, so no code is asked for."""
        now = self._clock.now()
        ended = _there(
            await self._ledger.verifications.finish(
                verification.tenant, verification.id, VerificationStatus.APPROVED, now
            ),
            verification.id,
        )
        first = verification.status is VerificationStatus.PENDING and ended.finished_at == now
        await self._grant(ended, {"confirmed_by": "page", **proof}, first=first)
        return ended

    async def _grant(self, verification: Verification, proof: Mapping[str, str], *, first: bool) -> None:
        """The consent that was asked for, once it is approved. Confirmed again it is the same record, which changes nothing that
        was said since. `first`: also take back earlier opt-outs of it."""
        asked, at = verification.consent, verification.finished_at
        if asked is None or at is None or verification.status is not VerificationStatus.APPROVED:
            return
        user = (await self._ledger.users.get([verification.user])).get(verification.user)
        if user is None or user.unreadable:
            return
        contacts = user.profile.contacts
        confirmed = next((one for one in contacts if one.hash == verification.contact), None)
        if confirmed is None:
            return
        origin = ConsentOrigin(
            source=ConsentSource.DOUBLE_OPT_IN,
            at=at,
            text_version=asked.text_version,
            proof={"verification_id": id_text(verification.id), "contact_id": confirmed.hash.hex(), **proof},
            once=verification.id,
        )
        statement = ConsentStatement(asked.purpose, confirmed.channel, ConsentAction.GRANTED)
        await self._consents.record(
            user,
            [statement],
            origin,
            (lambda now: self._subscribed(now, asked.purpose, confirmed.channel)) if first else None,
        )

    def _subscribed(self, user: User, purpose: str, channel: Channel) -> Preferences:
        """An earlier opt-out of what is confirmed now no longer counts."""
        tenant, chosen = self._ledger.setup.tenants.all()[user.tenant], user.profile.preferences
        for category in self._ledger.setup.categories.all(user.tenant).values():
            concerned = purpose in (category.key, category.purpose)
            if concerned and not allowed(tenant, category, chosen, channel)[0]:
                chosen = with_category(tenant, category, chosen, channel, on=True)
        return chosen

    async def cancel(self, tenant: TenantId, verification_id: VerificationId) -> Verification:
        """Its code is no longer right."""
        now = self._clock.now()
        ended = await self._ledger.verifications.finish(
            tenant, verification_id, VerificationStatus.CANCELED, now
        )
        return _there(ended, verification_id)

    async def _send(self, verification: Verification, user: User, code: str) -> None:
        key = verification.workflow or verification_workflow.key_of(verification.channels)
        left_ms = verification.expires_at - verification.sent_at
        data = {
            "code": code,
            "minutes": max(1, round(left_ms / 60_000)),
            "verification_id": id_text(verification.id),
            "confirm_url": self.link(verification),
        }
        submission = Submission(
            workflow=key,
            recipients=(user.id,),
            data=msgspec.Raw(msgspec.json.encode(data)),
            source=verification_workflow.SOURCE,
            lane=Lane.CRITICAL,
            expires_at=verification.expires_at,
        )
        built_in = verification_workflow.workflow_of(key)
        workflows = None if built_in is None else {key: built_in}
        (answer,) = await self._submit(verification.tenant, [submission], workflows)
        if isinstance(answer, ClarionError):
            raise answer

    async def _confirm(self, verification: Verification) -> None:
        """The guard learns that codes to this range are entered, and that the country is one of the tenant's."""
        user = (await self._ledger.users.get([verification.user])).get(verification.user)
        contacts = () if user is None else user.profile.contacts
        contact = next((one for one in contacts if one.hash == verification.contact), None)
        if contact is None or contact.channel not in PHONES:
            return
        guard = self._ledger.setup.tenants.all()[verification.tenant].sms_guard
        ranges = sms_guard.ranges(guard, contact.address)
        await self._ledger.number_ranges.confirm(verification.tenant, ranges, self._clock.now())
        if phone_numbers.country(contact.address):
            await self._countries.note(verification.tenant, [Profile(contacts=(contact,))])

    def _code(self, digits: int) -> str:
        """Every code is as likely as any other: 16 bytes are so many more that the remainder does not show."""
        return f"{int.from_bytes(self._random.bytes(16)) % 10**digits:0{digits}d}"

    def _hash(self, verification_id: VerificationId, code: str) -> bytes:
        return self._vault.hash("verification", verification_id + code.encode())


def _there(found: Verification | None, verification_id: VerificationId) -> Verification:
    if found is None:
        raise NotFound(f"There is no verification {id_text(verification_id)}.")
    return found
