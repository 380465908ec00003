"""Real recordings through replay_bag and the node, over DDS between processes.

Skipped where the recordings are not: they lie beside a developer's checkout, in ../shared/data.
"""

from __future__ import annotations

import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from madm_core.data.bag import BagReader
from madm_core.data.bag_writer import BagWriter
from madm_core.events import EventStream
from madm_core.messages.event_messages import parse_event_packet
from madm_core.messages.image_arrays import array_to_image_fields
from madm_core.modalities import modality_named
from madm_core.segmenter import Segmenter
from madm_ros.event_input import event_window
from madm_ros.image_conversion import message_to_array

EVENTS = 218_291 + 125_183
"""OFF and ON events in the recording, by its owners' own decoder test."""

EVERY_FRAME = ("-p", "queue_policy:=every", "-p", "input_reliability:=reliable", "-p", "diagnostics_period_s:=0.2")


def stamps(messages: list[Image]) -> list[int]:
    return [message.header.stamp.sec * 10**9 + message.header.stamp.nanosec for message in messages]


def expected_windows(bag: Path, modality) -> tuple[list[tuple[int, str, np.ndarray]], int]:
    """Stamp, frame and grid of each window that closes within the recording, and the last packet's stamp."""
    stream = EventStream(event_window(modality), modality.bins)
    windows, last_ns = [], 0
    with BagReader(bag) as reader:
        for message in reader.messages():
            packet, header = parse_event_packet(message.data)
            last_ns = header.stamp_ns
            windows += [(w.header.stamp_ns, w.header.frame_id, w.grid.copy()) for w in stream.add(packet, header)]
    return windows, last_ns


@pytest.fixture(scope="module")
def event_node(request, shared_data, tiny_models, start_for_module):
    """A node with the event model, not yet listening; it can receive EventPackets where their package can be built."""
    try:
        environment = {"PYTHONPATH": request.getfixturevalue("message_packages_environment")["PYTHONPATH"]}
    except pytest.skip.Exception:
        environment = None  # point clouds do without
    return start_for_module(
        "segment", "--model", str(tiny_models["event"]), "--input", "/event_camera/events", "--ros-args", *EVERY_FRAME,
        "-p", "autostart:=false",
        environment=environment,
    )  # fmt: skip


def activate(observer, **parameters) -> None:
    """(Re)activate the node with other values of its parameters."""
    values = [Parameter(name, value=value).to_parameter_msg() for name, value in parameters.items()]
    answer = observer.call(SetParameters, "/segmentation/set_parameters", SetParameters.Request(parameters=values))
    assert all(result.successful for result in answer.results)
    _, values = observer.status("model", lambda _, values: values["state"] in ("unconfigured", "inactive", "active"))
    steps = {
        "unconfigured": (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE),
        "inactive": (Transition.TRANSITION_ACTIVATE,),
        "active": (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE),
    }
    for step in steps[values["state"]]:
        change = ChangeState.Request(transition=Transition(id=step))
        assert observer.call(ChangeState, "/segmentation/change_state", change, timeout_s=120).success


def test_event_recording_at_full_speed(
    shared_data, message_packages_environment, tiny_models, event_node, start, observer
):
    bag = shared_data / "events_evt3_640x480"
    modality = modality_named("event", {"window_ms": 50.0})
    windows, last_ns = expected_windows(bag, modality)
    assert len(windows) == 41  # 2.076 s in windows of 50 ms; the 42nd is open when the recording ends

    activate(observer, event_message_type="event_camera_msgs/msg/EventPacket")
    path = {"PYTHONPATH": message_packages_environment["PYTHONPATH"]}
    player = start("replay_bag", str(bag), "--rate", "1", "--wait-for-subscribers", "30", environment=path)
    labels: list[Image] = observer.received["segmentation/labels"]
    observer.spin_until(lambda: len(labels) >= len(windows), timeout_s=90, what=f"{len(windows)} label images")
    assert player.end() == 0, player.output
    assert "published 517 messages" in player.output

    # After a second of silence the open window is closed with what it has, once; nothing more follows.
    observer.spin_until(lambda: len(labels) > len(windows), what="labels of the last, open window")
    observer.spin_for(1.5)
    assert stamps(labels) == [*(stamp for stamp, _, _ in windows), last_ns]
    assert {(m.width, m.height, m.step, m.encoding) for m in labels} == {(640, 480, 640, "mono8")}
    assert [m.header.frame_id for m in labels[:-1]] == [frame_id for _, frame_id, _ in windows]

    segmenter = Segmenter.from_pretrained(tiny_models["event"], device="cpu")
    for index in range(0, len(windows), 8):
        offline = segmenter.segment(modality.encode(windows[index][2])).labels
        np.testing.assert_array_equal(message_to_array(labels[index]), offline)

    _, values = observer.status("input")
    assert values["messages_received"] == "517"
    assert values["events_events"] == str(EVENTS)
    assert (values["events_lost_packets"], values["events_late_events"], values["messages_rejected"]) == ("0", "0", "0")
    assert values["frames_received"] == values["frames_published"] == str(len(labels))


