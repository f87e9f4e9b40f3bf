"""What a long run says while it runs."""

import io

from bench.progress import FILE_S, Progress, pace


class Terminal(io.StringIO):
    """Says that a person watches."""

    def isatty(self) -> bool:
        """It is one."""
        return True


class Time:
    """Moves only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_file_gets_a_line_now_and_then():
    """The name first, then at most one line in fifteen seconds, then how long it took."""
    stream, time = io.StringIO(), Time()
    progress = Progress(stream, time)
    progress.begin("growth")
    for i in range(31):
        time.now = 100 + i
        progress.tell(f"{i} done")
    progress.end(", machine index 1.00")
    assert FILE_S == 15
    assert stream.getvalue() == (
        "growth: ...\ngrowth: 15 done\ngrowth: 30 done\ngrowth: 30 s, machine index 1.00\n"
    )


def test_a_terminal_gets_one_line_that_changes():
    """Each message is written over the one before."""
    stream, time = Terminal(), Time()
    progress = Progress(stream, time)
    progress.begin("growth")
    time.now += 1
    progress.tell("1 done")
    progress.end()
    assert stream.getvalue() == "\r\033[Kgrowth: ...\r\033[Kgrowth: 1 done\r\033[Kgrowth: 1 s\n"


def test_the_phase_of_a_long_figure_stands_before_what_is_told():
    """Until the next figure begins."""
    stream, time = io.StringIO(), Time()
    progress = Progress(stream, time)
    progress.begin("growth")
    progress.phase = "filling: 1 of 5"
    time.now += FILE_S
    progress.tell("300 messages under way")
    progress.begin("idle")
    time.now += FILE_S
    progress.tell("starting")
    assert stream.getvalue() == (
        "growth: ...\ngrowth: filling: 1 of 5; 300 messages under way\nidle: ...\nidle: starting\n"
    )


def test_the_pace_says_how_long_the_rest_takes():
    """Nothing is said of a rate before there is one."""
    assert pace(1_000_000, 5_000_000, 100) == "1,000,000 of 5,000,000, 10,000/s, about 400 s left"
    assert pace(0, 5_000_000, 3) == "0 of 5,000,000"
