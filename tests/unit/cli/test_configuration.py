"""A folder of configuration files, from export to plan, apply and promotion, against the whole API."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.cli import configuration
from clarion.cli.exit_codes import Exit
from clarion.rules import yaml_text

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.fixture
def folder(run, tmp_path) -> Path:
    """What the server has, exported."""
    run("export", tmp_path / "notifications")
    return tmp_path / "notifications"


def edit(file: Path, old: str, new: str) -> None:
    """Replace a text that is there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_a_plan_of_an_export_finds_nothing_and_a_second_export_writes_nothing(run, folder):
    """Comments and another order of words survive, because the files say the same."""
    assert "No changes" in run("plan", folder)
    workflow = folder / "workflows/order-paid.yaml"
    workflow.write_text(workflow.read_text() + "# Ask Ada before you change this.\n")
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert "0 files written" in run("export", folder)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


def test_every_exported_file_names_its_schema_and_satisfies_it(folder):
    """So an editor completes and checks it; a misspelling does not pass."""
    checked = 0
    for file in folder.rglob("*.yaml"):
        line = file.read_text().splitlines()[0]
        schema = (file.parent / line.removeprefix("# yaml-language-server: $schema=")).resolve()
        validator = jsonschema.Draft202012Validator(json.loads(schema.read_text()))
        document, _ = yaml_text.read(file.read_text())
        validator.validate(document)
        assert list(validator.iter_errors({**document, "tempalte": "x"})), file
        checked += 1
    assert checked >= 6


def test_a_change_is_planned_applied_and_then_gone(run, folder):
    """The exit code tells a pipeline; `apply` does what the plan says."""
    edit(folder / "templates/paid/email.en.txt", "Thanks", "Many thanks")
    edit(folder / "workflows/order-paid.yaml", "category: orders", "category: orders\nlane: high")
    told = run("plan", folder, code=Exit.CHANGES)
    assert '~ workflows/order-paid\n      lane: "normal" -> "high"' in told
    assert "~ templates/paid\n      channels.email.en.text:" in told
    assert "2 to change." in told
    done = run("apply", folder, "--yes")
    assert "workflows/order-paid is changed." in done
    assert "No changes" in run("plan", folder)


def test_what_was_changed_by_hand_in_the_server_is_found(run, folder, server):
    """That is drift: the same plan says it, and another export would take it over."""
    client = server.client("acme")
    client.call("PATCH", "/v1/categories/orders", {"name": "By hand"})
    assert '"By hand" -> null' in run("plan", folder, code=Exit.CHANGES).replace("(nothing)", "null")
    assert "categories/orders.yaml" in run("export", folder)
    assert "No changes" in run("plan", folder)
    client.call("PATCH", "/v1/categories/orders", {"name": None})


def test_all_errors_of_all_files_are_told_at_once_with_their_lines(run, folder):
    """What only the server can know, too: names that are not there, texts that do not compile."""
    edit(folder / "workflows/order-paid.yaml", "template: paid", "template: piad")
    (folder / "templates/paid/email.en.txt").write_text("Hello\n{{ data.id\n")
    (folder / "categories/news.yaml").write_text("name: News\n  enabled: [")
    (folder / "workflow").mkdir()
    told = run("plan", folder, code=Exit.REFUSED)
    assert "--> categories/news.yaml:2:" in told
    assert "--> templates/paid/email.en.txt:2:1  /channels/email/en/text\n   2 | {{ data.id" in told
    assert "--> workflow/:1:1" in told
    assert "did you mean `workflows`" in told
    line = (folder / "workflows/order-paid.yaml").read_text().splitlines().index("    template: piad") + 1
    assert f"--> workflows/order-paid.yaml:{line}:15  /steps/0/template" in told
    assert "Did you mean 'paid'?" in told
    assert "4 errors in 4 files. Nothing was changed." in told
    shown = json.loads(run("plan", folder, "-o", "json", code=Exit.REFUSED))
    assert {(one["file"], one["line"]) for one in shown["errors"]} >= {("workflows/order-paid.yaml", line)}
    assert shown["plan_id"] is None


