"""Things placed in the world, and the triangles that rays are cast against."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from madm_core.errors import MissingDependencyError
from madm_core.streetworld.meshes import Floats, Mesh, join

try:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore import EmbreeDevice
    from embreex.rtcore_scene import EmbreeScene
except ImportError as error:
    raise MissingDependencyError("StreetWorld needs embreex", do="pip install 'madm_ros[streetworld]'") from error

Color = tuple[float, float, float]


@functools.cache
def _device() -> EmbreeDevice:
    """One for all scenes: starting it costs more than a small scene."""
    return EmbreeDevice()


@dataclass(frozen=True)
class Thing:
    """One instance: a mesh at a place, with its looks.

    Args:
        mesh: In the thing's own coordinates.
        x, y, z, yaw: Where the thing stands (metres, radians).
        color: Linear RGB reflectance of its main surface.
        accent: Linear RGB reflectance of its details (windows' frames, sign plates' symbols, trousers).
        pattern: Four numbers that the texture reads, e.g. a facade's window spacing.
        warmth: Own heat: kelvin above what its materials would have (a running engine, a heated house).
        lamp: Where it shines at night, in the mesh's coordinates; None for things without a lamp.
        instance: Number of what can be counted (vehicles, people), 1..65535 and the same during the whole drive; 0 for
            everything else.
    """

    mesh: Mesh
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    yaw: float = 0.0
    color: Color = (0.5, 0.5, 0.5)
    accent: Color = (0.3, 0.3, 0.3)
    pattern: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    warmth: float = 0.0
    lamp: tuple[float, float, float] | None = None
    instance: int = 0


@dataclass(frozen=True)
class ThingTable:
    """The looks of all things, as columns of N rows."""

    origin: Floats  # (N, 3)
    yaw: Floats  # (N,)
    color: Floats  # (N, 3)
    accent: Floats  # (N, 3)
    pattern: Floats  # (N, 4)
    warmth: Floats  # (N,)
    instance: npt.NDArray[np.uint16]  # (N,)

    @classmethod
    def of(cls, things: Sequence[Thing]) -> ThingTable:
        """The table of these things."""

        def column(values: list[object], width: int) -> Floats:
            return np.array(values, np.float32).reshape(len(things), width)

        return cls(
            column([(thing.x, thing.y, thing.z) for thing in things], 3),
            column([thing.yaw for thing in things], 1)[:, 0],
            column([thing.color for thing in things], 3),
            column([thing.accent for thing in things], 3),
            column([thing.pattern for thing in things], 4),
            column([thing.warmth for thing in things], 1)[:, 0],
            np.array([thing.instance for thing in things], np.uint16),
        )

    @classmethod
    def join(cls, tables: Sequence[ThingTable]) -> ThingTable:
        """Tables below each other."""
        names = ("origin", "yaw", "color", "accent", "pattern", "warmth", "instance")
        return cls(*(np.concatenate([getattr(table, name) for table in tables]) for name in names))


@dataclass(frozen=True)
class Geometry:
    """Placed things as one set of triangles.

    Args:
        mesh: World coordinates.
        thing_of_face: (F,) int32 rows of ``table``.
        table: Looks.
        lamps: (L, 3) positions of street lamps.
    """

    mesh: Mesh
    thing_of_face: npt.NDArray[np.int32]
    table: ThingTable
    lamps: Floats
    _scenes: list[EmbreeScene] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def of(cls, things: Sequence[Thing]) -> Geometry:
        """Places things; there must be at least one."""
        meshes = [thing.mesh.moved(thing.x, thing.y, thing.z, thing.yaw) for thing in things]
        owners = np.repeat(np.arange(len(things), dtype=np.int32), [len(mesh.faces) for mesh in meshes])
        lamps = [(thing.x + thing.lamp[0], thing.y + thing.lamp[1], thing.z + thing.lamp[2])
                 for thing in things if thing.lamp is not None]  # fmt: skip
        return cls(join(meshes), owners, ThingTable.of(things), np.array(lamps, np.float32).reshape(-1, 3))

    @classmethod
    def join(cls, parts: Sequence[Geometry]) -> Geometry:
        """Several geometries as one."""
        offsets = np.cumsum([0, *(len(part.table.yaw) for part in parts[:-1])])
        owners = [part.thing_of_face + np.int32(offset) for part, offset in zip(parts, offsets, strict=True)]
        return cls(
            join([part.mesh for part in parts]),
            np.concatenate(owners),
            ThingTable.join([part.table for part in parts]),
            np.concatenate([part.lamps for part in parts]),
        )

    def _scene(self) -> EmbreeScene:
        if not self._scenes:
            scene = EmbreeScene(_device())
            TriangleMesh(scene, self.mesh.vertices, self.mesh.faces)
            self._scenes.append(scene)
        return self._scenes[0]

    def cast(self, origins: Floats, directions: Floats) -> tuple[npt.NDArray[np.int32], Floats, Floats]:
        """First hits of rays.

        Args:
            origins, directions: (N, 3) float32.

        Returns:
            (N,) face indices, -1 where nothing is hit; (N,) distances in units of the directions' lengths; (N, 3)
            normals of the faces, of any length and sign.
        """
        hit = self._scene().run(origins, directions, output=1)
        return hit["primID"], hit["tfar"], hit["Ng"]

    def blocks(self, origins: Floats, directions: Floats) -> npt.NDArray[np.bool_]:
        """(N,) whether anything lies on the rays: shadows."""
        blocked: npt.NDArray[np.bool_] = self._scene().run(origins, directions, query="OCCLUDED") >= 0
        return blocked
