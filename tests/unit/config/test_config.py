"""Settings are checked before anything starts, and every complaint says where and what to do."""

import re
from pathlib import Path

import pytest

from clarion.config import Settings, unsafe
from clarion.errors import ConfigError
from clarion.model.channel import Channel, Lane
from clarion.model.worker import ROLES, Role


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch, tmp_path):
    for name in ("CLARION_PORT", "CLARION_DATA_DIR", "CLARION_PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_needs_to_be_set():
    """The defaults are a complete, loopback-only installation."""
    settings = Settings.load()
    assert (settings.host, settings.port, settings.base_url) == ("127.0.0.1", 8080, "http://127.0.0.1:8080")


def test_later_sources_win(tmp_path, monkeypatch):
    """The command line beats the environment, which beats the file."""
    file = write(tmp_path / "a.toml", 'port = 1000\nhost = "::1"\n[limits]\nbatch = 7\nbody_bytes = 2048\n')
    monkeypatch.setenv("CLARION_PORT", "2000")
    monkeypatch.setenv("CLARION_LIMITS__BATCH", "8")
    settings = Settings.load(file, port=3000, host=None)
    assert (settings.port, settings.host) == (3000, "::1")
    assert (settings.limits.batch, settings.limits.body_bytes) == (8, 2048)


def test_the_file_beside_the_process_is_found(tmp_path):
    """`./clarion.toml` is read without being asked for."""
    write(tmp_path / "clarion.toml", "drain_s = 7")
    assert Settings.load().drain_s == 7


def test_lists_can_come_from_the_environment(monkeypatch):
    """Origins are separated by commas there."""
    monkeypatch.setenv("CLARION_GATEWAY__ALLOWED_ORIGINS", "https://a.example, https://b.example")
    assert Settings.load().gateway.allowed_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("given", "fanout"),
    [
        ({}, "memory:"),
        ({"database": "unix:store.sock"}, "unix:store.sock"),
        ({"database": "postgresql://db.example/app"}, "postgresql://db.example/app"),
        ({"database": "postgresql://db.example/app", "redis": "redis://r.example"}, "redis://r.example"),
        ({"redis": "rediss://r.example", "fanout": "memory:"}, "memory:"),
        ({"redis": ""}, "memory:"),
    ],
)
def test_live_inboxes_follow_what_processes_share(monkeypatch, given, fanout):
    """Redis if there is one, else the database that others reach too; unless it is said otherwise."""
    for name, value in given.items():
        monkeypatch.setenv(f"CLARION_{name.upper()}", value)
    assert Settings.load().fanout == fanout


def test_redis_is_a_redis(monkeypatch):
    """What is wrong is not shown: it may hold a password."""
    monkeypatch.setenv("CLARION_REDIS", "http://ada:hunter2@r.example")
    with pytest.raises(
        ConfigError, match=r"CLARION_REDIS.*must be the URL of a Redis or Valkey server"
    ) as wrong:
        Settings.load()
    assert "hunter2" not in str(wrong.value)


def test_networks_users_may_reach_are_ranges(monkeypatch):
    """A range that means something else than it says is refused before it opens anything."""
    monkeypatch.setenv("CLARION_OUTBOUND__ALLOWED_NETWORKS", "10.20.0.0/16, fd00::/8")
    assert Settings.load().outbound.allowed_networks == ("10.20.0.0/16", "fd00::/8")
    monkeypatch.setenv("CLARION_OUTBOUND__ALLOWED_NETWORKS", "10.20.3.1/16")
    with pytest.raises(ConfigError, match=r"CLARION_OUTBOUND__ALLOWED_NETWORKS.*host bits"):
        Settings.load()


def test_a_wrong_value_in_the_file_is_shown_with_its_line(tmp_path):
    """Whoever edits the file can jump to the mistake."""
    file = write(tmp_path / "a.toml", '[log]\nlevel = "info"\n\n[limits]\nbatch = "many"\n')
    with pytest.raises(ConfigError, match=rf"limits\.batch \({file}:5\): .*integer.*'many'"):
        Settings.load(file)


