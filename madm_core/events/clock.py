"""From the sensor's clock to the host's."""

from __future__ import annotations

FORGETTING = 0.9995
"""Weight of the past at each observation: at 250 packets a second the drift estimate spans about 8 s."""

MAX_DRIFT_PPM = 100_000.0
"""No oscillator is worse: a greater slope is a fault of the stamps, such as one that never changes (-1,000,000)."""


class SensorClock:
    """Maps a sensor's ticks to host nanoseconds and estimates how fast the two clocks part.

    Host time follows each packet's stamp exactly: stamp + (t - first t of the packet), so that a message's times agree
    with its header. The drift is the slope of a least-squares line through stamp minus sensor time, with exponential
    forgetting; it serves for prediction between packets and for diagnosis.

    Args:
        tick_ns: Nanoseconds of a tick.
    """

    def __init__(self, tick_ns: int) -> None:
        self.tick_ns = tick_ns
        self._anchor: tuple[int, int] | None = None
        self._origin = (0, 0)
        self._weight = self._mean_x = self._mean_y = self._xx = self._xy = 0.0

    @property
    def started(self) -> bool:
        """Whether a packet was observed."""
        return self._anchor is not None

    def observe(self, stamp_ns: int, tick: int) -> None:
        """Learn that ``tick`` was stamped ``stamp_ns``."""
        if self._anchor is None:
            self._origin = (stamp_ns, tick)
        self._anchor = (stamp_ns, tick)
        x = float((tick - self._origin[1]) * self.tick_ns)
        y = float(stamp_ns - self._origin[0]) - x
        self._weight = FORGETTING * self._weight + 1.0
        step_x, step_y = x - self._mean_x, y - self._mean_y
        self._mean_x += step_x / self._weight
        self._mean_y += step_y / self._weight
        self._xx = FORGETTING * self._xx + step_x * (x - self._mean_x)
        self._xy = FORGETTING * self._xy + step_x * (y - self._mean_y)

    def host_ns(self, tick: int) -> int:
        """Host time of ``tick`` by the latest packet's stamp, in nanoseconds."""
        assert self._anchor is not None
        return self._anchor[0] + (tick - self._anchor[1]) * self.tick_ns

    def tick(self, host_ns: int) -> int:
        """The tick at host time ``host_ns``, drift included."""
        assert self._anchor is not None
        elapsed = (host_ns - self._anchor[0]) / (1.0 + self.drift_ppm * 1e-6)
        return self._anchor[1] + int(elapsed // self.tick_ns)

    @property
    def drift_ppm(self) -> float:
        """How much faster the host's clock runs than the sensor's, in parts per million; 0 in the first second."""
        if self._xx <= 0.0 or self._mean_x < 0.5e9:
            return 0.0
        return min(max(1e6 * self._xy / self._xx, -MAX_DRIFT_PPM), MAX_DRIFT_PPM)

    def missed_wraps(self, stamp_ns: int, tick: int, wrap_ticks: int) -> int:
        """Periods of the sensor's clock that passed unseen between the last packet and one with first time ``tick``."""
        if self._anchor is None or wrap_ticks == 0:
            return 0
        host_ticks = (stamp_ns - self._anchor[0]) / self.tick_ns
        return max(0, round((host_ticks - (tick - self._anchor[1])) / wrap_ticks))
