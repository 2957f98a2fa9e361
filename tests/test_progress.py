"""Long work tells its rate and the time left: a plain line every ten seconds, a bar on a terminal."""

import io
import sys

import pytest

from mlob import progress


@pytest.fixture
def clock(monkeypatch):
    """Stand in for the clock: a list whose only value is the time."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def lines(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def work(clock, seconds, *, total, note=""):
    with progress.bar("features", total) as advance:
        for _ in range(total):
            clock[0] += seconds
            advance(1, note)


def test_off_a_terminal_a_line_comes_every_ten_seconds_and_at_the_end(clock, capsys):
    work(clock, 1, total=25)
    assert [line.split(",")[0] for line in lines(capsys)] == [f"features: {done}/25 photos" for done in (10, 20, 25)]


def test_short_work_has_the_last_line_alone(clock, capsys):
    work(clock, 0.1, total=25)
    assert lines(capsys) == ["features: 25/25 photos, 10.0 photos/s, 0 s left"]


def test_a_line_holds_the_rate_and_the_time_left(clock, capsys):
    with progress.bar("features", 10_000) as advance:
        clock[0] += 20
        advance(4000, "loss 0.1")
    assert lines(capsys) == ["features: 4,000/10,000 photos, 200.0 photos/s, 30 s left loss 0.1"]


def test_units_are_named(clock, capsys):
    with progress.bar("mlp", 2, unit="epochs") as advance:
        clock[0] += 10
        advance()
    assert lines(capsys) == ["mlp: 1/2 epochs, 0.1 epochs/s, 10 s left"]


def test_nothing_done_yet_and_a_clock_that_stands_still_do_no_harm(clock, capsys):
    with progress.bar("features", 5) as advance:
        clock[0] += 10
        advance(0)
        clock[0] -= 10
        advance(5)
    assert [line.split(",")[0] for line in lines(capsys)] == ["features: 0/5 photos", "features: 5/5 photos"]


def test_nothing_to_do_prints_nothing(capsys):
    with progress.bar("features", 0):
        pass
    assert lines(capsys) == []


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_a_bar_runs_to_the_end(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.bar("features", 3) as advance:
        for _ in range(3):
            advance(1, "loss 0.1")
    shown = terminal.getvalue()
    assert "features" in shown
    assert "3/3" in shown
    assert "loss 0.1" in shown
    assert "photos/s" in shown


def test_an_error_in_the_work_passes_through_the_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ValueError, match="broken"), progress.bar("features", 3):
        raise ValueError("broken")


def test_what_we_say_goes_to_stderr(capsys):
    progress.say("done")
    assert lines(capsys) == ["done"]


@pytest.mark.parametrize("wanted, told", [(True, "a reason\n"), (False, "")])
def test_details_are_told_where_they_are_asked_for(wanted, told, monkeypatch, capsys):
    monkeypatch.setenv("MLOB_VERBOSE", "")
    progress.be_verbose(wanted)
    progress.detail("a reason")
    assert capsys.readouterr().err == told
