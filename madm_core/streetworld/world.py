"""A street with its traffic and the camera's drive through it: everything is a function of the seed and the time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from madm_core.streetworld.camera import Camera, Pose
from madm_core.streetworld.conditions import Conditions
from madm_core.streetworld.geometry import Geometry, Thing
from madm_core.streetworld.movers import VEHICLE_KINDS, person
from madm_core.streetworld.rendering import Rendering, render
from madm_core.streetworld.street import BLOCK, KERB, SIDE_ROAD, StreetPlan, numbered, pick_color, vehicle_thing

_CLOTHES = (
    (0.04, 0.05, 0.09), (0.4, 0.05, 0.05), (0.45, 0.42, 0.36), (0.07, 0.16, 0.3), (0.02, 0.02, 0.02), (0.5, 0.38, 0.05),
    (0.08, 0.22, 0.1), (0.3, 0.28, 0.3),
)  # fmt: skip
_STRIDE = 1.5  # metres walked in one step cycle
_NEAR = 25.0  # metres: people farther away are a dozen pixels high and need no detail
_BEHIND = 12.0  # metres: what is farther behind the camera cannot even throw a shadow into the picture
_ONCOMING_RING, _WALKERS_RING = 230.0, 110.0
_ONCOMING, _AHEAD, _WALKERS, _CROSSING = 1, 51, 101, 201
"""First instance numbers; parked vehicles have those from 1024 on."""


@dataclass(frozen=True)
class _Walker:
    start: float
    speed: float
    y: float
    height: float
    looks: tuple[tuple[float, float, float], tuple[float, float, float], float]


class StreetWorld:
    """One drive along one street.

    Args:
        seed: Of the street, its traffic and its weather; equal seeds give equal worlds.
        camera: The camera of all sensors.
        conditions: Light and weather, see :data:`madm_core.streetworld.CONDITIONS`; None draws one.
        supersampling: Rays a pixel in each direction for the colours; labels and depth come from one of them.

    Any time may be asked for in any order: nothing is simulated step by step.
    """

    def __init__(self, seed: int, camera: Camera, conditions: str | None = "day", *, supersampling: int = 1) -> None:
        self.seed = seed
        self.camera = camera
        self._supersampling = supersampling
        rng = np.random.default_rng([seed, 3])
        drawn = str(rng.choice(["day", "dusk", "night", "fog", "wet"], p=[0.45, 0.15, 0.2, 0.08, 0.12]))
        self.conditions = Conditions.named(conditions or drawn, seed)
        self.plan = StreetPlan.from_seed(seed)
        self._speed = float(rng.uniform(6.0, 10.0))
        self._start = float(rng.uniform(0, 3 * BLOCK))
        self._sway = rng.uniform(0, 2 * np.pi, 4)
        self._eye = float(rng.uniform(1.35, 1.75))
        self._oncoming = [
            (str(rng.choice(VEHICLE_KINDS, p=[0.3, 0.25, 0.22, 0.13, 0.1])), at, int(rng.integers(2**31)))
            for at in np.arange(float(rng.uniform(0, 20)), _ONCOMING_RING - 12, float(rng.uniform(25, 60)))
        ]
        self._ahead = [
            (str(rng.choice(VEHICLE_KINDS, p=[0.32, 0.28, 0.24, 0.12, 0.04])), gap, int(rng.integers(2**31)))
            for gap in np.cumsum(rng.uniform(13, 40, int(rng.integers(0, 4))))
        ]
        self._oncoming_speed = float(rng.uniform(6, 12))
        self._walkers = [self._draw_walker(rng) for _ in range(int(rng.integers(26, 46)))]
        self._cached_block: int | None = None
        self._still: Geometry | None = None

    def _draw_walker(self, rng: np.random.Generator) -> _Walker:
        side = float(rng.choice([-1, 1]))
        y = side * (self.plan.half_road + float(rng.uniform(0.9, self.plan.sidewalk - 0.5)))
        speed = float(rng.choice([-1, 1]) * rng.uniform(0.7, 1.7)) if rng.random() < 0.85 else 0.0
        looks = (pick_color(rng, _CLOTHES), pick_color(rng, _CLOTHES), float(rng.random()))
        return _Walker(float(rng.uniform(0, _WALKERS_RING)), speed, y, float(rng.uniform(1.5, 1.95)), looks)

    def pose(self, time: float) -> Pose:
        """Where the camera is at a time in seconds: it drives along the right-hand lane and sways like a car."""
        a, b, c, d = self._sway
        yaw = 0.03 * np.sin(0.31 * time + a) + 0.004 * np.sin(1.7 * time + b)
        pitch = -0.035 + 0.006 * np.sin(2.3 * time + c)
        y = -self.plan.lane + 0.25 * np.sin(0.4 * time + d)
        position = (self.distance(time), float(y), self._eye + 0.012 * float(np.sin(4.1 * time + b)))
        return Pose.looking(position, float(yaw), float(pitch), 0.006 * float(np.sin(1.9 * time + a)))

    def distance(self, time: float) -> float:
        """Metres driven along the street."""
        return self._start + self._speed * time + 1.5 * float(np.sin(0.25 * time + self._sway[0]))

    def _movers(self, time: float) -> list[Thing]:
        here = self.distance(time)
        oncoming, ahead, walkers = [], [], []
        for kind, start, seed in self._oncoming:
            x = _around(here + 70, start - self._oncoming_speed * time, _ONCOMING_RING)
            oncoming.append(vehicle_thing(np.random.default_rng(seed), kind, x, self.plan.lane, np.pi, running=True))
        for kind, gap, seed in self._ahead:
            x = here + gap + 1.2 * float(np.sin(0.3 * time + gap))
            ahead.append(vehicle_thing(np.random.default_rng(seed), kind, x, -self.plan.lane, 0.0, running=True))
        for walker in self._walkers:
            x = _around(here + 40, walker.start + walker.speed * time, _WALKERS_RING)
            heading = 0.0 if walker.speed >= 0 else np.pi
            walkers.append(_person_thing(walker, x, walker.y, KERB, heading, abs(walker.speed) * time, x - here))
        things = numbered(oncoming, _ONCOMING) + numbered(ahead, _AHEAD) + numbered(walkers, _WALKERS)
        things += self._crossing_people(time, here)
        return [thing for thing in things if thing.x > here - _BEHIND]

    def _crossing_people(self, time: float, here: float) -> list[Thing]:
        """People on the zebra crossings ahead, as long as the camera car is not upon them."""
        everybody = []
        spacing = 3 * BLOCK
        for index in (np.floor(here / spacing), np.floor(here / spacing) + 1):
            x = index * spacing + SIDE_ROAD + 2.6
            if x - here < 9.0:
                continue
            things = []
            rng = np.random.default_rng([self.seed, 4, int(index) + 1_000_000])
            for _ in range(int(rng.integers(1, 4))):
                walker = self._draw_walker(rng)
                reach = self.plan.half_road + 1.0
                speed = 0.8 + abs(walker.speed) / 3
                phase = (walker.start + speed * time) % (4 * reach)
                y = phase - reach if phase < 2 * reach else 3 * reach - phase
                heading = np.pi / 2 if phase < 2 * reach else -np.pi / 2
                z = KERB if abs(y) > self.plan.half_road else 0.0
                offset = float(rng.uniform(-1.2, 1.2))
                things.append(_person_thing(walker, x + offset, y, z, heading, speed * time + walker.start, x - here))
            everybody += numbered(things, _CROSSING + 4 * (int(index) % 200))
        return everybody

    def _standing(self, here: float) -> Geometry:
        block = int(np.floor(here / BLOCK))
        if self._still is None or block != self._cached_block:
            self._still = Geometry.join([self.plan.block(index) for index in range(block - 1, block + 5)])
            self._cached_block = block
        return self._still

    def render(self, time: float) -> Rendering:
        """Everything the sensors need, at a time in seconds."""
        here = self.distance(time)
        return render(
            self._standing(here),
            Geometry.of(self._movers(time)),
            self.camera,
            self.pose(time),
            self.conditions,
            self._supersampling,
        )


def _around(center: float, position: float, ring: float) -> float:
    """The place on an endlessly repeating ring that is nearest to a centre."""
    return center + (position - center + ring / 2) % ring - ring / 2


def _person_thing(walker: _Walker, x: float, y: float, z: float, heading: float, walked: float, ahead: float) -> Thing:
    phase = 2 * np.pi * walked / _STRIDE
    upper, lower, tone = walker.looks
    mesh = person(walker.height, phase, 0.5 if walker.speed else 0.06, 1 if ahead < _NEAR else 0)
    return Thing(mesh, x, y, z, heading, upper, lower, (tone, walker.height, 0.0, 0.0))
