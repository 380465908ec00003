"""The node in one process with a stand-in network: lifecycle, services, counting, time, and what must not kill it."""

from __future__ import annotations

import random
import threading
import time

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from madm_core.errors import ConfigError, DeviceError, ModelDirectoryError
from madm_core.labels import IGNORE
from madm_core.modalities import DepthModality, ThermalModality
from madm_ros.image_conversion import message_to_array
from madm_ros.segmentation_node import SegmentationNode


def test_labels_carry_stamp_frame_and_size_of_their_input(bench):
    running = bench()
    depth = np.array([[500, 2000, 0], [65535, 10000, 40000]], np.uint16)
    header = running.send(depth)
    running.world.spin_until(lambda: running.labels)
    message = running.labels[0]
    assert message.header == header
    assert (message.height, message.width, message.step, message.encoding) == (2, 3, 3, "mono8")
    labels = message_to_array(message)
    assert labels[0, 2] == IGNORE  # 0 is no measurement
    expected = np.minimum(DepthModality().to_image(depth)[:, :, 0] * 11, 10).astype(np.uint8)
    np.testing.assert_array_equal(labels[depth > 0], expected[depth > 0])


def test_every_frame_is_published_dropped_or_rejected(bench, stand_in):
    running = bench(stand_in(delay_s=0.03))
    for step in range(30):
        if step % 5 == 0:
            running.send(np.zeros((4, 4, 3), np.uint8) + np.arange(3, dtype=np.uint8) * 90, "rgb8")
        else:
            running.send()
        running.world.spin_for(0.012)
    running.settle(1)
    counts = running.node.statistics.counts
    assert counts.published > 0
    assert counts.dropped["superseded"] > 0
    assert counts.rejected["encoding"] > 0
    assert counts.received == counts.published + sum(counts.dropped.values()) + sum(counts.rejected.values())
    running.world.spin_until(lambda: len(running.labels) == counts.published)
    stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in running.labels]
    assert stamps == sorted(set(stamps))


def test_policy_every_segments_all_frames_in_order(bench, stand_in):
    running = bench(stand_in(delay_s=0.01), queue_policy="every", input_reliability="reliable")
    headers = [running.send() for _ in range(25)]
    running.settle(25)
    running.world.spin_until(lambda: len(running.labels) == 25)
    assert [message.header for message in running.labels] == headers


def test_a_frame_that_makes_the_network_fail_is_counted_and_the_next_one_works(bench, stand_in):
    failures = [RuntimeError("boom"), DeviceError("out of memory", do="use a smaller model"), MemoryError()]
    running = bench(stand_in(failures=failures), queue_policy="every")
    for _ in range(4):
        running.send()
    running.settle(4)
    running.world.spin_until(lambda: running.labels)
    counts = running.node.statistics.counts
    assert counts.rejected == {"internal": 2, "inference": 1}
    assert counts.published == 1
    _, _, values = running.status("model")
    assert values["worker_restarts"] == "2"


def test_disabling_unsubscribes_and_enabling_goes_on(bench):
    running = bench()
    call = running.world.call
    answer = call(running.tester, SetBool, "segmentation/set_enabled", SetBool.Request(data=False))
    assert answer.success and "disabled" in answer.message
    running.world.spin_until(lambda: running.publisher.get_subscription_count() == 0)
    assert running.status("model")[2]["enabled"] == "false"
    call(running.tester, SetBool, "segmentation/set_enabled", SetBool.Request(data=True))
    running.connect()
    running.send()
    running.world.spin_until(lambda: running.labels)


def test_a_node_without_a_usable_model_lives_says_why_and_can_be_mended(world, stand_in, make_bench, in_turn):
    gone = ModelDirectoryError("model gone", got="nothing", do="look for it")
    running = make_bench(in_turn(gone, stand_in()), diagnostics_period_s=0.1)
    assert not running.node.autostart()
    level, message, values = running.status("model")
    assert level == b"\x02" and "model gone: got nothing. Look for it" in message
    assert values["state"] == "unconfigured"
    assert running.reload().success
    running.connect()
    running.send()
    world.spin_until(lambda: running.labels)
    assert running.status("model")[:2] == (b"\x00", "active")


@pytest.mark.parametrize(("wanted", "fine"), [("thermal", False), ("infrared", False), ("depth", True)])
def test_a_model_of_another_modality_is_refused(stand_in, wanted, fine, make_bench):
    running = make_bench(lambda values: stand_in(), modality=wanted, diagnostics_period_s=0.1)
    assert running.node.autostart() == fine
    assert fine or "wrong modality: got depth; expected thermal" in running.node.problem


def test_overrides_change_the_models_encoding(bench, stand_in):
    running = bench(stand_in(modality=ThermalModality()), modality_overrides="range=fixed low=0 high=100")
    running.send(np.full((3, 3), 50, np.uint16), "mono16")
    running.world.spin_until(lambda: running.labels)
    assert message_to_array(running.labels[0])[0, 0] == 5


@pytest.mark.parametrize("overrides", ["rang=fixed", "range=never", "low=9 high=3"])
def test_overrides_that_do_not_fit_are_refused(stand_in, overrides, make_bench):
    running = make_bench(lambda values: stand_in(modality=ThermalModality()), modality_overrides=overrides)
    assert not running.node.autostart()
    assert running.node.problem