def test_a_wrong_value_in_the_environment_names_the_variable(monkeypatch):
    """Whoever deploys sees which variable to change."""
    monkeypatch.setenv("CLARION_PORT", "eighty")
    with pytest.raises(ConfigError, match=r"port \(CLARION_PORT\)"):
        Settings.load()


def test_a_section_of_the_environment_that_does_not_fit_together_names_its_variables(monkeypatch):
    """There is no file whose line could be named."""
    monkeypatch.setenv("CLARION_REGION__NAME", "paris")
    with pytest.raises(ConfigError, match=r"region \(CLARION_REGION__NAME\): names must be two regions"):
        Settings.load()


def test_a_wrong_option_names_the_option():
    """Whoever typed it sees what they typed."""
    with pytest.raises(ConfigError, match=r"port \(--port\): .*65535.*99999"):
        Settings.load(port=99_999)


@pytest.mark.parametrize(
    ("line", "nearest"),
    [("prot = 1", "port"), ("[limits]\nbody_byte = 1", "limits.body_bytes"), ("batch = 5", "limits.batch")],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(tmp_path, line, nearest):
    """A typing mistake never turns into a default silently."""
    file = write(tmp_path / "a.toml", line)
    with pytest.raises(ConfigError, match=rf"no such setting\. Did you mean {nearest}\?"):
        Settings.load(file)


def test_an_unknown_variable_is_refused_with_the_nearest_name(monkeypatch):
    """The same holds for the environment, spelled as there."""
    monkeypatch.setenv("CLARION_LIMITS__BACTH", "5")
    with pytest.raises(ConfigError, match=r"CLARION_LIMITS__BACTH .*Did you mean CLARION_LIMITS__BATCH\?"):
        Settings.load()


def test_the_variables_of_client_commands_are_no_settings(monkeypatch):
    """`CLARION_URL` and `CLARION_API_KEY` may be set where a server starts."""
    monkeypatch.setenv("CLARION_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CLARION_API_KEY", "clr_x")
    assert Settings.load().port == 8080


@pytest.mark.parametrize("source", ["file", "environment"])
def test_the_mode_cannot_be_configured(tmp_path, monkeypatch, source):
    """The command decides it: a stray setting must not open the development page on a server."""
    if source == "file":
        write(tmp_path / "clarion.toml", 'mode = "dev"')
    else:
        monkeypatch.setenv("CLARION_MODE", "dev")
    with pytest.raises(ConfigError, match="no such setting"):
        Settings.load()


def test_a_file_that_is_not_toml_says_where(tmp_path):
    """The parser's line reaches the reader."""
    with pytest.raises(ConfigError, match=r"not valid TOML.*line 1"):
        Settings.load(write(tmp_path / "a.toml", "port = = 1"))


def test_a_missing_file_is_an_error_when_asked_for(tmp_path):
    """`--config` never falls back to defaults."""
    with pytest.raises(ConfigError, match="--config"):
        Settings.load(tmp_path / "none.toml")


@pytest.mark.parametrize("url", ["notify.example", "ftp://x", "https://x/path", "https://"])
def test_a_public_url_must_be_a_web_address(url):
    """Links in messages are built on it."""
    with pytest.raises(ConfigError, match="public_url"):
        Settings.load(public_url=url)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"imap_oauth_client_id": "c"}, "imap_oauth_token_url"),
        ({"imap_oauth_token_url": "https://a.example/t"}, "imap_oauth_client_id"),
        (
            {"imap_oauth_token_url": "https://a.example/t", "imap_oauth_client_id": "c"},
            "imap_oauth_refresh_token",
        ),
        (
            {
                "imap_oauth_token_url": "https://a.example/t",
                "imap_oauth_client_id": "c",
                "imap_oauth_refresh_token": "r",
                "imap_password": "p",
            },
            "not both",
        ),
    ],
)
def test_a_mailbox_has_one_login(given, said):
    """A password, or everything that access tokens need."""
    with pytest.raises(ConfigError, match=said):
        Settings.load(inbound=given)


def test_settings_cannot_change_later():
    """They are read once."""
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().port = 1


