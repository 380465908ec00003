"""The preview of a node with a stand-in network: what it says in every state, from the first moment to the last."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable

import numpy as np
import pytest
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from madm_core.errors import ConfigError, ModelDirectoryError
from madm_core.labels import IGNORE, MADM9, MADM11
from madm_core.palettes import in_palette
from madm_ros.image_conversion import array_to_message
from madm_ros.segmentation_node import SegmentationNode


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Watched:
    """A node with a preview, a camera before it, and a browser that asks for the state."""

    def __init__(self, world, load: Callable, port: int, **parameters) -> None:
        self.world, self.port = world, port
        given = {"model": "here", "preview_port": port, "diagnostics_period_s": 0.1, **parameters}
        overrides = [Parameter(name, value=value) for name, value in given.items()]
        self.node = world.add(SegmentationNode(load=load, context=world.context, parameter_overrides=overrides))
        self.tester = world.node()
        self.camera = self.tester.create_publisher(Image, "image", 10)

    def state(self) -> dict:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status.json", timeout=10) as answer:
            return json.load(answer)

    def see(self, pixels: np.ndarray) -> None:
        """Send a picture until it has been segmented."""
        self.world.spin_until(lambda: self.camera.get_subscription_count() > 0)
        known = self.node.statistics.counts.published
        self.camera.publish(array_to_message(pixels, "16UC1", Header()))
        self.world.spin_until(lambda: self.node.statistics.counts.published > known)

    def call(self, kind, name: str, request):
        return self.world.call(self.tester, kind, f"segmentation/{name}", request)


DEPTH = np.array([[500, 2000, 0], [65535, 10000, 40000]], np.uint16)


def test_every_state_can_be_watched(world, stand_in, port):
    watched = Watched(world, lambda values: stand_in(), port)
    state = watched.state()
    assert (state["node"], state["state"], state["level"]) == ("/segmentation", "unconfigured", "stale")
    assert (state["classes"], state["size"], state["diagnostics_age_s"]) == ([], None, None)
    watched.node.trigger_configure()
    world.spin_until(lambda: watched.state()["level"] == "ok")
    state = watched.state()
    assert (state["state"], state["description"], state["topic"]) == ("inactive", "stand-in: depth on cpu", "")
    assert [entry["name"] for entry in state["classes"]] == [*MADM11.names, "no label"]
    watched.node.trigger_activate()
    watched.see(DEPTH)
    state = watched.state()
    assert (state["state"], state["topic"], state["size"]) == ("active", "/image", [2, 3])
    assert (state["received"], state["published"], state["dropped"], state["rejected"]) == (1, 1, {}, {})
    assert state["confidence"] == 0.75 and len(state["latency_ms"]["total"]) == 3
    assert state["classes"][-1] == {"id": IGNORE, "name": "no label", "color": [0, 0, 0], "share": 1 / 6}
    watched.call(SetBool, "set_enabled", SetBool.Request(data=False))
    assert not watched.state()["enabled"]
    watched.node.trigger_deactivate()
    assert (watched.state()["state"], watched.state()["size"]) == ("inactive", [2, 3])  # the last frame stays
    watched.node.trigger_cleanup()
    assert (watched.state()["state"], watched.state()["size"], watched.state()["classes"]) == ("unconfigured", None, [])


def test_loading_can_be_watched_while_the_node_spins_nothing(world, stand_in, port):
    gate, seen = threading.Event(), []

    def load(values):
        gate.wait(20.0)
        return stand_in()

    watched = Watched(world, load, port)

    def look() -> None:
        while not seen or seen[-1]["state"] != "configuring":
            seen.append(watched.state())
        gate.set()

    browser = threading.Thread(target=look, daemon=True)
    browser.start()
    watched.node.trigger_configure()
    browser.join(10.0)
    assert seen[-1]["state"] == "configuring"


def test_why_it_failed_is_said_and_problems_have_their_level(world, stand_in, port):
    models = [ModelDirectoryError("no such model", do="name <another>")]

    def load(values):
        if models:
            raise models.pop()
        return stand_in()

    watched = Watched(world, load, port)
    watched.node.autostart()
    world.spin_until(lambda: watched.state()["level"] == "error")
    assert "Name <another>" in watched.state()["problem"]
    watched.call(Trigger, "reload_model", Trigger.Request())
    watched.world.spin_until(lambda: watched.camera.get_subscription_count() > 0)
    watched.camera.publish(array_to_message(np.zeros((2, 2, 3), np.uint8) + np.uint8([0, 90, 180]), "rgb8", Header()))
    world.spin_until(lambda: watched.state()["level"] == "warning")
    state = watched.state()
    assert state["rejected"] == {"encoding": 1} and state["problem"] == ""
    said = next(entry for entry in state["diagnostics"] if entry["name"] == "input")
    assert said["level"] == "warning" and "in colour" in said["message"]


def test_a_reload_changes_classes_and_colours(world, stand_in, port):
    networks = [stand_in(), stand_in(label_set=MADM9)]
    watched = Watched(world, lambda values: networks.pop(0), port)
    watched.node.autostart()
    watched.see(DEPTH)
    assert [tuple(entry["color"]) for entry in watched.state()["classes"]] == [*MADM11.colors, (0, 0, 0)]
    watched.node.set_parameters([Parameter("palette", value="color_blind")])
    assert watched.call(Trigger, "reload_model", Trigger.Request()).success
    watched.see(DEPTH)
    colors = [tuple(entry["color"]) for entry in watched.state()["classes"]]
    assert colors == [*in_palette(MADM9, "color_blind").colors, (0, 0, 0)] and colors[:-1] != list(MADM9.colors)


def test_its_threads_end_with_the_node(world, stand_in, port):
    before = set(threading.enumerate())
    watched = Watched(world, lambda values: stand_in(), port)
    watched.node.autostart()
    watched.see(DEPTH)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as browser:
        browser.sendall(b"GET /stream.mjpg HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert browser.recv(10) == b"HTTP/1.0 2"
        world.executor.remove_node(watched.node)
        world.nodes.remove(watched.node)
        watched.node.destroy_node()
    assert set(threading.enumerate()) <= before
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_a_port_in_use_ends_the_start_with_what_to_do(world, stand_in, port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(
            ConfigError, match=f"port {port} of 127.0.0.1: Address already in use; expected a free port"
        ):
            Watched(world, lambda values: stand_in(), port)


def test_it_is_off_by_default_and_then_costs_nothing():
    code = (
        "import sys, threading, rclpy; from madm_ros.segmentation_node import SegmentationNode; rclpy.init();"
        "node = SegmentationNode(); node.destroy_node();"
        "print('http.server' in sys.modules, [t.name for t in threading.enumerate() if 'preview' in t.name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "False []"