def test_nothing_is_published_after_deactivation(bench, stand_in):
    gate = threading.Event()
    network = stand_in(gate=gate)
    running = bench(network)
    running.send()
    running.world.spin_until(lambda: network.seen)
    running.send()
    running.world.spin_until(lambda: running.node.statistics.counts.received == 2)
    statistics = running.node.statistics

    def let_go_when_the_second_is_dropped():  # and not before, however slow the machine is
        while not statistics.counts.dropped:
            time.sleep(0.01)
        gate.set()

    threading.Thread(target=let_go_when_the_second_is_dropped, daemon=True).start()
    assert running.change_state(Transition.TRANSITION_DEACTIVATE)
    counts = statistics.counts
    assert (counts.published, counts.dropped, counts.pending) == (1, {"stopped": 1}, 0)
    running.world.spin_until(lambda: len(running.labels) == 1)
    running.send()
    running.world.spin_for(0.2)
    assert len(running.labels) == 1
    assert running.change_state(Transition.TRANSITION_ACTIVATE)
    running.connect()
    running.send()
    running.world.spin_until(lambda: len(running.labels) == 2)


def test_impossible_transitions_are_refused_and_two_hundred_random_ones_survived(bench):
    running = bench(warning_period_s=100.0)
    assert not running.change_state(Transition.TRANSITION_CONFIGURE)
    assert not running.change_state(99)
    assert not running.change_state(0, label="no_such_transition")
    assert running.node.state_label == "active"
    rng = random.Random(5)
    seen = set()
    for _ in range(200):
        running.change_state(rng.choice([1, 2, 3, 4, 1, 3, 77, 10, 60, 0]))
        seen.add(running.node.state_label)
    assert seen == {"unconfigured", "inactive", "active"}
    if running.node.state_label == "unconfigured":
        assert running.change_state(Transition.TRANSITION_CONFIGURE)
    if running.node.state_label == "inactive":
        assert running.change_state(Transition.TRANSITION_ACTIVATE)
    running.connect()
    running.send()
    running.world.spin_until(lambda: running.labels)
    assert running.change_state(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert running.node.state_label == "finalized"
    assert not running.change_state(Transition.TRANSITION_CONFIGURE)
    assert running.status("model")[2]["state"] == "finalized"


def test_an_internal_error_in_a_transition_is_survived(stand_in, make_bench, in_turn):
    running = make_bench(in_turn(ZeroDivisionError("a bug"), stand_in()), diagnostics_period_s=0.1)
    assert not running.node.autostart()
    assert running.node.state_label == "unconfigured"
    assert "a bug" in running.status("model")[1]
    assert running.node.autostart()


def test_parameters_that_apply_at_once_do(bench, monkeypatch):
    running = bench()
    announced = []
    monkeypatch.setattr(running.node._results, "announce_threshold", announced.append)  # what label_info says
    change = SetParameters.Request(parameters=[Parameter("min_confidence", value=0.9).to_parameter_msg()])
    assert (
        running.world.call(running.tester, SetParameters, "segmentation/set_parameters", change).results[0].successful
    )
    running.send()
    running.world.spin_until(lambda: running.labels)
    assert set(running.labels[0].data) == {IGNORE}  # the stand-in is sure to 0.75 only
    assert announced == [0.9]


def test_time_that_jumps_back_resets_the_modality(bench, stand_in):
    network = stand_in(modality=ThermalModality(smoothing=0.99))
    running = bench(network, queue_policy="every")
    cold, hot = np.full((8, 8), 1000, np.uint16), np.full((8, 8), 50000, np.uint16)
    cold[0, 0], hot[0, 0] = 1100, 50100
    running.send(cold, "mono16", stamp_s=100.0)
    running.send(cold, "mono16", stamp_s=99.9)  # out of order by less than time_jump_s: no jump
    running.send(hot, "mono16", stamp_s=50.0)
    running.settle(3)
    running.world.spin_until(lambda: len(running.labels) == 3)
    assert running.status("input")[2]["time_jumps"] == "1"
    # With the range of the cold frames nearly kept, the hot frame would be white all over.
    np.testing.assert_allclose(network.seen[2].image, network.seen[0].image, atol=1e-3)


def test_diagnostics_hold_what_is_promised(bench):
    running = bench(max_clock_skew_s=0.0)  # stamps are numbers here
    for _ in range(5):
        running.send()
        running.world.spin_for(0.05)
    running.settle(1)
    level, _, values = running.status("input")
    assert level == b"\x00"
    assert {
        "frames_received", "frames_published", "frames_dropped", "frames_rejected", "frames_pending", "input_rate_hz",
        "output_rate_hz", "topic", "type", "publishers", "lost_in_transport", "time_jumps", "input_encoding",
        "input_valid_share", "input_raw_mean",
    } <= set(values)  # fmt: skip
    assert (values["topic"], values["publishers"], values["input_raw_max"]) == ("/image", "1", "2000")
    timing = running.status("timing")[2]
    stages = ("wait", "decode", "inference", "publish", "total", "stamp_age")
    assert {f"{stage}_ms_median" for stage in stages} <= set(timing)
    assert running.status("model")[2]["device"] == "cpu"


def test_a_parameter_that_cannot_be_used_keeps_the_node_from_starting(world):
    with pytest.raises(ConfigError, match="fp17"):
        SegmentationNode(context=world.context, parameter_overrides=[Parameter("precision", value="fp17")])
