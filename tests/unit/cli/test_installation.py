"""From an empty directory to an installation that may serve: migrate, keys, check, and what `serve` refuses."""

import asyncio
import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import asyncpg
import msgspec
import pytest
from typer.testing import CliRunner

from clarion import plugins
from clarion.adapters.ledgers.migrate import migrate as upgrade
from clarion.adapters.ledgers.schema import REVISION
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.app.data_directory import only_process
from clarion.cli.check import _reach
from clarion.cli.main import program
from clarion.flow.ledger import Ledger
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.setup import Integration, SendAll, Step, Workflow
from clarion.testing.ports import provider_tools
from tests.servers.process import free_port


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("CLARION_URL", "CLARION_API_KEY", "CLARION_CONFIG", "CLARION_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def run(*words: str):
    return CliRunner().invoke(program, list(words))


def test_an_installation_is_made_by_two_commands():
    """After `migrate` and `keys create` everything is there, and only its owner can read it."""
    assert run("migrate", "--data-dir", "data").exit_code == 0
    made = run("keys", "create", "--data-dir", "data", "--name", "setup", "--scope", "admin", "--json")
    assert made.exit_code == 0
    assert json.loads(made.stdout)["key"].startswith("clr_")
    assert json.loads(run("keys", "list", "--data-dir", "data", "--json").stdout)[0]["name"] == "setup"
    checked = run("check", "--data-dir", "data", "--json")
    assert (checked.exit_code, [c for c in json.loads(checked.stdout) if not c["ok"]]) == (0, [])


def test_check_says_which_workflow_lacks_an_integration():
    """A new tenant has an inbox and nothing else."""
    run("migrate", "--data-dir", "data")
    run("keys", "create", "--data-dir", "data", "--name", "setup")

    async def create_setup() -> None:
        clock, random = SystemClock(), SystemRandom()
        vault = LocalVault.from_file(Path("data/installation.key"), random, create=False)
        ledger = Ledger(SqliteLedger.open(Path("data/clarion.db"), vault=vault, clock=clock, random=random))
        to = SendAll(channels=(Channel.IN_APP, Channel.EMAIL))
        await ledger.setup.workflows.put(
            TenantId(1),
            Workflow(key="hello", category="news", steps=(Step(key="s", template="t", to=to),)),
        )
        await ledger.close()

    asyncio.run(create_setup())
    checked = run("check", "--data-dir", "data", "--json")
    found = {one["check"]: one["detail"] for one in json.loads(checked.stdout)}
    assert checked.exit_code == 1
    assert found["integration default/inbox"] == ""
    assert "no enabled integration serves `email`" in found["workflow default/hello"]


def test_migrating_again_changes_nothing(tmp_path):
    """The key above all."""
    run("migrate", "--data-dir", "data")
    key = (tmp_path / "data/installation.key").read_bytes()
    assert json.loads(run("migrate", "--data-dir", "data", "--json").stdout)["created"] is False
    assert (tmp_path / "data/installation.key").read_bytes() == key
    assert stat.S_IMODE((tmp_path / "data/installation.key").stat().st_mode) == 0o600


def test_a_lost_key_is_never_replaced_silently(tmp_path):
    """A new one would leave the database unreadable for good."""
    run("migrate", "--data-dir", "data")
    (tmp_path / "data/installation.key").unlink()
    again = run("migrate", "--data-dir", "data")
    assert again.exit_code == 2
    assert "backup" in again.stderr
    assert not (tmp_path / "data/installation.key").exists()


def test_a_keyring_that_an_update_brings_is_named(tmp_path):
    """It has to be backed up from then on; after that `migrate` has nothing to say about it."""
    run("migrate", "--data-dir", "data")
    with closing(sqlite3.connect(tmp_path / "data/clarion.db")) as database, database:
        database.execute(
            "DELETE FROM meta WHERE key = 'keyring'"
        )  # as versions before there were keyrings left it
    (tmp_path / "data/clarion.keys").unlink()
    assert "clarion.keys. Back it up" in run("migrate", "--data-dir", "data").stdout.replace("\n", " ")
    assert "clarion.keys" not in run("migrate", "--data-dir", "data").stdout


@pytest.mark.parametrize("command", [("migrate",), ("dev", "--port", "0")])
def test_a_data_directory_that_cannot_be_made_is_named(tmp_path, command):
    """In one line, by every command that makes one."""
    (tmp_path / "file").write_text("")
    refused = run(*command, "--data-dir", "file")
    assert refused.exit_code == 2
    assert "the data directory file cannot be created (File exists)" in refused.stderr


def test_a_data_directory_that_belongs_to_somebody_else_is_refused(tmp_path):
    """Whoever may not write into it is told which file it was."""
    run("migrate", "--data-dir", "data")
    (tmp_path / "data/clarion.lock").unlink()
    (tmp_path / "data/clarion.lock").mkdir()  # the superuser may write anywhere, but not here
    refused = run("migrate", "--data-dir", "data")
    assert refused.exit_code == 2
    assert "clarion.lock cannot be written" in refused.stderr


def test_a_revoked_key_shows_as_revoked_and_cannot_be_revoked_again():
    """Each by its id."""
    run("migrate", "--data-dir", "data")
    made = json.loads(run("keys", "create", "--data-dir", "data", "--name", "x", "--json").stdout)
    assert run("keys", "revoke", made["id"], "--data-dir", "data").exit_code == 0
    assert json.loads(run("keys", "list", "--data-dir", "data", "--json").stdout)[0]["revoked_at"]
    assert run("keys", "revoke", made["id"], "--data-dir", "data").exit_code == 4


def test_a_second_tenant_is_made_only_when_asked_for():
    """A misspelt name must not become a tenant."""
    run("migrate", "--data-dir", "data")
    run("keys", "create", "--data-dir", "data", "--name", "a", "--tenant", "acme")
    refused = run("keys", "create", "--data-dir", "data", "--name", "b", "--tenant", "acmee")
    assert refused.exit_code == 4
    assert "acme" in refused.stderr
    made = run("keys", "create", "--data-dir", "data", "--name", "b", "--tenant", "globex", "--create-tenant")
    assert made.exit_code == 0
    assert run("keys", "list", "--data-dir", "data").exit_code == 2  # which of the two?


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("serve", "--data-dir", "data"), "clarion migrate"),
        (("serve", "--data-dir", "data", "--host", "0.0.0.0"), "public_url"),
        (("serve", "--config", "none.toml"), "none.toml"),
        (("keys", "list", "--data-dir", "data"), "clarion migrate"),
        (("keys", "create", "--name", "x", "--scope", "root"), "admin, send or read"),
        (("messages", "list"), "clarion dev"),
    ],
)
def test_a_command_that_cannot_start_says_what_to_do(words, said):
    """And leaves with the code for usage and settings."""
    refused = run(*words)
    assert refused.exit_code == 2
    assert said in refused.stderr


