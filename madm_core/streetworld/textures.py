"""How surfaces look: material, place on the thing and distance to reflectance and emitted light."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from madm_core.streetworld.geometry import ThingTable
from madm_core.streetworld.materials import Material
from madm_core.streetworld.meshes import Floats
from madm_core.streetworld.noise import faded, lattice_noise, stripes, value_noise
from madm_core.streetworld.street import SIDE_ROAD


@dataclass
class Points:
    """Surface points that rays hit, one row a point.

    Args:
        material: (N,) uint8; a texture may refine it (a window in a facade).
        local: (N, 3) place in the thing's own coordinates.
        normal: (N, 3) unit normal in the thing's own coordinates, towards the viewer.
        footprint: (N,) metres that a pixel covers there.
        thing: (N,) rows of ``table``.
        table: Looks of the things.
        albedo: (N, 3) linear RGB reflectance, filled in.
        glow: (N, 3) linear RGB emitted light with all lamps on, filled in.
    """

    material: npt.NDArray[np.uint8]
    local: Floats
    normal: Floats
    footprint: Floats
    thing: npt.NDArray[np.int32]
    table: ThingTable
    albedo: Floats
    glow: Floats


Index = npt.NDArray[np.intp]


def paint(points: Points) -> None:
    """Fills ``albedo`` and ``glow`` and refines ``material``."""
    points.albedo[:] = points.table.color[points.thing]
    order = np.argsort(points.material, kind="stable")
    bounds = np.searchsorted(points.material[order], np.arange(len(Material) + 1))
    for material, texture in _TEXTURES.items():
        chosen = order[bounds[material] : bounds[material + 1]]
        if len(chosen):
            texture(points, chosen)


def _asphalt(points: Points, at: Index) -> None:
    x, y = points.local[at, 0], points.local[at, 1]
    fine = points.footprint[at]
    road, begin, crossing, lane = points.table.pattern[points.thing[at]].T
    grain = 0.18 * faded(value_noise(x * 9, y * 9), 0.11, fine) + 0.14 * faded(
        value_noise(x * 0.7, y * 1.6, 5), 1.4, fine
    )
    tracks = 0.1 * np.exp(-(((np.abs(np.abs(y) - lane) - 0.75) / 0.25) ** 2))
    points.albedo[at] *= (1 + grain - tracks)[:, None]
    open_road = (np.abs(y) < road) & ((crossing == 0) | (x > begin + SIDE_ROAD + 6.0))
    edge = np.maximum(fine, 1e-3)
    center = np.clip((0.09 - np.abs(y)) / edge + 0.5, 0, 1) * stripes(x, 6.0, 3.0, fine)
    border = np.clip((0.08 - np.abs(np.abs(y) - (road - 2.1))) / edge + 0.5, 0, 1)
    zebra_zone = (crossing > 0) & (np.abs(x - begin - SIDE_ROAD - 2.6) < 1.7) & (np.abs(y) < road - 0.2)
    zebra = stripes(y, 1.0, 0.5, fine) * zebra_zone
    white = np.where(open_road, np.maximum(center, border), 0.0) + zebra
    white = np.clip(white * (0.85 + 0.3 * value_noise(x * 3, y * 3, 9)), 0, 1)
    points.albedo[at] += white[:, None] * (0.62 - points.albedo[at])
    points.material[at[white > 0.5]] = Material.MARKING


def _paving(points: Points, at: Index) -> None:
    x, y = points.local[at, 0], points.local[at, 1]
    fine = points.footprint[at]
    joints = np.maximum(stripes(x, 0.8, 0.05, fine), stripes(y, 0.8, 0.05, fine))
    slab = lattice_noise(np.floor(x / 0.8 + 0.5).astype(np.int64), np.floor(y / 0.8 + 0.5).astype(np.int64), 3)
    shade = 1 + 0.14 * faded(slab, 0.8, fine) + 0.12 * faded(value_noise(x * 2, y * 2, 4), 0.5, fine) - 0.4 * joints
    points.albedo[at] *= shade[:, None]


def _facade(points: Points, at: Index) -> None:
    local, normal = points.local[at], points.normal[at]
    fine = points.footprint[at]
    thing = points.thing[at]
    bay, storey, share, code = points.table.pattern[thing].T
    number = code.astype(np.int64)
    along = np.where(np.abs(normal[:, 1]) > np.abs(normal[:, 0]), local[:, 0], local[:, 1] + 31.0)
    up = local[:, 2]
    rows = stripes(up, 0.3, 0.04, fine)
    rough = faded(value_noise(along * 1.3, up * 1.3, number), 0.8, fine)
    shade = 1 + 0.13 * rough - np.where(number % 2 == 0, 0.25 * rows, 0.0) - 0.12 * np.exp(-up / 0.5)
    points.albedo[at] *= shade[:, None]
    upright = np.abs(normal[:, 2]) < 0.5
    from_middle = np.abs((along + bay / 2) % bay - bay / 2)
    from_floor = up % storey
    half = share * bay / 2
    ground_floor = up < storey
    sill, head = np.where(ground_floor & (number % 3 == 0), 0.4, 0.9), storey - 0.5
    inside = np.minimum(half - from_middle, np.minimum(from_floor - sill, head - from_floor))
    frame = upright & (np.abs(inside) < 0.07) & (fine < 0.3)
    points.albedo[at[frame]] = points.table.accent[thing[frame]]
    window = upright & (inside > 0.0) & ~frame
    cell = lattice_noise(np.floor(along / bay + 0.5).astype(np.int64), np.floor(up / storey).astype(np.int64), number)
    is_door = window & ground_floor & (cell > 0.86)
    points.material[at[window]] = Material.WINDOW
    points.albedo[at[window]] = (0.05 + 0.1 * cell[window])[:, None] * np.array([0.8, 0.95, 1.1], np.float32)
    lit = window & (cell < 0.35)
    points.glow[at[lit]] = np.array([0.9, 0.62, 0.28], np.float32) * (0.12 + cell[lit])[:, None]
    points.material[at[is_door]] = Material.DOOR
    points.albedo[at[is_door]] = np.array([0.2, 0.11, 0.06], np.float32)
    points.glow[at[is_door]] = 0.0


def _roof(points: Points, at: Index) -> None:
    x, y = points.local[at, 0], points.local[at, 1]
    points.albedo[at] = (
        np.array([0.21, 0.09, 0.06], np.float32)
        * (1 - 0.35 * stripes(x, 0.35, 0.1, points.footprint[at]) - 0.2 * stripes(y, 0.4, 0.1, points.footprint[at]))[
            :, None
        ]
    )


def _masonry(points: Points, at: Index) -> None:
    local, fine = points.local[at], points.footprint[at]
    length, height, code, _ = points.table.pattern[points.thing[at]].T
    row = np.floor(local[:, 2] / height)
    along = local[:, 0] + np.where(row % 2 == 0, 0.0, length / 2)
    joints = np.maximum(stripes(along, length, 0.04, fine), stripes(local[:, 2], height, 0.04, fine))
    stone = lattice_noise(np.floor(along / length + 0.5).astype(np.int64), row.astype(np.int64), code.astype(np.int64))
    points.albedo[at] *= (1 + 0.28 * faded(stone, 0.4, fine) - 0.35 * joints)[:, None]


def _fence(points: Points, at: Index) -> None:
    local, fine = points.local[at], points.footprint[at]
    period, height, railing, _ = points.table.pattern[points.thing[at]].T
    gaps = stripes(local[:, 0], period, np.where(railing > 0, 0.5, 0.22) * period, fine)
    rails = np.maximum(
        np.clip((0.06 - np.abs(local[:, 2] - 0.2 * height)) / np.maximum(fine, 0.01) + 0.5, 0, 1),
        np.clip((0.06 - np.abs(local[:, 2] - 0.85 * height)) / np.maximum(fine, 0.01) + 0.5, 0, 1),
    )
    points.albedo[at] *= (1 - 0.75 * gaps * (1 - rails))[:, None]


def _pole(points: Points, at: Index) -> None:
    points.albedo[at] *= (1 - 0.35 * (points.local[at, 2] < 0.9))[:, None]


def _lantern(points: Points, at: Index) -> None:
    points.glow[at] = np.array([6.0, 4.2, 2.2], np.float32)


def _sign(points: Points, at: Index) -> None:
    local = points.local[at]
    thing = points.thing[at]
    facing = points.table.pattern[thing, 0]
    front = local[:, 0] * facing > 0.1
    symbol = front & (stripes(local[:, 1], 0.5, 0.16, points.footprint[at]) > 0.5)
    points.albedo[at] = np.where(front[:, None], points.table.accent[thing], np.array([0.28, 0.28, 0.29], np.float32))
    points.albedo[at[symbol]] = 0.8
    # Retroreflecting plates look bright at night in one's own head lights.
    points.glow[at[front]] = 0.25 * points.albedo[at[front]]


def _traffic_light(points: Points, at: Index) -> None:
    local, normal = points.local[at], points.normal[at]
    state = points.table.pattern[points.thing[at], 0].astype(np.int64)
    points.albedo[at] = 0.03
    head = np.where(local[:, 2] > 4.0, 4.9, 3.0)
    height = local[:, 2] - head
    for index, (level, color) in enumerate(
        ((0.38, (1.0, 0.05, 0.03)), (0.0, (1.0, 0.6, 0.05)), (-0.38, (0.05, 0.9, 0.3)))
    ):
        lamp = (normal[:, 0] < -0.5) & (np.abs(height - level) < 0.15)
        points.albedo[at[lamp]] = 0.1 * np.array(color, np.float32)
        points.glow[at[lamp & (state == index)]] = 2.5 * np.array(color, np.float32)


def _leaves(points: Points, at: Index) -> None:
    local, fine = points.local[at], points.footprint[at]
    number = points.thing[at].astype(np.int64) % 7
    clumps = faded(
        value_noise(local[:, 0] * 2.2 + local[:, 2], local[:, 1] * 2.2 + local[:, 2] * 1.7, number), 0.4, fine
    )
    leaves = faded(value_noise(local[:, 0] * 9 + local[:, 2] * 5, local[:, 1] * 9 + local[:, 2] * 7, 2), 0.11, fine)
    points.albedo[at] *= (1 + 0.45 * clumps + 0.35 * leaves)[:, None]


def _bark(points: Points, at: Index) -> None:
    points.albedo[at] = (
        points.table.accent[points.thing[at]]
        * (1 + 0.4 * faded(value_noise(points.local[at, 0] * 20, points.local[at, 2] * 3), 0.3, points.footprint[at]))[
            :, None
        ]
    )


def _grass(points: Points, at: Index) -> None:
    x, y, fine = points.local[at, 0], points.local[at, 1], points.footprint[at]
    patches = 0.3 * faded(value_noise(x * 0.5, y * 0.5, 6), 2.0, fine) + 0.35 * faded(
        value_noise(x * 7, y * 7, 7), 0.14, fine
    )
    points.albedo[at] *= (1 + patches)[:, None]


def _car_glass(points: Points, at: Index) -> None:
    points.albedo[at] = np.array([0.035, 0.045, 0.05], np.float32)


def _tyre(points: Points, at: Index) -> None:
    local = points.local[at]
    length = points.table.pattern[points.thing[at], 0]
    axle = np.where(local[:, 0] > 0, 0.31, -0.3) * length
    rim = (np.hypot(local[:, 0] - axle, local[:, 2] - 0.35) < 0.2) & (np.abs(points.normal[at, 1]) > 0.7)
    points.albedo[at] = np.where(rim, 0.4, 0.02)[:, None]


def _car_light(points: Points, at: Index) -> None:
    front = points.local[at, 0] > 0
    running = points.table.pattern[points.thing[at], 3]
    points.albedo[at] = np.where(front[:, None], [0.6, 0.6, 0.58], [0.4, 0.02, 0.02])
    shine = np.where(front[:, None], [5.0, 4.6, 3.8], [1.2, 0.04, 0.03])
    points.glow[at] = (shine * running[:, None]).astype(np.float32)


def _skin(points: Points, at: Index) -> None:
    tone = points.table.pattern[points.thing[at], 0]
    points.albedo[at] = np.array([0.5, 0.32, 0.23], np.float32) * (0.35 + 0.75 * tone)[:, None]
    hair = (points.local[at, 2] > 0.95 * points.table.pattern[points.thing[at], 1]) | (points.local[at, 0] < -0.06)
    points.albedo[at[hair & (points.local[at, 2] > 1.1)]] = [0.05, 0.035, 0.025]


def _cloth(points: Points, at: Index) -> None:
    thing = points.thing[at]
    trousers = points.local[at, 2] < 0.5 * points.table.pattern[thing, 1]
    points.albedo[at[trousers]] = points.table.accent[thing[trousers]]


_TEXTURES: dict[Material, Callable[[Points, Index], None]] = {
    Material.ASPHALT: _asphalt,
    Material.PAVING: _paving,
    Material.FACADE: _facade,
    Material.ROOF: _roof,
    Material.WALL: _masonry,
    Material.FENCE: _fence,
    Material.POLE: _pole,
    Material.LANTERN: _lantern,
    Material.SIGN: _sign,
    Material.TRAFFIC_LIGHT: _traffic_light,
    Material.LEAVES: _leaves,
    Material.BARK: _bark,
    Material.GRASS: _grass,
    Material.CAR_GLASS: _car_glass,
    Material.TYRE: _tyre,
    Material.CAR_LIGHT: _car_light,
    Material.SKIN: _skin,
    Material.CLOTH: _cloth,
}
