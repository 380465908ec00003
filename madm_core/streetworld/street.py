"""The procedural street: an endless row of blocks, each a function of the seed and its number alone."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from madm_core.streetworld.geometry import Color, Geometry, Thing
from madm_core.streetworld.materials import Material
from madm_core.streetworld.meshes import (
    Mesh,
    box,
    gable_roof,
    hedge,
    join,
    rectangle,
    street_lamp,
    traffic_light,
    traffic_sign,
    tree,
)
from madm_core.streetworld.movers import VEHICLE_KINDS, VEHICLE_SIZES, vehicle

BLOCK = 48.0
"""Length of a block in metres."""

SIDE_ROAD = 9.0
"""Width of the side road with which every third block begins."""

KERB = 0.15
GRASS_LEVEL = 0.08
_FAR = 45.0
_FIRST_PARKED, _PARKED_A_SIDE, _BLOCKS_APART = 1024, 16, 1024
"""Instance numbers of parked vehicles; they repeat after so many blocks, 49 km."""

_FACADES: tuple[Color, ...] = (
    (0.42, 0.18, 0.12), (0.55, 0.48, 0.38), (0.36, 0.34, 0.33), (0.62, 0.58, 0.5), (0.5, 0.36, 0.22), (0.3, 0.33, 0.36),
    (0.66, 0.62, 0.6), (0.28, 0.17, 0.14), (0.58, 0.52, 0.3), (0.45, 0.45, 0.48),
)  # fmt: skip
_PAINTS: tuple[Color, ...] = (
    (0.75, 0.75, 0.75), (0.03, 0.03, 0.035), (0.28, 0.29, 0.3), (0.45, 0.03, 0.03), (0.04, 0.09, 0.35),
    (0.55, 0.55, 0.52), (0.1, 0.12, 0.14), (0.5, 0.4, 0.08), (0.06, 0.2, 0.1), (0.35, 0.12, 0.04),
)  # fmt: skip
_SIGNS: tuple[Color, ...] = ((0.7, 0.03, 0.03), (0.03, 0.12, 0.6), (0.75, 0.55, 0.03), (0.75, 0.75, 0.75))


def pick_color(rng: np.random.Generator, colors: tuple[Color, ...], spread: float = 0.2) -> Color:
    """One of the colours, a little lighter or darker."""
    red, green, blue = np.array(colors[rng.integers(len(colors))]) * rng.uniform(1 - spread, 1 + spread)
    return float(red), float(green), float(blue)


def vehicle_thing(rng: np.random.Generator, kind: str, x: float, y: float, heading: float, running: bool) -> Thing:
    """A vehicle on the road; a running one is warm, a parked one sometimes still is."""
    warmth = 30.0 if running else float(rng.choice([0.0, 0.0, 12.0]))
    pattern = (VEHICLE_SIZES[kind][0], 0.0, 0.0, float(running))
    color = pick_color(rng, _PAINTS)
    return Thing(_vehicle_mesh(kind), x, y, 0.0, heading, color, pattern=pattern, warmth=warmth)


def numbered(things: Iterable[Thing], first: int) -> list[Thing]:
    """The things as instances ``first``, ``first + 1``, ..."""
    return [replace(thing, instance=first + index) for index, thing in enumerate(things)]


@functools.cache
def _vehicle_mesh(kind: str) -> Mesh:
    return vehicle(kind)


@dataclass(frozen=True)
class StreetPlan:
    """What stays the same along one street, drawn from its seed.

    Args:
        seed: Of the street.
        half_road: Half the width of the carriageway with its parking lanes, metres.
        sidewalk: Width of each sidewalk, metres.
        lane: Lateral position of the right-hand lane's middle is ``-lane``, of the left-hand one's ``+lane``.
        density: 0 (suburb: gardens and houses) to 1 (city: closed rows of tall houses).
        tree_spacing: Metres between street trees.
        parking: How full the parking lanes on the right and on the left are, 0 to 1.
    """

    seed: int
    half_road: float
    sidewalk: float
    lane: float
    density: float
    tree_spacing: float
    parking: tuple[float, float]

    @classmethod
    def from_seed(cls, seed: int) -> StreetPlan:
        """Draws a plan."""
        rng = np.random.default_rng([seed, 0])
        half_road = float(rng.uniform(5.0, 6.6))
        right, left = rng.choice([0.0, 0.15, 0.4, 0.6], 2, p=[0.3, 0.3, 0.25, 0.15])
        return cls(
            seed, half_road, float(rng.uniform(3.0, 5.0)), (half_road - 2.1) / 2, float(rng.random()),
            float(rng.uniform(9, 20)), (float(right), float(left)),
        )  # fmt: skip

    def parking_y(self, side: int) -> float:
        """Lateral position of parked vehicles; ``side`` is +1 (left) or -1 (right)."""
        return side * (self.half_road - 1.05)

    @functools.lru_cache(maxsize=16)  # noqa: B019 - plans are few and small
    def block(self, index: int) -> Geometry:
        """All things of one block that do not move; ``index`` may be negative."""
        rng = np.random.default_rng([self.seed, 1, index + 1_000_000])
        begin = index * BLOCK
        crossing = index % 3 == 0
        things = self._ground(begin, crossing)
        for side in (-1, 1):
            first = begin + (SIDE_ROAD if crossing else 0.0)
            things += self._lots(rng, side, first, begin + BLOCK)
            things += self._furniture(rng, side, first, begin + BLOCK, crossing)
            parked = self._parked(rng, side, first + (8.0 if crossing else 1.0), begin + BLOCK - 3.0)
            things += numbered(parked, _FIRST_PARKED + (index % _BLOCKS_APART * 2 + (side > 0)) * _PARKED_A_SIDE)
        return Geometry.of(things)

    def _ground(self, begin: float, crossing: bool) -> list[Thing]:
        end, road, walk = begin + BLOCK, self.half_road, self.half_road + self.sidewalk
        first = begin + (SIDE_ROAD if crossing else 0.0)
        asphalt = [rectangle((begin, end), (-road, road), 0.0, Material.ASPHALT)]
        if crossing:
            asphalt += [rectangle((begin, first), (s * road, s * _FAR), 0.0, Material.ASPHALT) for s in (-1, 1)]
        pattern = (road, begin, float(crossing), self.lane)
        things = [Thing(join(asphalt), color=(0.115, 0.115, 0.12), pattern=pattern)]
        middle, length = (first + end) / 2, end - first
        for side in (-1, 1):
            center = (middle, side * (road + walk) / 2, KERB / 2 - 0.005)
            things.append(
                Thing(box((length, self.sidewalk, KERB - 0.01), center, Material.CURB), color=(0.38, 0.37, 0.36))
            )
            paving = rectangle((first, end), (side * (road + 0.2), side * walk), KERB, Material.PAVING)
            things.append(Thing(paving, color=(0.34, 0.33, 0.32)))
            grass = rectangle((first, end), (side * walk, side * _FAR * 2), GRASS_LEVEL, Material.GRASS)
            things.append(Thing(grass, color=(0.13, 0.2, 0.06)))
        return things

    def _lots(self, rng: np.random.Generator, side: int, begin: float, end: float) -> list[Thing]:
        things: list[Thing] = []
        at, edge = begin, side * (self.half_road + self.sidewalk)
        while at < end - 4.0:
            width = min(float(rng.uniform(9, 19)), end - at)
            draw = rng.random()
            city = 0.1 + 0.5 * self.density
            if draw < city:
                things += self._building(rng, at, edge, side, width)
            elif draw < city + 0.4 * (1 - city):
                things += self._house(rng, at, edge, side, width)
                things += self._border(rng, at, edge, side, width)
            else:
                things += self._park(rng, at, edge, side, width)
                things += self._border(rng, at, edge, side, width)
            at += width
        return things

    def _building(self, rng: np.random.Generator, x: float, edge: float, side: int, width: float) -> list[Thing]:
        storey = float(rng.uniform(2.9, 3.6))
        height = storey * int(rng.integers(2, 4 + int(5 * self.density)))
        depth, setback = 12.0, float(rng.choice([0.0, 0.0, 1.0]))
        middle = side * (depth / 2 + setback)
        color = pick_color(rng, _FACADES)
        bay = float(rng.uniform(1.8, 3.6))
        pattern = (bay, storey, float(rng.uniform(0.35, 0.7)), float(rng.integers(1, 1000)))
        body = [box((width, depth, height), (width / 2, middle, height / 2), Material.FACADE)]
        front = side * setback
        # Relief: a cornice at the top, a plinth, and on some houses balconies.
        for z, out, thick in ((height - 0.2, 0.45, 0.4), (0.3, 0.12, 0.6), (storey, 0.2, 0.25)):
            body.append(
                box(
                    (width, out, thick),
                    (width / 2, front - side * out / 2, z),
                    Material.ROOF if z > storey else Material.FACADE,
                )
            )
        if rng.random() < 0.35:
            for floor in range(1, round(height / storey)):
                for u in np.arange(bay, width - bay, 2 * bay):
                    body.append(
                        box(
                            (bay * 0.9, 1.0, 0.9), (float(u), front - side * 0.5, floor * storey + 0.3), Material.FACADE
                        )
                    )
        if rng.random() < 0.4:
            body.append(gable_roof(width, depth, height, float(rng.uniform(2, 4)), middle))
        return [Thing(join(body), x, edge, 0.0, 0.0, color, (0.75, 0.74, 0.7), pattern, float(rng.uniform(0, 2.5)))]

    def _house(self, rng: np.random.Generator, x: float, edge: float, side: int, width: float) -> list[Thing]:
        storey = float(rng.uniform(2.6, 3.0))
        height, depth, setback = storey * int(rng.integers(1, 3)), 9.0, float(rng.uniform(4, 8))
        inner = max(width - 3.0, 5.0)
        middle = side * (setback + depth / 2)
        pattern = (float(rng.uniform(2.0, 3.2)), storey, float(rng.uniform(0.4, 0.6)), float(rng.integers(1, 1000)))
        body = [
            box((inner, depth, height), (inner / 2, middle, height / 2), Material.FACADE),
            gable_roof(inner, depth, height, float(rng.uniform(2.5, 4.0)), middle),
        ]
        house = Thing(join(body), x + 1.5, edge, 0.0, 0.0, pick_color(rng, _FACADES), (0.75, 0.74, 0.7), pattern, 1.0)
        return [
            house,
            self._tree(rng, x + width * rng.random(), edge + side * rng.uniform(1.5, 3.0), rng.uniform(4, 7)),
        ]

    def _park(self, rng: np.random.Generator, x: float, edge: float, side: int, width: float) -> list[Thing]:
        count = max(int(width / 3.5), 2)
        return [
            self._tree(rng, x + width * rng.random(), edge + side * rng.uniform(2.5, 16.0), rng.uniform(5, 11))
            for _ in range(count)
        ]

    def _border(self, rng: np.random.Generator, x: float, edge: float, side: int, width: float) -> list[Thing]:
        """What separates a garden or a park from the sidewalk: a fence, a wall or a hedge."""
        draw, y = rng.random(), edge + side * 0.25
        if draw < 0.42:
            height = float(rng.uniform(1.1, 2.0))
            posts = [box((0.12, 0.14, height + 0.1), (float(u), 0.0, (height + 0.1) / 2), Material.FENCE)
                     for u in np.arange(0.1, width, 2.2)]  # fmt: skip
            panel = box((width, 0.05, height), (width / 2, 0, height / 2), Material.FENCE)
            color = pick_color(rng, ((0.34, 0.22, 0.12), (0.55, 0.54, 0.5), (0.12, 0.16, 0.13), (0.42, 0.3, 0.2)))
            pattern = (float(rng.uniform(0.14, 0.24)), height, float(rng.integers(2)), 0.0)
            return [Thing(join([panel, *posts]), x, y, 0.0, 0.0, color, pattern=pattern)]
        if draw < 0.82:
            height = float(rng.uniform(1.3, 2.8))
            body = [box((width, 0.3, height), (width / 2, 0, height / 2), Material.WALL),
                    box((width, 0.42, 0.12), (width / 2, 0, height + 0.06), Material.WALL)]  # fmt: skip
            color = pick_color(rng, ((0.4, 0.36, 0.3), (0.34, 0.15, 0.1), (0.5, 0.49, 0.47)))
            return [Thing(join(body), x, y, 0.0, 0.0, color, pattern=(0.4, 0.2, float(rng.integers(1, 99)), 0.0))]
        return [Thing(hedge(rng, width, float(rng.uniform(1.0, 1.7))), x, y + side * 0.3, 0.0, 0.0, (0.08, 0.15, 0.04))]

    def _furniture(self, rng: np.random.Generator, side: int, begin: float, end: float, crossing: bool) -> list[Thing]:
        curb = side * (self.half_road + 0.45)
        metal = pick_color(rng, ((0.3, 0.31, 0.3), (0.12, 0.14, 0.13), (0.45, 0.45, 0.44)))
        things = []
        for x in np.arange(begin + rng.uniform(2, 8), end - 1, rng.uniform(15, 20)):
            height, arm = float(rng.uniform(6, 8)), -side * float(rng.uniform(1.2, 2.0))
            lamp = (0.0, arm, height - 0.15)
            things.append(Thing(street_lamp(height, arm), float(x), curb, KERB, 0.0, metal, lamp=lamp))
        for x in np.arange(begin + rng.uniform(1, 7), end - 1, rng.uniform(8, 13)):
            facing = -1.0 if side < 0 else float(rng.choice([-1.0, 1.0]))
            sign = traffic_sign(rng, facing)
            things.append(
                Thing(sign, float(x), curb, KERB, float(rng.uniform(-0.2, 0.2)), metal, pick_color(rng, _SIGNS),
                      pattern=(facing, 0, 0, 0))
            )  # fmt: skip
        if crossing:
            light = traffic_light(-side * (self.half_road - self.lane))
            things.append(Thing(light, begin + 0.6, curb, KERB, 0.0, metal, pattern=(float(rng.integers(3)), 0, 0, 0)))
        for x in np.arange(begin + rng.uniform(3, 9), end - 2, self.tree_spacing):
            things.append(self._tree(rng, float(x), curb + side * 0.5, float(rng.uniform(4.5, 8)), KERB))
        if rng.random() < 0.5:
            for x in np.arange(begin + 4, end - 4, 3.0):
                bollard = box((0.18, 0.18, 0.95), (0, 0, 0.47), Material.POLE)
                things.append(Thing(bollard, float(x), side * (self.half_road + 0.3), KERB, 0.0, metal))
        return things

    def _parked(self, rng: np.random.Generator, side: int, begin: float, end: float) -> list[Thing]:
        things, at = [], begin
        while at < end:
            kind = VEHICLE_KINDS[rng.choice(len(VEHICLE_KINDS), p=[0.3, 0.3, 0.24, 0.12, 0.04])]
            length = VEHICLE_SIZES[kind][0]
            if at + length < end and rng.random() < self.parking[(side + 1) // 2]:
                heading = 0.0 if side < 0 else np.pi
                y = self.parking_y(side) + rng.uniform(-0.1, 0.1)
                things.append(vehicle_thing(rng, kind, at + length / 2, y, heading, running=False))
            at += length + float(rng.uniform(0.7, 2.5))
        return things

    @staticmethod
    def _tree(rng: np.random.Generator, x: float, y: float, height: float, z: float = GRASS_LEVEL) -> Thing:
        green = pick_color(rng, ((0.09, 0.17, 0.04), (0.13, 0.2, 0.05), (0.06, 0.13, 0.05), (0.2, 0.17, 0.04)))
        return Thing(
            tree(rng, float(height)), float(x), float(y), z, float(rng.uniform(0, 6)), green, (0.12, 0.08, 0.05)
        )
