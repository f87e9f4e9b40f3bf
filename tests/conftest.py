"""What every test shares: how hard Hypothesis looks, and which tests count as slow."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.needs import in_ci

pytest_plugins = [
    f"tests.servers.{name}"
    for name in (
        "apicurio",
        "postgresql",
        "pgbouncer",
        "mariadb",
        "redis",
        "rabbitmq",
        "elasticmq",
        "moto",
        "kafka",
        "nats",
    )
]

MEMORY, ROOM = Path("/dev/shm"), 8 << 30
"""Where files cost no disk, and how many bytes all tests may need there."""
if (
    "TMPDIR" not in os.environ
    and MEMORY.is_dir()
    and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC  # some tests install programs
    and shutil.disk_usage(MEMORY).free > ROOM
):
    # Thousands of databases are made and written to the disk: whoever waits for it tests nothing more.
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

FOUND = DirectoryBasedExampleDatabase(Path(__file__).parents[1] / ".cache" / "hypothesis")

# A traceback with every variable in a frame takes longer to draw than most tests take.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

settings.register_profile("default", max_examples=50, deadline=None, database=FOUND)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    derandomize=True,  # a red build is red again on the next machine
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("deep", max_examples=5_000, deadline=None, database=FOUND)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if in_ci() else "default"))

# A failed check of a contract shows its values, like any other assertion.
pytest.register_assert_rewrite(
    "clarion.testing.ledger_contract",
    "clarion.testing.provider_contract",
    "clarion.testing.source_contract",
    "tests.acceptance.load",
    "tests.acceptance.mistreatment",
)

ACCEPTANCE = Path(__file__).parent / "acceptance"
SLOW_S = 300
"""They start many processes: on a slow machine one takes longer than other tests may."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything under tests/acceptance carries the marker, so `-m "not acceptance"` never misses one, and has time."""
    for item in items:
        if ACCEPTANCE in item.path.parents:
            item.add_marker(pytest.mark.acceptance)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(SLOW_S))


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A test that sets up logging leaves nothing behind: what it wrote to is closed when the next one logs."""
    configured = structlog.get_config()
    yield
    if structlog.get_config() != configured:
        structlog.configure(**configured)