def test_event_recording_as_point_clouds(shared_data, event_node, start, observer):
    """The same for systems that have only the common interfaces: no event_camera_msgs anywhere."""
    bag = shared_data / "events_evt3_640x480"
    windows, _ = expected_windows(bag, modality_named("event", {"window_ms": 50.0}))
    activate(observer, event_message_type="sensor_msgs/msg/PointCloud2", event_width=640, event_height=480)
    player = start("replay_bag", str(bag), "--events-as", "point_cloud2", "--wait-for-subscribers", "30")
    labels: list[Image] = observer.received["segmentation/labels"]
    observer.spin_until(lambda: len(labels) >= len(windows), timeout_s=90, what=f"{len(windows)} label images")
    assert player.end() == 0, player.output
    assert len(set(stamps(labels[: len(windows)]))) == len(windows)
    assert {(m.width, m.height) for m in labels} == {(640, 480)}
    # A window ends at the same event; its message may differ by a few where the clock is read from other numbers.
    differences = np.abs(np.subtract(stamps(labels[: len(windows)]), [stamp for stamp, _, _ in windows]))
    assert differences.max() <= 10_000_000
    assert event_node.end(signal.SIGTERM) == 0
    assert "Traceback" not in event_node.output


def thermal_frames(folder: Path, encoding: str) -> list[np.ndarray]:
    pictures = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(folder.glob("*.jpg"))]
    if encoding == "mono8":
        return pictures
    # Centi-kelvin of a scene between 5 and 40 degrees Celsius.
    return [(27815 + picture.astype(np.float32) / 255 * 3500).astype(np.uint16) for picture in pictures]


def write_thermal_bag(path: Path, parts: list[tuple[str, list[np.ndarray], int]]) -> list[int]:
    """An mcap bag of 10 frames a second, each part with header stamps of its own; returns all of these."""
    stamps_ns = []
    with BagWriter(path, storage="mcap") as writer:
        for encoding, frames, first_ns in parts:
            for index, frame in enumerate(frames):
                recorded_ns = 1_700_000_000_000_000_000 + len(stamps_ns) * 100_000_000
                stamp_ns = first_ns + index * 100_000_000
                stamps_ns.append(stamp_ns)
                fields = array_to_image_fields(frame, encoding)
                fields["data"] = np.frombuffer(fields["data"], np.uint8)
                stamp = {"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9}
                message = {"header": {"stamp": stamp, "frame_id": encoding}, **fields}
                writer.add("/thermal/image_raw", "sensor_msgs/msg/Image", message, recorded_ns)
    return stamps_ns


def test_thermal_recordings(shared_data, tiny_models, start, observer, tmp_path):
    """24 frames of many sizes as mono16, then as mono8 with earlier stamps: a jump back, smoothing starts afresh."""
    folder = shared_data / "roadscene" / "infrared"
    parts = [
        ("mono16", thermal_frames(folder, "mono16"), 1_700_000_000_123_456_789),
        ("mono8", thermal_frames(folder, "mono8"), 1_600_000_000_987_654_321),
    ]
    stamps_ns = write_thermal_bag(tmp_path / "thermal", parts)
    assert len(stamps_ns) == 48
    node = start(
        "segment", "--model", str(tiny_models["thermal"]), "--input", "/thermal/image_raw", "--ros-args", *EVERY_FRAME
    )
    player = start("replay_bag", str(tmp_path / "thermal"), "--wait-for-subscribers", "120")
    labels: list[Image] = observer.received["segmentation/labels"]
    observer.spin_until(lambda: len(labels) == 48, timeout_s=150, what="48 label images")
    assert player.end() == 0, player.output
    assert stamps(labels) == stamps_ns
    assert [message.header.frame_id for message in labels] == ["mono16"] * 24 + ["mono8"] * 24

    segmenter = Segmenter.from_pretrained(tiny_models["thermal"], device="cpu")
    for (_, frames, _), part in zip(parts, (labels[:24], labels[24:]), strict=True):
        assert [(m.height, m.width) for m in part] == [frame.shape for frame in frames]
        segmenter.modality.reset()
        for index, (frame, message) in enumerate(zip(frames, part, strict=True)):
            encoded = segmenter.modality.encode(frame)  # each of them: the range is smoothed over all frames so far
            if index % 4 == 3:
                np.testing.assert_array_equal(message_to_array(message), segmenter.segment(encoded).labels)
    _, values = observer.status("input", lambda _, values: values["frames_published"] == "48")
    assert (values["time_jumps"], values["frames_dropped"], values["frames_rejected"]) == ("1", "0", "0")
    assert node.end(signal.SIGINT) == 0
