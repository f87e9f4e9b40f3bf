"""What `clarion ... edit` sends of a document that a person changed, and `set` of one that was shown."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from clarion.api.merging import merge
from clarion.cli import client
from clarion.cli.documents import patch
from clarion.cli.main import program

VALUES = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(before=DOCUMENTS, after=DOCUMENTS)
def test_the_patch_of_a_change_makes_that_change(before, after):
    """Whatever was changed, added or taken out (the server merges; nothing in a document is null)."""
    assert merge(before, patch(before, after)) == after
    assert patch(after, after) == {}


def test_what_is_shown_can_be_stored_again(monkeypatch, tmp_path):
    """Without what only the server can say; a new one too, with fields that go before those of the file."""
    calls: list[tuple] = []

    class Server:
        def call(self, method, path, body, headers):
            calls.append((method, path, body))
            return body

    monkeypatch.setattr(client, "connect", lambda *_: Server())
    contact = {"id": "1", "channel": "email", "address": "a@b.example", "label": None, "suppressed": False}
    shown = {
        "user_id": "ada",
        "contacts": [contact],
        "created_at": "x",
        "updated_at": "x",
        "unreadable": False,
    }
    file = tmp_path / "ada.json"
    file.write_text(json.dumps(shown))
    for words in (["set", "ada", str(file)], ["create", "ada", str(file), "--set", "locale=de"]):
        done = CliRunner().invoke(program, ["users", *words])
        assert done.exit_code == 0, done.output
    stored = {
        "user_id": "ada",
        "contacts": [{"channel": "email", "address": "a@b.example", "label": None}],
    }
    assert calls == [("PUT", "/v1/users/ada", stored), ("PUT", "/v1/users/ada", {**stored, "locale": "de"})]
