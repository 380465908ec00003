"""Windows of events out of any recording, by the code that cuts them live."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from madm_core.errors import DataError, InvalidInputError
from madm_core.events.aedat_file import open_aedat4
from madm_core.events.dsec_file import open_dsec
from madm_core.events.event_file import EventFile
from madm_core.events.pixel_map import PixelMap
from madm_core.events.prophesee_files import open_dat, open_raw
from madm_core.events.representations import RepresentationName
from madm_core.events.streaming import EventStream
from madm_core.events.windows import ClosedWindow, EventWindow

# As a module, not by its names: it needs this package itself, and either may be imported first.
from madm_core.messages import event_messages

OPENERS = {".raw": open_raw, ".dat": open_dat, ".h5": open_dsec, ".hdf5": open_dsec, ".aedat4": open_aedat4}
BAG_SUFFIXES = (".mcap", ".db3")
PACKET = "event_camera_msgs/msg/EventPacket"
ARRAYS = ("dvs_msgs/msg/EventArray", "prophesee_event_msgs/msg/EventArray")
CLOUD = "sensor_msgs/msg/PointCloud2"
logger = logging.getLogger(__name__)


def open_events(
    path: str | os.PathLike[str],
    window: EventWindow | None = None,
    bins: int = 5,
    *,
    representation: RepresentationName = "voxel_grid",
    pixel_map: PixelMap | None = None,
    rectify: bool = False,
    topic: str | None = None,
    sensor_size: tuple[int, int] | None = None,
) -> Iterator[ClosedWindow]:
    """Iterate over the windows of a recording.

    Args:
        path: A Prophesee ``.raw`` (EVT 2.0, 2.1, 3.0) or ``.dat``, a DSEC ``events.h5``, an ``.aedat4`` (with the
            package aedat), or a rosbag2 (directory, ``.mcap``, ``.db3``).
        window: How to cut; 50 ms when None. The last window may be shorter; it is left out if it has no events.
        bins: Time bins of the voxel grid.
        representation: ``voxel_grid``, ``polarity_histogram`` or ``time_surface``.
        pixel_map: Hot pixels, region of interest, rectification.
        rectify: Apply the rectification map that comes with the recording (DSEC's ``rectify_map.h5``).
        topic: The bag's topic; may be None if the bag has one of events only.
        sensor_size: (height, width), needed for PointCloud2 only.

    Yields:
        Windows. For files, ``header`` is None and times are the sensor's.

    Raises:
        DataError: The recording cannot be read, or is of no known kind.
        MissingDependencyError: An optional package is needed.
    """
    window = window or EventWindow()
    source = Path(path)
    if not source.exists():
        raise DataError(f"{source}: no such recording", do="check the path")
    if source.is_dir() or source.suffix.lower() in BAG_SUFFIXES:
        stream = EventStream(window, bins, representation=representation, pixel_map=pixel_map)
        return _bag_windows(source, stream, topic, sensor_size)
    opener = OPENERS.get(source.suffix.lower())
    if opener is None:
        raise DataError(
            f"{source}: not a recording of events that is known",
            got=source.suffix or "no suffix",
            expected=f"{', '.join([*OPENERS, *BAG_SUFFIXES])} or a bag directory",
        )
    recording = opener(source)
    if rectify:
        if recording.rectify_map is None or pixel_map is not None:
            raise DataError(
                f"{source}: cannot be rectified",
                got="no rectification map" if pixel_map is None else "a pixel map besides",
                expected="rectify_map.h5 beside the file, and no pixel_map",
                do="build a PixelMap with your rectify_map and give that",
            )
        pixel_map = PixelMap.build(recording.height, recording.width, rectify_map=recording.rectify_map)
    return _file_windows(recording, EventStream(window, bins, representation=representation, pixel_map=pixel_map))


def _file_windows(recording: EventFile, stream: EventStream) -> Iterator[ClosedWindow]:
    for events in recording.chunks:
        if len(events):
            yield from stream.add_events(
                events, recording.width, recording.height, int(events["t"][0]) * 1000, None, tick_ns=1000
            )
    yield from stream.finish()


def _bag_windows(
    path: Path, stream: EventStream, topic: str | None, sensor_size: tuple[int, int] | None
) -> Iterator[ClosedWindow]:
    from madm_core.data.bag import BagReader  # which imports the message types, and they this package

    with BagReader(path) as bag:
        kinds = {name: info.type for name, info in bag.topics.items() if info.type in (PACKET, *ARRAYS, CLOUD)}
        if topic is None and len(kinds) == 1:
            topic = next(iter(kinds))
        if topic not in kinds:
            raise DataError(
                f"{path}: which topic has the events?",
                got=topic or f"{len(kinds)} topics of event types",
                expected=", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or "a topic of an event type",
                do="name the topic",
            )
        for message in bag.messages([topic]):
            data = message[3]
            try:
                closed = _add_message(stream, kinds[topic], data, sensor_size)
            except InvalidInputError as error:
                logger.warning("%s: a message on %s is left out: %s", path, topic, error)
                continue
            yield from closed
        yield from stream.finish()


def _add_message(
    stream: EventStream, kind: str, data: bytes, sensor_size: tuple[int, int] | None
) -> list[ClosedWindow]:
    if kind == PACKET:
        packet, header = event_messages.parse_event_packet(data)
        return stream.add(packet, header)
    if kind in ARRAYS:
        events, width, height, header = event_messages.parse_event_array(data)
    else:
        events, header = event_messages.parse_point_cloud2(data)
        if sensor_size is None:
            raise DataError("a PointCloud2 does not tell the sensor's size", do="give sensor_size=(height, width)")
        height, width = sensor_size
    return stream.add_events(events, width, height, header.stamp_ns, header)