def test_check_names_everything_that_is_wrong():
    """All at once, not one after the other."""
    run("migrate", "--data-dir", "data")
    checked = run("check", "--data-dir", "elsewhere", "--json")
    assert checked.exit_code == 1
    assert [c["check"] for c in json.loads(checked.stdout) if not c["ok"]] == ["safety", "database"]


def test_check_asks_redis(monkeypatch):
    """Where it is set."""
    run("migrate", "--data-dir", "data")
    assert "redis" not in {
        c["check"] for c in json.loads(run("check", "--data-dir", "data", "--json").stdout)
    }
    monkeypatch.setenv("CLARION_REDIS", f"redis://ada:hunter2@127.0.0.1:{free_port()}")
    checked = run("check", "--data-dir", "data", "--json")
    assert checked.exit_code == 1
    found = {c["check"]: c["detail"] for c in json.loads(checked.stdout)}
    for part in ("redis", "fanout"):
        assert "does not answer" in found[part]
    assert "hunter2" not in checked.output


@pytest.mark.parametrize("setting", ["database", "broker", "fanout"])
def test_check_names_a_backend_that_nothing_opens(monkeypatch, setting):
    """Before the start, with what is installed."""
    run("migrate", "--data-dir", "data")
    monkeypatch.setenv(f"CLARION_{setting.upper()}", "pigeons://ada:hunter2@loft.example")
    checked = run("check", "--data-dir", "data", "--json")
    assert checked.exit_code == 1
    found = {c["check"]: c["detail"] for c in json.loads(checked.stdout)}
    assert "`pigeons:` URLs, only" in found[setting]
    assert "hunter2" not in checked.output