class TestSafety:
    """What `clarion serve` refuses."""

    @pytest.fixture
    def data(self, tmp_path) -> Path:
        folder = tmp_path / "data"
        folder.mkdir(mode=0o700)
        write(folder / "installation.key", "key").chmod(0o600)
        return folder

    def test_a_prepared_directory_on_loopback_is_fine(self, data):
        """Nothing to refuse."""
        assert list(unsafe(Settings.load(data_dir=data))) == []

    def test_a_key_others_can_read_is_refused(self, data):
        """It opens every contact and message."""
        (data / "installation.key").chmod(0o640)
        (said,) = unsafe(Settings.load(data_dir=data))
        assert "chmod 600" in said

    def test_a_missing_key_is_refused(self, data):
        """A fresh key beside an old database would read nothing."""
        (data / "installation.key").unlink()
        (said,) = unsafe(Settings.load(data_dir=data))
        assert "does not exist" in said

    def test_a_missing_directory_is_refused(self, tmp_path):
        """An unmounted volume must not start an empty installation."""
        (said,) = unsafe(Settings.load(data_dir=tmp_path / "gone"))
        assert "clarion migrate" in said

    def test_a_directory_open_to_everyone_is_refused(self, data):
        """Anyone could replace the database."""
        data.chmod(0o777)
        (said,) = unsafe(Settings.load(data_dir=data))
        assert "chmod o-w" in said

    def test_demo_data_is_refused(self, data):
        """Its API key lies in a file and was shown on a page."""
        write(data / "dev.json", "{}")
        (said,) = unsafe(Settings.load(data_dir=data))
        assert "clarion dev" in said

    @pytest.mark.parametrize(
        ("given", "word"),
        [
            ({}, "public_url is not set"),
            ({"public_url": "http://notify.example"}, "allow_plain_http"),
        ],
    )
    def test_a_public_address_needs_a_tls_address(self, data, given, word):
        """API keys do not travel in the clear by accident."""
        (said,) = unsafe(Settings.load(data_dir=data, host="0.0.0.0", **given))
        assert word in said

    @pytest.mark.parametrize(
        "given",
        [
            {"public_url": "https://notify.example"},
            {"public_url": "http://notify.lan", "allow_plain_http": True},
        ],
    )
    def test_a_public_address_with_tls_or_consent_is_fine(self, data, given):
        """Somebody thought about it."""
        assert list(unsafe(Settings.load(data_dir=data, host="0.0.0.0", **given))) == []

    def test_a_sqlite_file_is_not_shared(self, data):
        """Another process could not open it; what to do instead is said."""
        (said,) = unsafe(Settings.load(data_dir=data, roles="worker,timers"))
        assert "clarion store" in said

    def test_inboxes_that_others_cannot_reach_are_refused(self, data):
        """A gateway of several processes would stay silent."""
        roles, database = "api,gateway", "unix:store.sock"
        assert list(unsafe(Settings.load(data_dir=data, database=database, roles=roles))) == []
        (said,) = unsafe(Settings.load(data_dir=data, database=database, roles=roles, fanout="memory:"))
        assert "fanout is memory:" in said

    def test_debug_records_are_refused(self, data):
        """They are for `clarion dev`."""
        (said,) = unsafe(Settings.load(data_dir=data, log={"level": "debug"}))
        assert "log.level" in said


def test_roles_lanes_and_channels_are_words_between_commas(monkeypatch):
    """From a variable and from the command line; twice is once, and all by default."""
    assert Settings.load().roles == ROLES
    monkeypatch.setenv("CLARION_LANES", "critical, high,critical")
    found = Settings.load(roles="worker,timers", channels="email")
    assert (found.roles, found.lanes) == ((Role.WORKER, Role.TIMERS), (Lane.CRITICAL, Lane.HIGH))
    assert found.channels == (Channel.EMAIL,)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"roles": "wroker"}, "roles (--roles): input should be 'api', 'worker', 'gateway' or 'timers'"),
        ({"lanes": ","}, "lanes (--lanes): must name at least one"),
    ],
)
def test_a_word_that_is_none_of_them_is_refused(given, said):
    """With all that there are."""
    with pytest.raises(ConfigError, match=re.escape(said)):
        Settings.load(**given)


