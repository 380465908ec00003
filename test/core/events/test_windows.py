"""EventWindow's checks."""

from __future__ import annotations

import pytest

from madm_core.errors import ConfigError
from madm_core.events import EventWindow


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "never"},
        {"duration_ms": 0},
        {"duration_ms": -1, "mode": "trigger"},
        {"count": 0},
        {"stride_ms": 0},
        {"stride_ms": 10, "mode": "count"},
        {"stride_count": 10},
        {"stride_count": 11, "count": 10, "mode": "count"},
        {"trigger_edge": 2},
        {"max_wait_ms": 0},
        {"max_events": 5, "count": 10, "mode": "count"},
        {"max_lag_ms": 0},
    ],
)
def test_values_that_cannot_be_used(wrong):
    with pytest.raises(ConfigError, match=r"got .*expected"):
        EventWindow(**wrong)


def test_what_can_be_accumulated_on_arrival():
    assert EventWindow().accumulates_on_arrival
    assert EventWindow(stride_ms=80).accumulates_on_arrival
    assert not EventWindow(stride_ms=20).accumulates_on_arrival
    assert not EventWindow("count").accumulates_on_arrival
    assert EventWindow("stamps", duration_ms=0).duration_ms == 0
