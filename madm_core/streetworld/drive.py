"""A drive through a street as all sensors record it, instant by instant."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from madm_core.errors import ConfigError
from madm_core.streetworld import SENSORS
from madm_core.streetworld.event_sensor import Events, EventSensor
from madm_core.streetworld.meshes import Floats
from madm_core.streetworld.sensors import DepthSensor, RgbSensor, ThermalSensor
from madm_core.streetworld.world import StreetWorld


@dataclass(frozen=True)
class Instant:
    """What the sensors deliver at one instant; all arrays belong to the same rays.

    Args:
        time_ns: Nanoseconds since the start of the drive.
        labels: (H, W) uint8 ``madm11`` ids, exact.
        instances: (H, W) uint16 number of the vehicle or person, the same during the whole drive; 0 elsewhere.
        rgb: (H, W, 3) uint8, or None where this sensor was not asked for or has no picture now.
        depth: (H, W) float32 metres, NaN without a measurement; or None.
        thermal: (H, W) uint16 14-bit counts; or None.
        events: ``EVENT_DTYPE`` with ``t`` in nanoseconds since the start: those since the instant before; or None.
    """

    time_ns: int
    labels: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.uint16]
    rgb: npt.NDArray[np.uint8] | None = None
    depth: Floats | None = None
    thermal: npt.NDArray[np.uint16] | None = None
    events: Events | None = None


def check_sensors(sensors: Collection[str]) -> None:
    """Raises ConfigError unless every name is one of :data:`SENSORS` and there is at least one."""
    unknown = [sensor for sensor in sensors if sensor not in SENSORS]
    if unknown or not sensors:
        raise ConfigError("unknown sensors", got=", ".join(unknown) or "none", expected=", ".join(SENSORS))


def drive(
    world: StreetWorld, sensors: Collection[str], *, period_ns: int, event_steps: int = 4, start_ns: int = 0
) -> Iterator[Instant]:
    """Drives on for ever and yields what the sensors deliver.

    The cameras deliver a picture every period; an event camera is fed with ``event_steps`` renderings a period and
    delivers its events after each, so that the instants between two pictures hold events and labels only.

    Args:
        world: The street.
        sensors: Of :data:`SENSORS`.
        period_ns: Time between two pictures.
        event_steps: Renderings a period for the event camera: enough that nothing moves by much more than a pixel.
        start_ns: Time of the first instant.

    Raises:
        ConfigError: Unknown sensors, or a period or number of steps below 1.
    """
    check_sensors(sensors)
    if period_ns < 1 or event_steps < 1:
        raise ConfigError(
            "a drive cannot be recorded", got=f"{period_ns} ns, {event_steps} steps", expected="1 or more"
        )
    steps = event_steps if "event" in sensors else 1
    camera = world.camera
    eye = EventSensor(camera.height, camera.width, seed=world.seed) if "event" in sensors else None
    rng = np.random.default_rng([world.seed, 7, start_ns & 0x7FFFFFFF])
    index = 0
    while True:
        time_ns = start_ns + index * period_ns // steps
        time = time_ns * 1e-9
        is_picture = index % steps == 0
        view = world.render(time)
        yield Instant(
            time_ns,
            view.labels,
            view.instances,
            RgbSensor().capture(view, rng) if is_picture and "rgb" in sensors else None,
            DepthSensor().measure(view, rng) if is_picture and "depth" in sensors else None,
            ThermalSensor().capture(view, rng, time, world.seed) if is_picture and "thermal" in sensors else None,
            eye.add(view.radiance, time_ns) if eye is not None else None,
        )
        index += 1
