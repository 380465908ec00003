"""Every label image belongs to the picture whose header it carries, and to the model that is in force.

The pictures hold their own number, and the network's stand-in passes it on together with the number of the model.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from madm_ros.segmentation_node import SegmentationNode

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import numbered
from numbered import FAIL, Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.close()


@pytest.fixture
def start(rig: Rig) -> Iterator[Callable[..., SegmentationNode]]:
    """Starts a node that spins in a thread of its own, as in a process of its own, and connects the rig."""
    ends: list[Callable[[], object]] = []

    def begin(delay_s: float = 0.0, **parameters) -> SegmentationNode:
        context = Context()
        context.init()
        values = {"model": "numbered", "diagnostics_period_s": 0.1, **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        node = SegmentationNode(load=numbered.loader(delay_s), context=context, parameter_overrides=overrides)
        node.autostart()
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        running = threading.Event()
        running.set()

        def spin() -> None:
            while running.is_set():
                executor.spin_once(timeout_sec=0.02)

        thread = threading.Thread(target=spin)
        thread.start()
        ends.extend([running.clear, thread.join, executor.shutdown, node.destroy_node, context.try_shutdown])
        assert rig.connect()
        return node

    yield begin
    for end in ends:
        end()


def test_every_frame_in_order_none_twice_and_each_under_its_own_header(rig, start):
    start(queue_policy="every", input_reliability="reliable", queue_limit=1000)
    for _ in range(100):
        rig.send()
        rig.spin(0.002)
    assert rig.until(lambda: len(rig.labels) == 100) < 30
    assert [label.number for label in rig.labels] == list(range(1, 101))
    assert [label.frame_id for label in rig.labels] == [f"camera_{number}" for number in range(1, 101)]
    assert rig.untrue() == []


def test_under_load_labels_stay_true_and_counts_add_up(rig, start):
    node = start(delay_s=0.01)
    rig.stream(1.5, 200.0)
    while not node.statistics.counts.rejected:  # a newer frame may take the place of one before it is worked on
        rig.send(command=FAIL)
        rig.spin(0.1)
    last = rig.send()
    counts = rig.counts()
    assert rig.until(lambda: len(rig.labels) == counts["frames_published"]) < 30
    assert rig.untrue() == []
    numbers = [label.number for label in rig.labels]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == last
    assert counts["frames_dropped"] > 0
    assert counts["rejected_internal"] >= 1
    ends = counts["frames_published"] + counts["frames_dropped"] + counts["frames_rejected"]
    assert counts["frames_received"] == ends <= last  # best effort: DDS may overwrite a frame before it is taken


def test_no_label_of_an_old_model_after_a_reload(rig, start):
    start(delay_s=0.02, queue_policy="every", input_reliability="reliable", queue_limit=1000)
    timer = rig.node.create_timer(0.01, rig.send)
    rig.until(lambda: rig.labels)
    answered = []
    for name in ("numbered", "missing", "numbered", "numbered"):
        change = SetParameters.Request(parameters=[Parameter("model", value=name).to_parameter_msg()])
        assert rig.call(SetParameters, "segmentation/set_parameters", change).results[0].successful
        answer = rig.call(Trigger, "segmentation/reload_model", Trigger.Request())
        assert answer.success == (name == "numbered"), answer.message
        if not answer.success:
            continue
        answered.append(time.monotonic())
        known = len(rig.labels)
        rig.until(lambda known=known: len(rig.labels) > known + 3)
    rig.node.destroy_timer(timer)
    models = [label.model for label in rig.labels]
    assert models == sorted(models)
    assert set(models) == {1, 2, 4, 5}  # the third could not be loaded
    for model, at_s in zip((2, 4, 5), answered, strict=True):
        # What the old model published just before the answer may still be on its way.
        assert all(label.model >= model for label in rig.labels if label.at_s > at_s + 0.2)
    assert rig.untrue() == []
