"""Steps whose words a language model writes: what is wrong with them, the words of the step stand in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from clarion.model.connection import ConnectionLimits
from clarion.model.setup import Step, StepType
from clarion.ports.http import HttpReply
from clarion.testing.ports import ManualClock
from tests.engine import engine
from tests.unit.flow.test_fetch import AWAY, SHOP, Shop, begin, passing, said, told
from tests.unit.flow.test_runs import send, sent

WORDS = Step(
    key="words",
    type=StepType.GENERATE,
    connection="shop",
    model="small",
    prompt="One friendly line about the order.",
    input="{'text': data.text, 'who': 'ada', 'mail': 'ada@example.org'}",
    output={
        "type": "object",
        "properties": {"line": {"type": "string"}},
        "required": ["line"],
        "additionalProperties": False,
    },
    fallback={"line": "static"},
)


def wrote(answer: Any, *, sure: bool = True, finish: str = "stop", **more: Any) -> HttpReply:
    """What a service with chat completions answers."""
    text = json.dumps({"sure": sure, "answer": answer})
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return said(200, {"choices": [choice], "usage": {"total_tokens": 70}, **more})


async def test_what_was_written_is_seen_by_steps_behind_it(store):
    """The service learns neither name nor address, and both stand in what comes of it."""
    shop = Shop(wrote({"line": "hello, [[2]] at [[1]]"}))
    async with engine(store, clock=ManualClock(), http=shop) as clarion:
        when = "steps.words.ok && steps.words.value.line == 'hello, ada at ada@example.org'"
        await begin(clarion, WORDS, send("hello", when=when))
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert await sent(clarion) == ["hello"]
        (asked,) = shop.asked
        assert (asked.method, asked.url) == ("POST", "https://shop.example/api/chat/completions")
        assert b"ada" not in asked.body
        body = json.loads(asked.body)
        assert body["messages"][1] == {
            "role": "user",
            "content": '{"mail":"[[1]]","text":"hello","who":"[[2]]"}',
        }
        assert body["model"] == "small"
        text = " ".join(await told(clarion, accepted.event_id))
        assert "for 70 tokens, with 2 personal data replaced" in text


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (wrote({"line": "hello"}, sure=False), "not sure"),
        (wrote({"line": "hello"}, finish="length"), "breaks off"),
        (wrote({"lin": "hello"}), "does not satisfy `output`"),
        (wrote({"line": "see evil.example"}), "a link"),
        (wrote({"line": "[[9]]"}), "placeholder"),
        (said(200, {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}), "no JSON object"),
        (said(200, {"choices": []}), "select: "),
        (AWAY, "did not answer"),
    ],
)
async def test_words_that_are_of_no_use_are_not_used(store, answer, error):
    """The trace says why, and nothing of what was written."""
    async with engine(store, clock=ManualClock(), http=Shop(answer)) as clarion:
        await begin(
            clarion,
            replace(WORDS, attempts=1),
            send("hello", when="!steps.words.ok && steps.words.value.line == 'static'"),
        )
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert await sent(clarion) == ["hello"]
        text = " ".join(await told(clarion, accepted.event_id))
        assert error in text
        assert "evil" not in text


async def test_a_day_has_so_many_tokens(store):
    """Counted before a call, for all runs of the tenant; with the next day it begins anew."""
    shop = Shop(wrote({"line": "hello"}))
    async with engine(store, clock=ManualClock(), http=shop) as clarion:
        few = replace(SHOP, limits=ConnectionLimits(tokens_per_day=2_000))
        await begin(clarion, WORDS, send("hello", when="steps.words.ok"), connection=few)
        for _ in range(4):
            await clarion.trigger("w", "ada")
            await passing(clarion, 2)
        accepted = await clarion.trigger("w", "ada")
        await passing(clarion, 2)
        asked = len(shop.asked)
        assert 1 <= asked < 5
        assert len(await sent(clarion)) == asked
        assert "used up" in " ".join(await told(clarion, accepted.event_id))
        await clarion.pass_time(86_400)
        await clarion.trigger("w", "ada")
        await passing(clarion, 2)
        assert len(shop.asked) == asked + 1