def test_check_names_a_broker_that_is_away_once(monkeypatch):
    """What is wrong with it, behind its name."""
    run("migrate", "--data-dir", "data")
    monkeypatch.setattr("clarion.adapters.brokers.kafka.topics.ANSWER_S", 0.5)
    monkeypatch.setenv("CLARION_BROKER", f"kafka://127.0.0.1:{free_port()}")
    found = {c["check"]: c["detail"] for c in json.loads(run("check", "--data-dir", "data", "--json").stdout)}
    assert found["broker"].startswith("Kafka at 127.0.0.1:")


@pytest.mark.parametrize("enabled", [True, False])
def test_check_reaches_what_is_enabled(tmp_path, enabled):
    """What somebody switched off may be out of reach."""
    run("migrate", "--data-dir", "data")
    run("keys", "create", "--data-dir", "data", "--name", "setup")
    data, random = tmp_path / "data", SystemRandom()

    async def add() -> None:
        vault = LocalVault.from_file(data / "installation.key", random, create=False)
        ledger = Ledger(
            SqliteLedger.open(data / "clarion.db", vault=vault, clock=SystemClock(), random=random)
        )
        await ledger.setup.catch_up()
        (tenant,) = ledger.setup.tenants.all().values()
        gone = Integration(key="gone", channel=Channel.EMAIL, provider="no-such", enabled=enabled)
        await ledger.setup.integrations.put(tenant.id, gone)
        await ledger.close()

    asyncio.run(add())
    checked = run("check", "--data-dir", "data", "--json")
    wrong = [c["detail"] for c in json.loads(checked.stdout) if not c["ok"]]
    assert wrong == (["there is no provider 'no-such': install its package."] if enabled else [])


@pytest.mark.parametrize("where", ["open", "ping"])
async def test_check_outlives_a_plugin_that_falls_over(monkeypatch, where):
    """Its words are not shown: they may hold a secret."""

    class Falling:
        async def ping(self) -> None:
            raise KeyError("s3cret")

        async def close(self) -> None:
            pass

    def opened(integration, config, tools):
        if where == "open":
            raise KeyError("s3cret")
        return Falling()

    capture = plugins.providers()["capture"]
    monkeypatch.setattr(plugins, "providers", lambda: {"x": msgspec.structs.replace(capture, open=opened)})
    tools = provider_tools(SystemClock(), SystemRandom(), LocalVault(bytes(32), SystemRandom()))
    wrong = await _reach(Integration(key="k", channel=Channel.EMAIL, provider="x"), tools)
    said = {"open": "cannot use its settings (KeyError)", "ping": "failed with KeyError"}
    assert said[where] in wrong
    assert "s3cret" not in wrong


def older(path: Path) -> None:
    """A database of an earlier version in place of the new one."""
    path.unlink()
    path.with_name("clarion.keys").unlink()
    upgrade(path, to="0021")


def test_an_update_shows_what_it_did(tmp_path):
    """Lines in a log for each step, the numbers, and where the database as it was is kept."""
    run("migrate", "--data-dir", "data")
    older(tmp_path / "data/clarion.db")
    updated = run("migrate", "--data-dir", "data")
    assert updated.exit_code == 0
    assert "Step 1 of" in updated.stderr
    assert f"Updated from schema 0021 to {REVISION}" in updated.stdout
    assert "data/clarion-0021.db is the database as it was" in updated.stdout.replace("\n", " ")
    assert "up to date" in updated.stdout
    assert "Updated" not in run("migrate", "--data-dir", "data").stdout


