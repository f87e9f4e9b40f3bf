"""The command line against a running demo, as a person and as a script use it."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
from pathlib import Path

from bench.server import Server
from tests.acceptance.forks import Done, run_command

WELCOME = ("--set", "plan=Reader", "--set", "voucher=HELLO")


async def clarion(*words: str | Path, cwd: Path, editor: str = "false") -> Done:
    """Run a command to its end."""
    return await run_command(*words, cwd=cwd, VISUAL="", EDITOR=editor)


async def test_what_was_triggered_can_be_followed_and_explained(server: Server, tmp_path: Path):
    """From the event to every message of it and the reason of each."""
    await server.start()

    async def run(*words: str) -> Done:
        return await clarion(*words, "--data-dir", server.data, "--json", cwd=tmp_path)

    rehearsed = await run("trigger", "welcome", "--to", "juergen", *WELCOME, "--dry-run")
    assert len(rehearsed.json["runs"][0]["channels"]) == 5
    event = (await run("trigger", "welcome", "--to", "juergen", *WELCOME)).json["event_id"]
    await _settled(server, event)
    (told,) = (await run("explain", event, "--user-id", "juergen")).json
    assert {c["channel"]: c["reason"] for c in told["channels"]}["chat"] == "no_contact"
    listed = (await run("messages", "list", "--event-id", event)).json
    assert sorted(m["channel"] for m in listed) == ["chat", "email", "in_app", "push", "sms"]
    sent = next(m["id"] for m in listed if m["channel"] == "sms")
    shown = (await run("messages", "show", sent)).json
    assert [change["status"] for change in shown["timeline"]] == ["queued", "sent"]
    assert (await run("messages", "show", "0199e0a8-5c1e-8d5f-8a11-3f0b8f1c9d2e")).code == 4
    assert (await run("trigger", "nope", "--to", "ada")).code == 4
    wrong = await run("trigger", "welcome", "--to", "ada", "--lane", "slow")
    assert (wrong.code, "lane" in wrong.err) == (6, True)


async def test_a_trigger_warns_of_a_channel_that_nothing_serves(server: Server, tmp_path: Path):
    """Beside the answer: the event is accepted all the same."""
    await server.start()
    where = ("--data-dir", server.data)
    await clarion("integrations", "delete", "capture-sms", *where, cwd=tmp_path)
    done = await clarion("trigger", "welcome", "--to", "ada", *WELCOME, *where, cwd=tmp_path)
    assert (done.code, "Accepted for 1" in done.out) == (0, True)
    assert "Warning: No integration serves `sms`" in done.err


async def test_every_document_can_be_made_read_changed_and_deleted(server: Server, tmp_path: Path):
    """One set of verbs for every noun; what `show` prints can be sent back, in the editor too."""
    await server.start()

    async def run(*words: str | Path, editor: str = "false") -> Done:
        return await clarion(*words, "--data-dir", server.data, cwd=tmp_path, editor=editor)

    for noun, name, field in (
        ("categories", "marketing", "name"),
        ("workflows", "welcome", "name"),
        ("integrations", "capture-email", "weight"),
        ("users", "ada", "locale"),
    ):
        listed = (await run(noun, "list", "--json")).json
        assert name in {one["user_id" if noun == "users" else "key"] for one in listed}
        before = (await run(noun, "show", name)).json
        kept = {
            k: v
            for k, v in before.items()
            if k
            not in {
                "contacts",
                "created_at",
                "unreadable",
                "updated_at",
                "revision",
                "key",
                "user_id",
                "version",
            }
        }
        (tmp_path / "one.json").write_text(json.dumps(kept))
        made = await run(noun, "create", f"{name}-2", "one.json")
        assert made.code == 0, made.err
        assert (await run(noun, "create", f"{name}-2", "one.json")).code == 6
        changed = await run(noun, "update", f"{name}-2", "--set", f"{field}=de", "--json")
        assert changed.code == 0 or noun == "integrations", changed.err
        if noun != "integrations":
            assert changed.json[field] == "de", changed.err
            edit = await run(
                noun, "edit", f"{name}-2", "--json", editor=f'sed -i \'s/"{field}": "de"/"{field}": "fr"/\''
            )
            assert edit.code == 0, edit.err
            assert edit.json[field] == "fr"
        untouched = await run(noun, "edit", f"{name}-2", editor="true")
        assert (untouched.code, untouched.out) == (0, "Nothing was changed.\n")
        assert (await run(noun, "delete", f"{name}-2", *(["--yes"] * (noun == "users")))).code == 0
        assert (await run(noun, "show", f"{name}-2")).code == 4
    assert (await run("topics", "create", "fans", "--set", "name=Readers")).code == 0
    assert (await run("topics", "subscribe", "fans", "ada", "juergen")).out == "2 subscribed to fans.\n"
    assert (await run("topics", "unsubscribe", "fans", "ada")).code == 0
    assert (await run("topics", "subscribers", "fans", "--json")).json == [{"user_id": "juergen"}]
    assert (await run("topics", "update", "fans", "--set", "name=Fans", "--json")).json["name"] == "Fans"
    (found,) = (await run("users", "search", "--email", "ada@example.com", "--json")).json
    assert found["user_id"] == "ada"
    left = await run("preferences", "update", "ada", "--set", 'categories={"marketing": {"enabled": false}}')
    assert left.code == 0, left.err
    chosen = (await run("preferences", "show", "ada", "--json")).json
    assert chosen["stored"]["categories"]["marketing"]["enabled"] is False
    made = (await run("suppressions", "create", "email", "gone@example.com", "--json")).json
    (found,) = (await run("suppressions", "search", "email", "gone@example.com", "--json")).json
    assert found == made
    assert (await run("suppressions", "delete", made["id"])).code == 0
    unasked = await run("users", "delete", "ada")
    assert unasked.code != 0
    assert (await run("users", "show", "ada")).code == 0


async def _settled(server: Server, event: str) -> None:
    async with asyncio.timeout(60):
        while True:
            answer = await server.api.get(f"/v1/messages?event_id={event}")
            states = [message["status"] for message in answer["items"]]
            if len(states) == 5 and not {"queued", "sending"} & set(states):
                return
            await asyncio.sleep(0.05)


async def test_an_import_survives_wrong_lines_and_gives_them_back(server: Server, tmp_path: Path):
    """The good ones are in; the refused ones lie in a file that can be corrected and imported."""
    await server.start()
    file = tmp_path / "people.csv"
    rows = [f"u{n},u{n}@example.com" for n in range(1200)]
    rows[700] = "u700,nonsense"
    file.write_text("\n".join(["user_id,email", *rows]) + "\n", encoding="utf-8")
    done = await clarion("users", "import", file, "--data-dir", server.data, "--json", cwd=tmp_path)
    assert (done.code, done.json["status"]) == (1, "partly_failed")
    assert done.json["progress"] == {"done": 1199, "failed": 1, "total": 1200}
    (error,) = done.json["errors"]
    assert (error["index"], error["column"], error["value"]) == (702, "email", "nonsense")
    refused = tmp_path / "people.errors.csv"
    assert refused.read_text() == "user_id,email\nu700,nonsense\n"
    refused.write_text("user_id,email\nu700,u700@example.com\n", encoding="utf-8")
    assert (await clarion("users", "import", refused, "--data-dir", server.data, cwd=tmp_path)).code == 0


async def test_a_command_without_its_server_or_key_leaves_with_its_own_code(server: Server, tmp_path: Path):
    """Scripts can tell "later" from "never" and from "not you"."""
    await server.start()
    here = f"http://127.0.0.1:{server.port}"
    nobody = await clarion("messages", "list", "--url", "http://127.0.0.1:9", "--api-key", "x", cwd=tmp_path)
    stranger = await clarion("messages", "list", "--url", here, "--api-key", "clr_x", cwd=tmp_path)
    assert (nobody.code, stranger.code) == (3, 5)
    assert "Traceback" not in nobody.err + stranger.err


async def test_the_demo_comes_back_with_the_same_key(server: Server, tmp_path: Path):
    """Ctrl-C ends it sooner than a drain would be given up; only its owner can read what it wrote; a lost file brings a new key."""
    await server.start()
    first, path = server.dev, server.data / "dev.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first["users"] == ["ada", "juergen", "misaki"]
    server.signal(signal.SIGINT)
    await server.ended(within=8)
    await server.start()
    assert server.dev == first
    await server.stop()
    path.unlink()
    await server.start()
    assert server.dev["api_key"] != first["api_key"]


async def test_a_port_or_a_directory_in_use_is_said_and_nothing_is_harmed(server: Server, tmp_path: Path):
    """With what to do about it."""
    await server.start()
    port = await clarion(
        "dev", "--port", str(server.port), "--data-dir", tmp_path / "new", "--no-open", cwd=tmp_path
    )
    assert (port.code, "--port" in port.err) == (2, True)
    for words in (("dev", "--port", "0", "--no-open"), ("migrate",)):
        held = await clarion(*words, "--data-dir", server.data, cwd=tmp_path)
        assert (held.code, "in use by another Clarion process" in held.err) == (2, True)
    assert server.running


async def test_templates_are_kept_in_files_checked_published_and_taken_back(server: Server, tmp_path: Path):
    """An author breaks one, is told where, mends it, looks at it in another language, publishes, and goes back."""
    await server.start()

    async def run(*words: str | Path) -> Done:
        return await clarion("templates", *words, "--data-dir", server.data, cwd=tmp_path)

    file = tmp_path / "parcel.toml"
    text = 'key = "parcel"\n[example_data]\nname = "Ada"\n[channels.sms]\nen = {{ text = "Hello {{{{ {} }}}}" }}\n'
    file.write_text(text.format("nam"))
    refused = await run("publish", file)
    assert refused.code == 6
    assert "#/channels/sms/en/text" in refused.err
    assert "`nam`" in refused.err
    draft = await run("publish", file, "--draft")
    assert (draft.code, "error: #/channels/sms/en/text" in draft.err) == (0, True)
    file.write_text(text.format("name") + 'de = { text = "Hallo {{ name }}" }\n')
    seen = await run("preview", file, "--locale", "de", "--channel", "sms", "--json")
    assert seen.json["previews"][0]["content"]["text"] == "Hallo Ada"
    assert (await run("publish", file)).out == "parcel is live in version 1.\n"
    file.write_text(text.format("name|upper"))
    assert (await run("publish", file)).code == 0
    assert "Hello ADA" in (await run("preview", "parcel")).out
    back = await run("rollback", "parcel", "1")
    assert back.out == "parcel is live in version 3, which is 1 again.\n"
    shown = await run("show", "parcel", "--json")
    assert (shown.json["version"], shown.json["origin"]) == (3, "version 1")
    listed = (await run("list", "--json")).json
    assert {"parcel", "order-shipped"} <= {one["key"] for one in listed}
    assert (await run("show", "nobody")).code == 4
    assert (await run("publish", tmp_path / "none.json")).code == 2
    await server.api.post(
        "/v1/workflows/order-shipped/trigger",
        {"recipients": ["ada"], "data": {"order": "A-1", "carrier": "DHL"}},
    )
    wrong = await clarion(
        "trigger",
        "order-shipped",
        "--to",
        "ada",
        "--set",
        "order=A-1",
        "--data-dir",
        server.data,
        cwd=tmp_path,
    )
    assert (wrong.code, "carrier" in wrong.err) == (6, True)


async def test_a_price_list_is_kept_and_told(server: Server, tmp_path: Path):
    """From a file, in place of the one before; wrong lines are named, and nothing is changed by them."""
    await server.start()

    async def run(*words: str | Path) -> Done:
        return await clarion(*words, "--data-dir", server.data, cwd=tmp_path)

    file = tmp_path / "prices.csv"
    file.write_text("country,price\nDE,0.075\n+1787,0.02\n", encoding="utf-8")
    assert (await run("prices", "import", file, "--currency", "EUR")).code == 0
    file.write_text("DE,0.08\nJP,0.1\n", encoding="utf-8")
    answer = await run("prices", "import", file, "--currency", "EUR", "--json")
    assert answer.code == 0, answer.err
    kept = answer.json
    rows = {row: {"amount": amount, "currency": "EUR"} for row, amount in (("DE", "0.08"), ("JP", "0.1"))}
    assert kept == {"sms": rows, "voice": {}, "whatsapp": {}, "email": {}, "providers": {}}
    listed = await run("prices", "list", "--json")
    assert (listed.code, listed.err) == (0, "")
    assert listed.json == kept
    for text, said in (("DE,0.08\nFR,cheap", "line 2"), ("DE,1\nDE,2", "already"), ("XX,1", "XX")):
        file.write_text(text, encoding="utf-8")
        refused = await run("prices", "import", file, "--currency", "EUR")
        assert (refused.code in (2, 6), said in refused.err, "Traceback" in refused.err) == (
            True,
            True,
            False,
        )
    assert (await run("prices", "list", "--json")).json == kept
    previewed = await run("templates", "preview", "otp", "--user-id", "juergen", "--channel", "sms")
    assert "DE 0.08 EUR" in previewed.out, previewed


async def test_a_template_is_sent_to_oneself(server: Server, tmp_path: Path):
    """As a real message that can be looked up; a draft too, before anything of it is live."""
    await server.start()

    async def run(*words: str | Path) -> Done:
        return await clarion(*words, "--data-dir", server.data, "--json", cwd=tmp_path)

    draft = {"channels": {"sms": {"en": {"text": "Only a test for {{ user.id }}"}}}}
    (tmp_path / "otp.json").write_text(json.dumps(draft), encoding="utf-8")
    assert (await run("templates", "publish", tmp_path / "otp.json", "--draft")).code == 0
    to_me = ("--to", "ada", "--channel", "sms")
    sent = (await run("templates", "test", "otp", *to_me, "--draft")).json
    async with asyncio.timeout(60):
        while (shown := await run("messages", "show", sent["message_id"])).code == 4:  # noqa: ASYNC110 - planned a moment later
            await asyncio.sleep(0.1)
    assert shown.json["user_id"] == "ada"
    assert (await run("templates", "test", "nothing", *to_me)).code == 4
    assert (await run("templates", "test", "otp", "--to", "nobody", "--channel", "sms")).code == 6


async def test_an_integration_is_tested_and_its_message_followed_to_its_end(server: Server, tmp_path: Path):
    """Every step on a line with its time; what keeps messages instead of sending them reports nothing."""
    await server.start()
    where = ("--data-dir", server.data)
    done = await clarion(
        "integrations", "test", "capture-sms", "--to", "+4915112345678", *where, cwd=tmp_path
    )
    assert (done.code, "reports nothing more" in done.err) == (0, True), done
    steps = [line.split()[1] for line in done.out.splitlines()]
    assert steps == ["accepted", "planned", "called", "outcome"]
    missing = await clarion("integrations", "test", "nope", "--user-id", "ada", *where, cwd=tmp_path)
    assert missing.code == 4