def test_nothing_is_deleted_because_a_file_cannot_be_read(run, folder):
    """Its document is not missing, it is broken."""
    (folder / "workflows/order-paid.yaml").write_text("steps: [")
    shown = json.loads(run("plan", folder, "--json", code=Exit.REFUSED))
    assert shown["changes"] == []


def test_an_environment_lays_its_differences_over_the_documents(run, folder):
    """And so does a file with secrets that is not in git; errors in it are told with its own lines."""
    (folder / "environments").mkdir()
    (folder / "environments/staging.yaml").write_text("integrations:\n  main-sms:\n    enabled: false\n")
    assert "No changes" in run("plan", folder)
    told = run("plan", folder, "--environment", "staging", code=Exit.CHANGES)
    assert "~ integrations/main-sms\n      enabled: true -> false" in told
    extra = folder.parent / "extra.yaml"
    extra.write_text("integrations:\n  main-sms:\n    wieght: 1\n")
    told = run("plan", folder, "--overlay", extra, code=Exit.REFUSED)
    assert f"--> {extra}:3:5  /wieght" in told
    assert "environments there: staging" in run("plan", folder, "--environment", "stag", code=Exit.USAGE)


def test_apply_asks_and_deleting_several_asks_for_their_number(run, folder, monkeypatch):
    """Without a person it wants --yes; with a plan's id it applies that plan only."""
    before = shutil.copytree(folder, folder.parent / "before")
    for file in ("workflows/order-paid.yaml", "categories/orders.yaml"):
        (folder / file).unlink()
    assert "--yes" in run("apply", folder, code=Exit.USAGE)
    monkeypatch.setattr(configuration, "_is_somebody_there", lambda: True)
    assert "type 2 to apply" in run("apply", folder, typed="y\n", code=Exit.FAILED)
    run("apply", folder, "--plan-id", "0" * 24, "--yes", code=Exit.REFUSED)
    plan = json.loads(run("plan", folder, "--json", code=Exit.CHANGES))
    assert "2 deleted" in run("apply", folder, "--plan-id", plan["plan_id"], typed="2\n")
    assert "2 created" in run("apply", before, typed="y\n")


def test_promotion_brings_documents_to_another_server(run, folder, server):
    """With a plan of its own, and without what belongs to one server, such as integrations."""
    words = (
        "promote",
        "--from",
        "http://staging",
        "--from-api-key",
        "acme",
        "--api-key",
        "other",
        "--url",
        "x",
    )
    told = run(*words, "--yes")
    assert "templates/paid is created." in told
    there = server.client("other").get("/v1/config")["documents"]
    here = server.client("acme").get("/v1/config")["documents"]
    assert there["workflows"] == here["workflows"]
    assert [*there["integrations"]] == ["inbox"]
    assert "nothing to apply" in run(*words)
    assert "there is no kind 'workflow'" in run(*words, "--kind", "workflow", code=Exit.USAGE)


@given(DOCUMENTS)
def test_yaml_that_is_written_is_read_the_same(value):
    """Whatever the texts look like: `on`, `22:00`, `null`, line breaks."""
    assert yaml_text.read(yaml_text.written({"value": value}))[0] == {"value": value}


@pytest.mark.parametrize(
    ("text", "told", "place"),
    [
        ("a: 1\na: 2", "stands twice", (2, 1)),
        ("a:\n\tb: 1", "tab", (2, 1)),
        ("a: !!python/object:os.system x", "tags", (1, 4)),
        ("a: *b", "not YAML", (1, 4)),
        ("[" * 40 + "]" * 40, "nested", (1, 34)),
    ],
)
def test_what_is_no_plain_document_is_refused_with_its_place(text, told, place):
    """Nothing runs, nothing is guessed."""
    with pytest.raises(yaml_text.YamlError, match=told) as refused:
        yaml_text.read(text)
    assert refused.value.place == place
