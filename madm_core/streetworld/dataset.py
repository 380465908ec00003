"""StreetWorld as a data set: independent frames of many streets, for training and tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from madm_core.errors import ConfigError
from madm_core.streetworld.camera import Camera
from madm_core.streetworld.drive import Instant, check_sensors, drive
from madm_core.streetworld.event_sensor import join_events
from madm_core.streetworld.world import StreetWorld

SECONDS_BETWEEN_FRAMES = 3.0
"""Of one street: at 6 to 10 m/s some 25 m, so that consecutive frames share little."""


def street_frames(
    seed: int,
    count: int,
    size: tuple[int, int],
    sensors: Sequence[str] = ("rgb", "depth", "thermal", "event"),
    *,
    conditions: str | None = None,
    frames_per_street: int = 4,
    window_ms: float = 50.0,
    event_steps: int = 5,
    start: int = 0,
    field_of_view: float = 75.0,
    supersampling: int = 1,
) -> Iterator[Instant]:
    """Yields frames of ever new streets, each with all its sensors at the same instant.

    Frame ``i`` depends on the seed and on ``i`` alone: ``start`` goes on where another call ended, in any process.

    Args:
        seed: Different seeds share no street; keep some for testing.
        count: Number of frames.
        size: (height, width) of all pictures.
        sensors: Of ``rgb``, ``depth``, ``thermal``, ``event``; what is left out is None in the frames.
        conditions: ``day``, ``dusk``, ``night``, ``fog``, ``wet``; None draws one a street.
        frames_per_street: A new street after so many frames.
        window_ms: Events are those of this window before the frame, for ``madm_core.events.voxel_grid``.
        event_steps: Renderings within the window.
        start: Number of the first frame.
        field_of_view: Horizontal, degrees.
        supersampling: Rays a pixel and direction for the colours.

    Raises:
        ConfigError: An argument is out of range.
    """
    check_sensors(sensors)
    if seed < 0 or count < 0 or start < 0 or frames_per_street < 1 or window_ms <= 0:
        raise ConfigError(
            "these frames cannot be made",
            got=f"seed {seed}, count {count}, start {start}, {frames_per_street} frames a street, {window_ms} ms",
            expected="nothing negative, and at least one frame a street",
        )
    camera = Camera(*size, field_of_view)
    world: StreetWorld | None = None
    current = -1
    for index in range(start, start + count):
        street, position = divmod(index, frames_per_street)
        if world is None or street != current:
            number = int(np.random.SeedSequence([seed, street]).generate_state(1)[0])
            world, current = StreetWorld(number, camera, conditions, supersampling=supersampling), street
        yield _frame(
            world, sensors, int((1 + position * SECONDS_BETWEEN_FRAMES) * 1e9), int(window_ms * 1e6), event_steps
        )


def _frame(world: StreetWorld, sensors: Sequence[str], time_ns: int, window_ns: int, event_steps: int) -> Instant:
    if "event" not in sensors:
        return next(drive(world, sensors, period_ns=window_ns, start_ns=time_ns))
    instants = drive(world, sensors, period_ns=window_ns, event_steps=event_steps, start_ns=time_ns - window_ns)
    window = list(islice(instants, event_steps + 1))
    events = join_events([instant.events for instant in window if instant.events is not None])
    last = window[-1]
    return Instant(last.time_ns, last.labels, last.instances, last.rgb, last.depth, last.thermal, events)
