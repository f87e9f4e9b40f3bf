"""Our segments are those of a calculator we did not write."""

import json
import random
import subprocess
from pathlib import Path

from clarion.content.sms.segmentation import BASIC, EXTENDED, segments
from tests.needs import DEEP, NPM, require, require_npm

SCRIPT = Path(__file__).parents[2] / "npm" / "sms-segments.js"
TEXTS = 10_000 if DEEP else 2_500
ALPHABETS = (
    "".join(sorted(BASIC - set("\r\f"))),
    "".join(sorted((BASIC | EXTENDED) - set("\r\f"))),
    "abc \u2019\u201c\u2013\u20ac",
    "Привет мир, это текст",
    "\U0001f600\U0001f680abc\U0001f9d1",
    "漢字かなカナ한글",
    "שלום مرحبا 123",
)


def random_text(chance: random.Random) -> str:
    """Short and long ones, many of them close to where another segment starts."""
    alphabet = chance.choice(ALPHABETS)
    edge = chance.choice((0, 60, 66, 69, 70, 71, 133, 134, 135, 152, 153, 159, 160, 161, 305, 306, 307, 459))
    return "".join(chance.choices(alphabet, k=edge + chance.randint(0, 4)))


def test_random_texts_take_as_many_segments_as_npms_calculator_says():
    """In both encodings, with escapes and surrogate pairs at the edges."""
    require_npm("sms-segments-calculator", "segments counted by somebody else")
    chance = random.Random(20_261_122)
    texts = [random_text(chance) for _ in range(TEXTS)]
    done = subprocess.run(
        [require("node", "npm packages"), SCRIPT],
        input="\n".join(map(json.dumps, texts)) + "\n",
        env={"NODE_PATH": str(NPM)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    theirs = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    ours = [(said.encoding, said.count) for said in map(segments, texts)]
    different = [(text, us, them) for text, us, them in zip(texts, ours, theirs, strict=True) if us != them]
    assert different[:3] == []
