"""Where the steps of a workflow are drawn."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from clarion.dashboard.step_words import duration, words
from clarion.dashboard.workflow_graph import DOWN, HEIGHT, PILL, WIDTH, Drawing, drawing
from clarion.model.channel import Channel
from clarion.model.setup import Case, LadderChannel, SendAll, SendFirst, SendLadder, Step, StepType, Workflow
from tests.needs import examples


def send(key: str) -> Step:
    return Step(key=key, template="welcome", to=SendAll(channels=(Channel.EMAIL,)))


def drawn(*steps: Step) -> Drawing:
    return drawing(Workflow(key="w", category="c", steps=steps))


def test_steps_stand_below_one_another():
    """With a line from each to the next, from the beginning and to the end."""
    found = drawn(send("a"), send("b"))
    assert [(node.step.key, node.x, node.y) for node in found.nodes] == [
        ("a", WIDTH / 2, PILL + DOWN),
        ("b", WIDTH / 2, PILL + DOWN + HEIGHT + DOWN),
    ]
    assert sorted(line.y for line in found.lines) == [
        PILL,
        PILL + DOWN + HEIGHT,
        PILL + 2 * (DOWN + HEIGHT),
    ]
    assert found.height == PILL + 2 * (DOWN + HEIGHT) + DOWN + PILL


def test_cases_stand_beside_one_another_and_what_fits_none_passes():
    """Each under its condition; a last case without one takes everything else."""
    cases = (Case(when="data.a", steps=(send("a"),)), Case(when="data.b", steps=(send("b"), send("c"))))
    found = drawn(Step(key="fork", type=StepType.BRANCH, cases=cases), send("d"))
    assert [one.text for one in found.labels] == ["data.a", "data.b", "otherwise"]
    at = {node.step.key: node for node in found.nodes}
    assert at["a"].x < at["b"].x == at["c"].x
    assert at["a"].y == at["b"].y < at["c"].y < at["d"].y
    rest = Case(steps=(send("r"),))
    found = drawn(Step(key="fork", type=StepType.BRANCH, cases=(cases[0], rest)))
    assert [one.text for one in found.labels] == ["data.a", "otherwise"]


def steps_of(depth: int) -> st.SearchStrategy[Step]:
    plain = st.just(send("s"))
    if not depth:
        return plain
    case = st.builds(Case, when=st.just("data.x"), steps=st.lists(steps_of(depth - 1), max_size=3).map(tuple))
    branch = st.builds(
        Step,
        key=st.just("s"),
        type=st.just(StepType.BRANCH),
        cases=st.lists(case, min_size=1, max_size=3).map(tuple),
    )
    return plain | branch


@settings(max_examples=examples(200))
@given(st.lists(steps_of(2), max_size=4))
def test_no_step_lies_on_another(steps):
    """Whatever the workflow, all of it inside the drawing, and every line leads down."""
    found = drawn(*steps)
    places = [(node.x, node.y) for node in found.nodes]
    for number, (x, y) in enumerate(places):
        assert WIDTH / 2 <= x <= found.width - WIDTH / 2
        assert PILL + DOWN <= y <= found.height - PILL - DOWN - HEIGHT
        for other_x, other_y in places[:number]:
            assert abs(x - other_x) >= WIDTH or abs(y - other_y) >= HEIGHT + DOWN
    assert all(line.to_y > line.y for line in found.lines)


def test_a_stretch_of_time_is_said_exactly():
    """In the largest units, one or many."""
    assert duration(86_400) == "1 day"
    assert duration(93_784) == "1 day 2 hours 3 minutes 4 seconds"
    assert duration(0) == "no time"


def test_what_a_step_does_is_said_in_a_few_words():
    """How its channels follow one another, how long it waits, how many are in each arm."""
    ladder = SendLadder(channels=(LadderChannel(channel=Channel.PUSH), LadderChannel(channel=Channel.SMS)))
    first = SendFirst(channels=(Channel.PUSH, Channel.EMAIL))
    assert words(Step(key="s", template="t", to=ladder)) == "t by push then SMS"
    assert words(Step(key="s", template="t", to=first)) == "t by push or email"
    assert words(Step(key="s", type=StepType.WAIT, for_s=5_400)) == "for 1 hour 30 minutes"
    arms = Step(key="s", type=StepType.EXPERIMENT, arms={"a": 1, "b": 3})
    assert words(arms) == "a 25%, b 75%"
