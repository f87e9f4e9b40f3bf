"""What to tell a caller when the server cannot be reached, or refuses for now."""

from __future__ import annotations

import asyncpg

from clarion.errors import ClarionError, ConfigError, InvalidInput, Unavailable

NOTHING = "nothing was stored; try again"

_SAID: dict[type[BaseException], str] = {
    asyncpg.DiskFullError: "the disk of the database server is full: nothing was stored; free space there and try again",
    asyncpg.TooManyConnectionsError: f"the database server takes no more connections: {NOTHING}, and allow it more with max_connections",
    asyncpg.InsufficientResourcesError: f"the database server has run out of memory: {NOTHING}",
    asyncpg.QueryCanceledError: f"the database server took too long: {NOTHING}",
    asyncpg.LockNotAvailableError: f"another transaction held what this one needed for too long: {NOTHING}",
    asyncpg.IdleInTransactionSessionTimeoutError: f"a transaction stood still for too long: {NOTHING}",
    asyncpg.ReadOnlySQLTransactionError: (
        "the database server can only be read, it is a replica: nothing was stored; name the primary, or all servers "
        "and target_session_attrs=read-write"
    ),
    asyncpg.OperatorInterventionError: f"the database server is starting or stopping: {NOTHING}",
    asyncpg.PostgresSystemError: f"the database server cannot use its disk: {NOTHING}",
}
"""By kind of error; a narrower kind stands before a wider one."""

_MISCONFIGURED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)


def silenced(error: Exception) -> Exception:
    """Without the row that the server adds to some errors: it must not reach a log."""
    if isinstance(error, asyncpg.PostgresError):
        error.detail = None
    return error


LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What a connection raises that ends; it may also mean something else if the connection goes on."""


OF_ONE = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)
"""What concerns one transaction, and says nothing about the next."""


def refusal(error: BaseException) -> ClarionError | None:
    """What to tell the caller; None when the error is one of ours."""
    if isinstance(error, asyncpg.CharacterNotInRepertoireError) or isinstance(
        error.__cause__, UnicodeEncodeError
    ):
        return InvalidInput("a text has a character that PostgreSQL does not store: NUL, or half of a pair")
    for kind, sentence in _SAID.items():
        if isinstance(error, kind):
            return Unavailable(sentence)
    if isinstance(error, (OSError, TimeoutError, asyncpg.PostgresConnectionError)):
        return Unavailable(f"the database server does not answer: {NOTHING}")
    return None


def unusable(error: BaseException, place: str) -> ClarionError | None:
    """The same while the database is opened: what a person has to mend first is a ConfigError."""
    if isinstance(error, _MISCONFIGURED):
        return ConfigError(f"the database {place} lets nobody in: {error}. Check the URL in `database`.")
    if isinstance(error, ValueError | asyncpg.ClientConfigurationError):
        return ConfigError(f"database: the URL cannot be used: {error}")
    told = refusal(error)
    if told is not None:
        return ConfigError(
            f"the database {place} cannot be used ({type(error).__name__}): {told.detail}. Start the server, or check "
            "the URL in `database`."
        )
    return None
