"""User tokens: short-lived, for one user, unforgeable."""

import base64
import json

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from clarion.adapters.vaults.local import LocalVault
from clarion.errors import TokenExpired, Unauthenticated
from clarion.model.ids import TenantId, UserNo
from clarion.model.user import Profile, User
from clarion.services.user_tokens import UserTokens
from clarion.testing.ports import ManualClock, SeededRandom


def vault(master: bytes = b"k" * 32) -> LocalVault:
    return LocalVault(master, SeededRandom(1))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tokens(clock: ManualClock) -> UserTokens:
    return UserTokens(vault(), clock)


def person(user_id: str, tenant: int = 1, no: int = 5) -> User:
    return User(
        no=UserNo(no), tenant=TenantId(tenant), id=user_id, key=b"k" * 32, profile=Profile(), inbox_epoch="e"
    )


def part(token: str, number: int) -> dict:
    text = token.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def repacked(header: dict, claims: dict, signature: str = "") -> str:
    def packed(value: dict) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{packed(header)}.{packed(claims)}.{signature}"


def test_a_token_names_its_tenant_user_and_end(tokens, clock):
    """What was minted is what is read, and it lasts as long as asked."""
    token = tokens.mint(person("anna@work", 7), ttl_s=60)
    bearer = tokens.verify(token)
    assert (bearer.tenant, bearer.user_id, bearer.user) == (7, "anna@work", 5)
    assert bearer.expires_at == clock.now() + 60_000


def test_a_token_names_a_person_and_not_whoever_has_the_id(tokens):
    """Not one who got the id after an erasure, and nobody once the person is gone."""
    bearer = tokens.verify(tokens.mint(person("anna", no=5)))
    assert bearer.names(person("anna", no=5))
    assert not bearer.names(person("anna", no=6))
    assert not bearer.names(None)


def test_a_token_is_good_until_its_last_second(tokens, clock):
    """It dies at its time by our clock, not before, and says so."""
    token = tokens.mint(person("anna", 1), ttl_s=60)
    clock.advance(59)
    tokens.verify(token)
    clock.advance(1)
    with pytest.raises(TokenExpired):
        tokens.verify(token)


def test_two_processes_of_one_installation_accept_each_others_tokens(tokens, clock):
    """The key is derived from the installation's, so nothing has to be shared or stored."""
    assert UserTokens(vault(), clock).verify(tokens.mint(person("anna", 1))).user_id == "anna"


def test_another_installations_token_is_refused(tokens, clock):
    """A token is worth nothing where another key rules."""
    with pytest.raises(Unauthenticated):
        tokens.verify(UserTokens(vault(b"x" * 32), clock).mint(person("anna", 1)))


def test_an_altered_token_is_refused(tokens):
    """Nobody turns their token into somebody else's."""
    header, claims = part(token := tokens.mint(person("anna", 1)), 0), part(token, 1)
    forged = repacked(header, {**claims, "sub": "bob"}, token.split(".")[2])
    with pytest.raises(Unauthenticated):
        tokens.verify(forged)


def test_a_token_cannot_choose_its_algorithm(tokens):
    """`none` and other algorithms are refused, whatever the header says."""
    claims = part(tokens.mint(person("anna", 1)), 1)
    with pytest.raises(Unauthenticated):
        tokens.verify(repacked({"alg": "none", "typ": "JWT"}, claims))
    strange = jwt.encode({"alg": "HS512"}, claims, OctKey.import_key(b"k" * 64), algorithms=["HS512"])
    with pytest.raises(Unauthenticated):
        tokens.verify(strange)


def test_a_token_for_another_purpose_is_refused(tokens):
    """Even when the key is right, only tokens for the inbox open the inbox."""
    claims = {**part(tokens.mint(person("anna", 1)), 1), "aud": "clarion-admin"}
    with pytest.raises(Unauthenticated):
        tokens.verify(jwt.encode({"alg": "HS256"}, claims, tokens._key, algorithms=["HS256"]))


@pytest.mark.parametrize("missing", ["aud", "tenant", "sub", "no", "exp"])
def test_a_token_without_one_of_its_claims_is_refused(tokens, missing):
    """Above all one without an end."""
    claims = part(tokens.mint(person("anna", 1)), 1)
    del claims[missing]
    with pytest.raises(Unauthenticated):
        tokens.verify(jwt.encode({"alg": "HS256"}, claims, tokens._key, algorithms=["HS256"]))


@pytest.mark.parametrize(
    "nonsense", ["", ".", "..", "a.b.c", "ü.ü.ü", "x" * 5000, "eyJhbGciOiJIUzI1NiJ9.W10.x"]
)
def test_nonsense_is_refused_without_being_repeated(tokens, nonsense):
    """Whatever comes is an ordinary refusal, and its text does not quote the credential."""
    with pytest.raises(Unauthenticated) as refused:
        tokens.verify(nonsense)
    assert len(nonsense) < 2 or nonsense not in str(refused.value)