@pytest.mark.parametrize(
    "inbound",
    [
        'imap_host = "h"\nimap_oauth_client_secret = "hush-hush"',
        'imap_password = ["hush-hush"]',
        'imap_oauth_refresh_token = {a = "hush-hush"}',
    ],
)
def test_what_is_wrong_is_told_without_telling_a_secret(tmp_path, inbound):
    """A log or a terminal that shows the error shows no password."""
    file = tmp_path / "clarion.toml"
    file.write_text(f"[inbound]\n{inbound}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as wrong:
        Settings.load(file)
    assert "inbound" in str(wrong.value)
    assert "hush-hush" not in str(wrong.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("clarion.db", "must be a URL that begins with its scheme"),
        ("sqlite:", "must name a file"),
        ("sqlite:///var/lib/clarion.db", "must name a file"),
        ("postgres//ada:hunter2@db.example", "must be a URL that begins with its scheme"),
    ],
)
def test_a_database_is_named_by_a_url(monkeypatch, value, said):
    """What is none is refused with where it was set, and without its value: it may hold a password."""
    monkeypatch.setenv("CLARION_DATABASE", value)
    with pytest.raises(ConfigError, match=rf"database \(CLARION_DATABASE\): {said}") as refused:
        Settings.load()
    assert "hunter2" not in str(refused.value)


def test_a_sqlite_file_lies_in_the_data_directory(tmp_path):
    """Unless its path is absolute."""
    assert Settings(data_dir=tmp_path).database_path == tmp_path / "clarion.db"
    assert Settings(data_dir=tmp_path, database="sqlite:a/b.db").database_path == tmp_path / "a/b.db"
    assert str(Settings(data_dir=tmp_path, database="sqlite:/var/b.db").database_path) == "/var/b.db"


def test_a_command_that_works_on_a_file_says_so_when_there_is_none(tmp_path):
    """With the scheme only."""
    elsewhere = Settings(data_dir=tmp_path, database="pigeons://ada:hunter2@db.example")
    assert elsewhere.missing_database is None
    with pytest.raises(
        ConfigError, match="works on a SQLite file, and the database is at a `pigeons:` URL"
    ) as said:
        _ = elsewhere.database_path
    assert "hunter2" not in str(said.value)


REGION = """
database = "postgresql://app@here.example/clarion"
[region]
name = "oslo"
names = ["paris", "oslo"]
other_database = "postgresql://app@there.example/clarion"
"""


def test_two_regions_are_set_up_in_one_section(tmp_path, monkeypatch):
    """The other one is the one that this is not; each setting has a variable."""
    monkeypatch.setenv("CLARION_REGION__NAMES", "oslo, rome")
    region = Settings.load(write(tmp_path / "a.toml", REGION)).region
    assert (region.name, region.other, region.home, region.alone_after_s) == ("oslo", "rome", "", 5)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "oslo"\n', "", "in which region this process runs"),
        ('["paris", "oslo"]', '["paris", "rome"]', "two regions, this one among them"),
        ('["paris", "oslo"]', '["paris", "oslo", "rome"]', "two regions, this one among them"),
        ('name = "oslo"', 'name = "oslo"\nhome = "rome"', "paris or oslo"),
        ("postgresql://app@there", "mysql://app:hidden@there", "other_database must be"),
        ("postgresql://app@here.example/clarion", "sqlite:clarion.db", "two regions need a database"),
        ('name = "oslo"', 'name = "oslo"\nalone_after_s = -1', "region.alone_after_s"),
        ('name = "oslo"', 'name = "oslo"\nalone_after_s = 8', "at most half of lease_s"),
        ('name = "oslo"', 'name = "oslo"\nother_api = ["paris"]', "without a path"),
        (
            'name = "oslo"',
            'name = "oslo"\nother_api = ["https://a.example"]\nsecret = "hidden"',
            "32 characters",
        ),
    ],
)
def test_regions_that_cannot_be_are_refused(tmp_path, old, new, said):
    """Saying what is wrong, and nothing that a URL may hide."""
    with pytest.raises(ConfigError, match=said) as wrong:
        Settings.load(write(tmp_path / "a.toml", REGION.replace(old, new)))
    assert "hidden" not in str(wrong.value)
