"""A bar for people, lines for log files."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from madm_core.progress import LoggedProgress, duration, progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_for_terminals_only(monkeypatch, capsys):
    with progress_bar("frames", 3) as bar:
        bar.update(3)
    assert capsys.readouterr().err == "", "short work leaves a log file alone"
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("frames", 3) as bar:
        bar.update(3)
    assert "3/3" in terminal.getvalue()


def test_the_log_tells_the_time_that_is_left(caplog, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(LoggedProgress, "_time", staticmethod(lambda: clock[0]), raising=False)
    with caplog.at_level(logging.INFO), LoggedProgress("frames", 100, every_s=60.0) as bar:
        bar._time = lambda: clock[0]
        bar.start_t = bar.last_print_t = 0.0
        clock[0] = 30.0
        bar.update(10)
        assert not caplog.messages, "not before a minute"
        clock[0] = 120.0
        bar.update(10)
        assert caplog.messages == ["20 of 100 frames done, about 8 min left"]
        clock[0] = 600.0
        bar.update(80)
    assert len(caplog.messages) == 1, "the end speaks for itself"


def test_without_a_total_nothing_is_promised(caplog):
    with caplog.at_level(logging.INFO), LoggedProgress("frames", every_s=0.0) as bar:
        bar.update(7)
    assert caplog.messages[0] == "7 frames done"


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (600, "10 min"), (9000, "2.5 h"), (172800, "2.0 days")])
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text
