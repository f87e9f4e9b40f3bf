"""No rendering takes long. Fuel counts steps, but one step may walk through all the data: so before every such step the
time already used is looked at.

That costs nothing where there is no such step: only the tags concerned get a look put in front of them.
"""

from __future__ import annotations

import time

from clarion.content.templates.sandbox import FILTERS, STEADY_FILTERS, Tag, is_literal, tags

LIMIT_S = 0.010
"""Of CPU time for one rendering: a thousand times what a usual one takes."""
FEW = 12
"""Steps outside loops that need no look: each is taken at most once."""
LOOK = "look"
"""The filter that looks. Not for authors."""
_COMPARISONS = frozenset({"==", "!=", "<", ">", "<=", ">="})
_COPIES = frozenset({"~", "+", ":"})
_WALKING_TESTS = frozenset({
    "endingwith", "eq", "ge", "gt", "in", "le", "lower", "lt", "ne", "startingwith", "upper",
})  # fmt: skip


class BudgetExceeded(Exception):
    """The time is over, at the offset `at` of the source `name`."""

    def __init__(self, name: str, at: int) -> None:
        super().__init__(name, at)
        self.name = name
        self.at = at


class TimeBudget:
    """The time of one rendering."""

    __slots__ = ("_cpu", "_wall")

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A rendering begins."""
        self._wall = time.perf_counter()
        self._cpu = time.thread_time()

    def look(self, place: object = None) -> bool:
        """False while there is time. Raises Late when there is none: a busy machine alone is no reason."""
        if time.perf_counter() - self._wall > LIMIT_S and time.thread_time() - self._cpu > LIMIT_S:
            name, _, at = str(place).partition(" ")
            raise BudgetExceeded(name, int(at) if at.isdigit() else 0)
        return False


def looks(name: str, source: str) -> list[tuple[int, int, str]]:
    """What to put into the source `name` so that every step that may take long is preceded by a look."""
    steps: list[tuple[Tag, int, int]] = []
    loops = 0
    for tag in tags(source):
        loops += tag.is_statement("for") - tag.is_statement("endfor")
        if found := walks(tag.tokens):
            steps.append((tag, loops, found))
    few = sum(found for _, loops, found in steps if not loops) <= FEW
    return [edit for tag, loops, _ in steps if loops or not few for edit in _look(name, tag, source)]


def walks(tokens: list[str]) -> int:
    """How many steps of a tag may each walk through whole texts, lists or objects."""
    found = 0
    for before, word, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
        if word in _COMPARISONS:
            found += not (is_literal(before) or is_literal(after))
        elif before == "|":
            found += word in FILTERS and word not in STEADY_FILTERS
        elif before in ("is", "not") and word in _WALKING_TESTS:
            found += 1
        elif word == "[":  # an index counts the characters of a text up to there
            found += before in (")", "]") or before[:1].isidentifier()
        else:
            found += word in _COPIES or (word == "in" and tokens[0] != "for")
    return found


def _look(name: str, tag: Tag, source: str) -> list[tuple[int, int, str]]:
    look = f"'{name} {tag.start}'|{LOOK}"
    if not tag.is_statement("elif"):
        return [(tag.start, tag.start, f"{{% if {look} %}}{{% endif %}}")]
    first = source.index("elif", tag.start) + len("elif")
    last = tag.end - 2 - (source[tag.end - 3] in "-+")
    return [(first, first, f" not {look} and ("), (last, last, ")")]
