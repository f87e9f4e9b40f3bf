"""`clarion users import` and `export`: files go to the server and come from it in pieces, and what breaks off goes on."""

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from clarion.cli import client, users
from clarion.cli.client import Answered, Unreachable
from clarion.cli.main import program

ID = "0199e0a8-5c1e-7d5f-8a11-3f0b8f1c9d2e"


class Server:
    """Stores what it is sent; `faults` holds what calls with content raise, None: they are answered."""

    def __init__(self, failed: int = 0) -> None:
        self.content, self.failed = b"", failed
        self.asked: list[tuple[str, str]] = []
        self.faults: Iterator[BaseException | None] = iter(())
        self.complete = False

    def call(self, method, path, body=None, headers=None):
        self.asked.append((method, path))
        if (fault := next(self.faults, None)) is not None:
            raise fault
        if "dry_run" in path:
            error = {"index": 3, "error": {"detail": "email: no address"}}
            return {
                "encoding": "cp1252", "encoding_source": "detected", "lines": 2, "wrong": 1, "users": [], "errors": [error]
            }  # fmt: skip
        if path.startswith("/v1/exports"):
            return self.get("")
        start = int(headers.get("upload-offset", 0))
        if start != len(self.content):
            raise Answered(409, "conflict", f"The file goes on at byte {len(self.content)}.")
        self.content += body
        self.complete = headers["upload-complete"] == "?1"
        return self.get("")

    def get(self, path, **query):
        failed = self.failed
        return {
            "id": ID,
            "kind": "users.import",
            "status": "partly_failed" if failed else "succeeded",
            "detail": "Done.",
            "progress": {"done": 1, "failed": failed, "total": 1 + failed},
            "errors": [
                {"index": 2, "message_id": None, "run_id": None, "error": {"detail": "email: no address"}}
            ]
            * failed,
            "errors_url": f"/v1/operations/{ID}/errors",
            "result_url": f"/v1/operations/{ID}/file",
            "file": {
                "bytes": len(self.content),
                "complete": self.complete,
                "upload_url": f"/v1/operations/{ID}/file",
            },
        }

    def download(self, path, file):
        self.asked.append(("GET", path))
        file.write_bytes(b"user_id\nu1\n")


@pytest.fixture
def run(monkeypatch):
    """Run a command against a server."""
    monkeypatch.setattr(users, "PIECE", 8)
    monkeypatch.setattr(client, "pause", lambda _: None)

    def run(server, *args):
        monkeypatch.setattr(client, "connect", lambda *_: server)
        return CliRunner().invoke(program, ["users", *map(str, args)])

    return run


@pytest.fixture
def file(tmp_path):
    """Of three pieces."""
    path = tmp_path / "people.csv"
    path.write_bytes(b"user_id\nu1\nu2\nu3\nu4")
    return path


def test_a_file_goes_in_pieces_and_arrives_whole(run, file):
    """With what the options say in the query."""
    server = Server()
    done = run(
        server,
        "import",
        file,
        "--mode",
        "merge",
        "--encoding",
        "cp1252",
        "--column",
        "E-Mail=email",
        "--column",
        "x=",
    )
    assert (done.exit_code, server.content, server.complete) == (0, file.read_bytes(), True)
    (method, path), *others = server.asked
    assert (method, others) == ("POST", [("PATCH", f"/v1/operations/{ID}/file")] * 2)
    assert "mode=merge" in path
    assert "format=csv" in path
    assert "encoding=cp1252" in path
    assert "E-Mail" in path


@pytest.mark.parametrize("fault", [Unreachable("nobody answers"), Answered(503, "unavailable", "wait")])
def test_a_server_that_is_away_for_a_moment_is_asked_where_the_file_goes_on(run, file, fault):
    """No piece is sent twice, and none is left out."""
    server = Server()
    server.faults = iter([None, fault, fault])
    assert run(server, "import", file).exit_code == 0
    assert server.content == file.read_bytes()


def test_an_upload_that_is_interrupted_says_how_it_goes_on(run, file):
    """And it goes on there."""
    server = Server()
    server.faults = iter([None, KeyboardInterrupt()])
    done = run(server, "import", file)
    assert done.exit_code != 0
    assert f"--resume {ID}" in " ".join(done.output.split())
    assert run(server, "import", file, "--resume", ID).exit_code == 0
    assert server.content == file.read_bytes()


def test_refused_lines_are_written_beside_the_file(run, file):
    """As they were, ready to be corrected; the exit code says that there are some."""
    server = Server(failed=1)
    done = run(server, "import", file)
    assert done.exit_code == 1
    assert "line 2: email: no address" in done.output
    assert file.with_name("people.errors.csv").read_bytes() == b"user_id\nu1\n"
    assert server.asked[-1] == ("GET", f"/v1/operations/{ID}/errors?lines=true")


def test_a_dry_run_says_what_was_found(run, file):
    """The encoding, the first lines that are wrong; nothing is sent but the first piece."""
    server = Server()
    done = run(server, "import", file, "--dry-run")
    assert (done.exit_code, server.content) == (0, b"")
    assert "cp1252 (detected)" in done.output
    assert "line 3: email: no address" in done.output


def test_the_file_itself_is_never_overwritten_with_its_errors(run, file):
    """A slip in --errors would cost the whole list."""
    before = file.read_bytes()
    assert run(Server(), "import", file, "--errors", file).exit_code == 2
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("wrong", "said"), [(["--mode", "mrege"], "merge"), (["--column", "email"], "E-Mail=email")]
)
def test_a_wrong_option_is_refused_with_what_is_meant(run, file, wrong, said):
    """Before anything is sent."""
    server = Server()
    done = run(server, "import", file, *wrong)
    assert (done.exit_code, server.asked, said in done.output) == (2, [], True)


def test_users_are_written_into_a_file(run, tmp_path):
    """CSV or NDJSON by its name."""
    server, target = Server(), tmp_path / "out.csv"
    done = run(server, "export", target, "--where", "true", "--json")
    assert (done.exit_code, target.read_bytes()) == (0, b"user_id\nu1\n")
    assert json.loads(done.stdout)["id"] == ID
