from __future__ import annotations

import argparse
from datetime import timedelta

from madm_ros.dataset_scoring import evaluate


def test_processes_wait_for_hours_for_the_first_one(process_group_timeout):
    """It draws DSEC's events alone."""
    assert process_group_timeout(lambda: evaluate(argparse.Namespace(device="cpu"), [])) >= timedelta(hours=3)
