"""Triangle meshes of the things in a street.

Metres; x forward, y left, z up; objects stand on z = 0 around the origin.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from madm_core.errors import MissingDependencyError
from madm_core.streetworld.materials import Material

try:
    import trimesh
except ImportError as error:
    raise MissingDependencyError("StreetWorld needs trimesh", do="pip install 'madm_ros[streetworld]'") from error

Floats = npt.NDArray[np.floating[Any]]
"""Floating point arrays; what is kept or returned is float32."""
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Mesh:
    """Triangles with a material each.

    Args:
        vertices: (V, 3) float32.
        faces: (F, 3) int32 indices of vertices, counter-clockwise seen from outside.
        materials: (F,) uint8.
    """

    vertices: Floats
    faces: npt.NDArray[np.int32]
    materials: npt.NDArray[np.uint8]

    def moved(self, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Mesh:
        """The mesh turned by ``yaw`` (radians, anticlockwise from above) and then shifted."""
        return Mesh(turn(self.vertices, yaw) + np.array([x, y, z], np.float32), self.faces, self.materials)


def turn(points: Floats, yaw: float) -> Floats:
    """Turns (N, 3) points about the z axis."""
    if yaw == 0.0:
        return points
    c, s = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
    turned = points.copy()
    turned[:, 0] = c * points[:, 0] - s * points[:, 1]
    turned[:, 1] = s * points[:, 0] + c * points[:, 1]
    return turned


def join(meshes: Sequence[Mesh]) -> Mesh:
    """All meshes as one."""
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + np.int32(offset) for mesh, offset in zip(meshes, offsets, strict=True)]),
        np.concatenate([mesh.materials for mesh in meshes]),
    )


def _mesh(vertices: npt.ArrayLike, faces: npt.ArrayLike, material: Material) -> Mesh:
    triangles = np.asarray(faces, np.int32)
    return Mesh(np.asarray(vertices, np.float32), triangles, np.full(len(triangles), material, np.uint8))


@functools.cache
def _unit(shape: str, detail: int) -> tuple[Floats, npt.NDArray[np.int32]]:
    if shape == "box":
        solid = trimesh.creation.box()
    elif shape == "ball":
        solid = trimesh.creation.icosphere(subdivisions=detail, radius=1.0)
    else:
        solid = trimesh.creation.cylinder(radius=1.0, height=1.0, sections=detail)
    # Plain arrays: trimesh's own watch for changes, which makes every operation on them slow.
    return np.array(solid.vertices, np.float32), np.array(solid.faces, np.int32)


def box(size: Triple, center: Triple, material: Material) -> Mesh:
    """An axis-parallel box."""
    vertices, faces = _unit("box", 0)
    return _mesh(vertices * np.array(size, np.float32) + np.array(center, np.float32), faces, material)


def ball(radii: Triple, center: Triple, material: Material, detail: int = 1) -> Mesh:
    """An ellipsoid."""
    vertices, faces = _unit("ball", detail)
    return _mesh(vertices * np.array(radii, np.float32) + np.array(center, np.float32), faces, material)


def cylinder(
    radius: float, length: float, center: Triple, material: Material, axis: str = "z", sections: int = 8
) -> Mesh:
    """A cylinder along one of the axes."""
    vertices, faces = _unit("cylinder", sections)
    scaled = vertices * np.array([radius, radius, length], np.float32)
    order = {"z": [0, 1, 2], "x": [2, 0, 1], "y": [1, 2, 0]}[axis]
    return _mesh(scaled[:, order] + np.array(center, np.float32), faces, material)


def rectangle(x: tuple[float, float], y: tuple[float, float], z: float, material: Material) -> Mesh:
    """A level rectangle that faces up."""
    corners = [(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)]
    return _mesh(corners, [(0, 1, 2), (0, 2, 3)], material)


def gable_roof(width: float, depth: float, eaves: float, rise: float, center_y: float) -> Mesh:
    """A roof with its ridge along x over a house of ``width`` along x that begins at x = 0."""
    over = 0.4
    x0, x1, y0, y1 = -over, width + over, center_y - depth / 2 - over, center_y + depth / 2 + over
    vertices = [
        (x0, y0, eaves), (x1, y0, eaves), (x1, y1, eaves), (x0, y1, eaves),
        (x0, center_y, eaves + rise), (x1, center_y, eaves + rise),
    ]  # fmt: skip
    faces = [(0, 1, 5), (0, 5, 4), (2, 3, 4), (2, 4, 5), (0, 4, 3), (1, 2, 5), (0, 3, 2), (0, 2, 1)]
    return _mesh(vertices, faces, Material.ROOF)


def lumpy_ball(
    rng: np.random.Generator, radii: Triple, center: Triple, roughness: float = 0.2, detail: int = 1
) -> Mesh:
    """An ellipsoid with an uneven surface: foliage."""
    vertices, faces = _unit("ball", detail)
    bumps = 1.0 + roughness * rng.uniform(-1, 1, (len(vertices), 1)).astype(np.float32)
    return _mesh(vertices * bumps * np.array(radii, np.float32) + np.array(center, np.float32), faces, Material.LEAVES)


def tree(rng: np.random.Generator, height: float) -> Mesh:
    """A trunk and a crown of several lumps; every third tree is a conifer."""
    trunk = rng.uniform(0.12, 0.24)
    if rng.random() < 0.3:
        parts = [cylinder(trunk, height * 0.3, (0, 0, height * 0.15), Material.BARK)]
        for level in range(4):
            radius, up = height * (0.26 - 0.05 * level), height * (0.3 + 0.2 * level)
            parts.append(lumpy_ball(rng, (radius, radius, height * 0.16), (0, 0, up), 0.25))
        return join(parts)
    crown = height * rng.uniform(0.55, 0.68)
    parts = [cylinder(trunk, height * 0.6, (0, 0, height * 0.3), Material.BARK)]
    for _ in range(6):
        angle, out = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.17) * height
        size = rng.uniform(0.15, 0.22) * height
        at = (out * np.cos(angle), out * np.sin(angle), crown + rng.uniform(-0.08, 0.2) * height)
        parts.append(lumpy_ball(rng, (size, size, size * 0.85), at))
    return join(parts)


def hedge(rng: np.random.Generator, length: float, height: float) -> Mesh:
    """A row of bushes along x from 0 to ``length``."""
    count = max(int(length / 0.9), 1)
    steps = (np.arange(count) + 0.5) * length / count
    return join([lumpy_ball(rng, (0.7, 0.5, height * 0.62), (x, 0.0, height * 0.5), 0.12) for x in steps])


def street_lamp(height: float, arm: float) -> Mesh:
    """A lamp post whose arm reaches ``arm`` metres along y (negative: to the right)."""
    return join(
        [
            cylinder(0.13, height, (0, 0, height / 2), Material.POLE),
            cylinder(0.2, 0.9, (0, 0, 0.45), Material.POLE),
            cylinder(0.07, abs(arm), (0, arm / 2, height), Material.POLE, axis="y", sections=6),
            box((0.35, 0.8, 0.18), (0, arm, height), Material.LANTERN),
        ]
    )


def traffic_sign(rng: np.random.Generator, facing: float) -> Mesh:
    """One or two plates on a post; ``facing`` is -1 for plates seen by traffic that drives along +x, else +1."""
    height = rng.uniform(2.3, 3.0)
    size = rng.uniform(0.42, 0.62)
    parts = [cylinder(0.07, height, (0, 0, height / 2), Material.POLE, sections=6)]
    at = facing * 0.1
    sides = int(rng.choice([3, 4, 8, 16]))
    parts.append(cylinder(size, 0.05, (at, 0, height), Material.SIGN, axis="x", sections=sides))
    if rng.random() < 0.45:
        parts.append(box((0.05, size * 1.7, size * 0.8), (at, 0, height - size * 1.5), Material.SIGN))
    return join(parts)


def traffic_light(arm: float) -> Mesh:
    """A signal head beside the post and one over the lane on an arm of ``arm`` metres along y."""
    return join(
        [
            cylinder(0.13, 5.4, (0, 0, 2.7), Material.POLE),
            cylinder(0.08, abs(arm), (0, arm / 2, 5.3), Material.POLE, axis="y", sections=6),
            box((0.35, 0.45, 1.2), (-0.15, 0, 3.0), Material.TRAFFIC_LIGHT),
            box((0.35, 0.45, 1.2), (-0.05, arm, 4.9), Material.TRAFFIC_LIGHT),
        ]
    )