@pytest.mark.parametrize("words", [(), ("--no-backup",)])
def test_an_update_is_one_document_for_scripts(tmp_path, words):
    """Whatever is said on the way goes to standard error."""
    run("migrate", "--data-dir", "data")
    older(tmp_path / "data/clarion.db")
    updated = json.loads(run("migrate", "--data-dir", "data", "--json", *words).stdout)
    assert updated["schema"] == {"before": "0021", "now": REVISION}
    assert updated["counts"]["users"] == 0
    assert (updated["backup"] is None) is bool(words)
    assert (tmp_path / "data/clarion-0021.db").exists() is not bool(words)
    again = json.loads(run("migrate", "--data-dir", "data", "--json").stdout)
    assert (again["schema"], again["backup"], again["counts"]) == (
        {"before": None, "now": REVISION},
        None,
        {},
    )


def test_only_one_update_at_a_time(tmp_path):
    """The second one is told that the directory is in use."""
    run("migrate", "--data-dir", "data")
    with only_process(tmp_path / "data"):
        refused = run("migrate", "--data-dir", "data")
    assert refused.exit_code == 2
    assert "in use by another Clarion process" in refused.stderr.replace("\n", " ")


def test_a_database_of_a_newer_version_is_refused_by_every_command(tmp_path):
    """With what to do."""
    run("migrate", "--data-dir", "data")
    with closing(sqlite3.connect(tmp_path / "data/clarion.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    for words in (("migrate",), ("serve", "--port", str(free_port())), ("keys", "list")):
        refused = run(*words, "--data-dir", "data")
        assert refused.exit_code == 2
        assert "Install the newer version again" in refused.stderr.replace("\n", " ")


def test_a_server_does_not_start_in_the_middle_of_an_update(tmp_path):
    """It says what to run."""
    run("migrate", "--data-dir", "data")
    with closing(sqlite3.connect(tmp_path / "data/clarion.db")) as database, database:
        database.execute("CREATE TABLE migration (said BLOB NOT NULL)")
    refused = run("serve", "--data-dir", "data", "--port", str(free_port()))
    assert refused.exit_code == 2
    assert "was cut off" in refused.stderr.replace("\n", " ")
    assert "clarion migrate" in refused.stderr


@pytest.fixture
def on_server(postgresql, tmp_path):
    """Settings that name an empty database."""
    name = f"installation_{os.getpid()}"

    async def say(statement: str) -> None:
        connection = await asyncpg.connect(postgresql.url())
        await connection.execute(statement)
        await connection.close()

    asyncio.run(say(f"CREATE DATABASE {name}"))
    config = tmp_path / "clarion.toml"
    config.write_text(f'database = "{postgresql.url(name)}"\n')
    yield "--config", str(config)
    asyncio.run(say(f"DROP DATABASE {name} WITH (FORCE)"))


def test_an_installation_on_a_server_is_made_by_the_same_command(on_server):
    """The key is made with the tables; repeating it changes nothing; another machine needs a copy of the key."""
    made = run("migrate", *on_server, "--data-dir", "data", "--json")
    assert (made.exit_code, json.loads(made.stdout)) == (
        0,
        {"key_file": "data/installation.key", "created": True, "schema": {"before": None, "now": REVISION}},
    )
    assert [path.name for path in Path("data").iterdir()] == ["installation.key"]
    key = Path("data/installation.key").read_bytes()
    assert "up to date" in run("migrate", *on_server, "--data-dir", "data").stdout
    made = run(
        "keys", "create", *on_server, "--data-dir", "data", "--name", "app", "--scope", "admin", "--json"
    )
    assert json.loads(made.stdout)["key"].startswith("clr_")
    checked = run("check", *on_server, "--data-dir", "data", "--json")
    assert (checked.exit_code, [c for c in json.loads(checked.stdout) if not c["ok"]]) == (0, [])
    assert Path("data/installation.key").read_bytes() == key
    refused = run("migrate", *on_server, "--data-dir", "other")
    assert refused.exit_code != 0
    assert "installation key other/installation.key is missing" in refused.stderr
