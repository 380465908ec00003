"""``~/reload_model``: the change-over, what goes on meanwhile, and models that cannot be taken."""

from __future__ import annotations

import threading

import pytest
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from madm_core.errors import ModelDirectoryError
from madm_core.labels import LabelSet
from madm_core.modalities import EventModality


@pytest.fixture
def begun(make_bench, stand_in, world):
    """A node whose second model is being loaded, and a function that lets it be ready and returns the answer."""
    gate = threading.Event()
    made: list[str] = []

    def load(values):
        made.append(values.model)
        if len(made) == 2:
            gate.wait(10)
        return stand_in(name=f"model {len(made)}")

    running = make_bench(load, diagnostics_period_s=0.1)
    assert running.node.autostart()
    client = running.tester.create_client(Trigger, "segmentation/reload_model")
    world.spin_until(client.service_is_ready)
    future = client.call_async(Trigger.Request())
    world.spin_until(lambda: len(made) == 2)

    def finish():
        gate.set()
        world.spin_until(future.done)
        return future.result()

    return running, finish


def test_reload_changes_over_between_two_frames(world, stand_in, make_bench):
    made = [stand_in(name="first"), stand_in(name="second", label_set=LabelSet.named("madm9"))]
    networks = list(made)
    running = make_bench(lambda values: networks.pop(0), diagnostics_period_s=0.1)
    assert running.node.autostart()
    running.connect()
    running.send()
    running.world.spin_until(lambda: len(running.labels) == 1)
    answer = running.reload()
    assert answer.success and "second" in answer.message
    running.connect()
    running.send()
    running.world.spin_until(lambda: len(running.labels) == 2)
    assert [len(network.seen) for network in made] == [1, 1]
    assert running.status("model")[2]["label_set"] == "madm9"


def test_frames_go_on_while_a_model_loads_and_a_second_reload_is_refused(begun, world):
    running, finish = begun
    running.connect()
    assert running.node.reloading
    assert running.reload().message == "a reload is already under way"
    running.send()
    world.spin_until(lambda: running.labels)
    assert finish().success


def test_a_model_that_does_not_load_leaves_the_old_one_running(world, stand_in, make_bench, in_turn):
    damaged = ModelDirectoryError("damaged", got="a short file")
    running = make_bench(in_turn(stand_in(), damaged), diagnostics_period_s=0.1)
    assert running.node.autostart()
    running.connect()
    answer = running.reload()
    assert not answer.success and "damaged: got a short file" in answer.message
    running.send()
    world.spin_until(lambda: running.labels)


@pytest.fixture
def no_kernels(monkeypatch):
    """Event models load without compiling what these tests never run."""
    monkeypatch.setattr("madm_core.events.warm_up", lambda: None)


def test_a_model_is_loaded_again_after_an_activation_that_failed(make_bench, stand_in, no_kernels):
    """Configured, but not active: its events come as PointCloud2, and the sensor's size is not said."""
    loads: list[str] = []

    def load(values):
        loads.append(values.model)
        return stand_in(modality=EventModality()) if len(loads) == 1 else stand_in()

    running = make_bench(load, event_message_type="sensor_msgs/msg/PointCloud2", diagnostics_period_s=0.1)
    assert not running.node.autostart()
    assert running.node.state_label == "inactive" and "need the sensor's size" in running.node.problem
    running.node.set_parameters([Parameter("model", value="there")])
    answer = running.reload()
    assert answer.success and answer.message.startswith("the model is now there")
    assert loads == ["here", "there"]
    assert running.status("model")[:2] == (b"\x00", "active")


def test_a_model_that_cannot_be_activated_either_is_no_success(make_bench, stand_in, no_kernels):
    running = make_bench(
        lambda values: stand_in(modality=EventModality()), event_message_type="sensor_msgs/msg/PointCloud2"
    )
    assert not running.node.autostart()
    answer = running.reload()
    assert not answer.success and "need the sensor's size" in answer.message


def test_a_model_that_was_overtaken_by_a_new_configuration_is_not_taken(begun):
    running, finish = begun
    for change in ("deactivate", "cleanup", "configure", "activate"):
        getattr(running.node, f"trigger_{change}")()
    answer = finish()
    assert not answer.success
    assert "configured or cleaned up meanwhile, and is active: not taken" in answer.message
    assert running.node.model.segmenter.name == "model 3"


def test_the_answer_names_the_model_that_was_loaded_whatever_the_parameter_says_by_now(begun):
    running, finish = begun
    running.node.set_parameters([Parameter("model", value="later")])
    assert finish().message.startswith("the model is now here: model 2")


def test_a_model_that_cannot_be_started_is_answered_told_and_mended_by_the_next(make_bench, stand_in, monkeypatch):
    running = make_bench(lambda values: stand_in(), diagnostics_period_s=0.1)
    assert running.node.autostart()
    running.connect()
    subscribe = running.node.create_subscription

    def fail(*_, **__):
        raise RuntimeError("no type support")

    monkeypatch.setattr(running.node, "create_subscription", fail)
    answer = running.reload()
    assert not answer.success and "RuntimeError: no type support" in answer.message
    level, message, _ = running.status("model")
    assert level == b"\x02" and "without input until ~/reload_model works" in message
    assert running.status("model")[0] == b"\x02"  # for as long as it lasts
    monkeypatch.setattr(running.node, "create_subscription", subscribe)
    assert running.reload().success
    running.connect()
    running.send()
    running.world.spin_until(lambda: running.labels)


def test_a_loader_that_wants_to_end_the_process_ends_the_reload(make_bench, stand_in, in_turn):
    running = make_bench(in_turn(stand_in(), SystemExit("told to exit")))
    assert running.node.autostart()
    answer = running.reload()
    assert not answer.success and answer.message == "the old model stays: told to exit"
    assert not running.node.reloading


def test_an_input_that_cannot_be_enabled_is_answered_and_goes_stale(make_bench, stand_in, monkeypatch, world):
    running = make_bench(lambda values: stand_in(), diagnostics_period_s=0.1, input_timeout_s=0.2)
    running.node.enabled = False
    assert running.node.autostart()

    def fail(*_, **__):
        raise RuntimeError("no type support")

    monkeypatch.setattr(running.node, "create_subscription", fail)
    answer = world.call(running.tester, SetBool, "segmentation/set_enabled", SetBool.Request(data=True))
    assert not answer.success and "no type support" in answer.message
    world.spin_until(lambda: running.status("input")[0] == b"\x01")
