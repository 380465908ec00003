"""A few hundred mutants of each message type and file on every run; benchmarks/fuzz_*.py try a hundred thousand."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
from sensor_msgs.msg import PointCloud2

from madm_ros import inputs

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import fuzz_messages


@pytest.fixture
def event_types(monkeypatch):
    """The packages of the event types are not on PyPI; inputs read their bytes and need a class to subscribe only."""
    known = inputs.message_class
    monkeypatch.setattr(
        inputs, "message_class", lambda name, otherwise=None: known(name) if "sensor_msgs" in name else PointCloud2
    )


@pytest.mark.parametrize("name", fuzz_messages.KINDS)
def test_mutated_messages(name, event_types, capfd):
    cases = fuzz_messages.MessageCases(fuzz_messages.KINDS[name], seed=1)
    outcomes: Counter[str] = Counter()
    for index in range(2, 162):
        outcome = cases(index)
        assert not outcome.startswith("problem"), f"message {index}: {outcome}"
        outcomes[outcome.partition(":")[0]] += 1
    cases.close()
    assert outcomes["accepted"] + outcomes["accepted without a frame"] >= 12
    assert outcomes["rejected"] >= 60
