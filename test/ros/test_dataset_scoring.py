from __future__ import annotations

import argparse
from datetime import timedelta

import pytest
import torch
from accelerate.state import AcceleratorState

from madm_ros.dataset_scoring import evaluate


class Begun(Exception):
    """Processes would have been brought together."""


@pytest.fixture
def _fresh_engine():
    """accelerate keeps one state a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("_fresh_engine")
def test_processes_wait_for_hours_for_the_first_one(monkeypatch):
    """It draws DSEC's events alone."""

    def begin(**options):
        raise Begun(options)

    launcher = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for name, value in {**launcher, "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.distributed, "init_process_group", begin)
    with pytest.raises(Begun) as begun:
        evaluate(argparse.Namespace(device="cpu"), [])
    assert begun.value.args[0]["timeout"] >= timedelta(hours=3)
