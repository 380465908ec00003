"""A hundred mutants of each message type and eight of each file; benchmarks/fuzz_*.py try a hundred thousand."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest
from sensor_msgs.msg import PointCloud2

from madm_ros import inputs

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import fuzz_file_kinds
import fuzz_files
import fuzz_messages
from fuzzing import run_case


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
    for index in range(2, 102):
        outcome = cases(index)
        assert not outcome.startswith("problem"), f"message {index}: {outcome}"
        outcomes[outcome.partition(":")[0]] += 1
    for path in range(len(fuzz_messages.KINDS[name].modalities)):
        assert cases(fuzz_messages.PROBE_EVERY + path).startswith("accepted: labels")
    cases.close()
    assert outcomes["accepted"] + outcomes["accepted without a frame"] >= 8
    assert outcomes["rejected"] >= 35


@pytest.mark.parametrize("name", [name for name in fuzz_file_kinds.KINDS if name not in fuzz_file_kinds.WITH_NETWORKS])
def test_damaged_files(name, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        cases = fuzz_files.FileCases(fuzz_file_kinds.KINDS[name], name, seed=1, folder=tmp_path)
        outcomes = [run_case(cases, index) for index in range(8)]
    assert not [outcome for outcome in outcomes if outcome.startswith("problem")]
    assert [outcome for outcome in outcomes if outcome.startswith("rejected")]
