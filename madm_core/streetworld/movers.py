"""Meshes of what moves in a street: vehicles and people."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from madm_core.streetworld.materials import Material
from madm_core.streetworld.meshes import Floats, Mesh, ball, box, cylinder, join

_Profile = list[tuple[float, float]]

# Side views as (x, z) points in shares of length and height, from the front bumper over the roof to the rear bumper.
_BODIES: dict[str, tuple[tuple[float, float, float], _Profile, _Profile]] = {
    # kind: ((length, width, height), lower body, cabin)
    "sedan": (
        (4.5, 1.8, 1.45),
        [(0.5, 0.18), (0.5, 0.45), (0.46, 0.55), (0.2, 0.62), (-0.34, 0.65), (-0.49, 0.6), (-0.5, 0.2)],
        [(0.22, 0.6), (0.06, 0.97), (-0.16, 1.0), (-0.37, 0.64)],
    ),
    "hatchback": (
        (4.0, 1.75, 1.55),
        [(0.5, 0.18), (0.5, 0.45), (0.46, 0.53), (0.24, 0.6), (-0.46, 0.63), (-0.5, 0.5), (-0.5, 0.2)],
        [(0.26, 0.58), (0.08, 0.96), (-0.3, 1.0), (-0.47, 0.6)],
    ),
    "suv": (
        (4.7, 1.95, 1.8),
        [(0.5, 0.22), (0.5, 0.5), (0.47, 0.57), (0.24, 0.62), (-0.48, 0.64), (-0.5, 0.5), (-0.5, 0.22)],
        [(0.25, 0.6), (0.12, 0.96), (-0.42, 1.0), (-0.49, 0.62)],
    ),
    "van": (
        (5.6, 2.1, 2.5),
        [(0.5, 0.14), (0.5, 0.38), (0.45, 0.46), (-0.5, 0.46), (-0.5, 0.14)],
        [(0.46, 0.44), (0.33, 0.93), (0.26, 1.0), (-0.49, 1.0), (-0.5, 0.44)],
    ),
    "truck": (
        (8.0, 2.5, 3.4),
        [(0.5, 0.12), (0.5, 0.34), (-0.5, 0.34), (-0.5, 0.16)],
        [(0.5, 0.34), (0.48, 0.78), (0.33, 0.8), (0.32, 1.0), (-0.5, 1.0), (-0.5, 0.34)],
    ),
}
VEHICLE_KINDS = tuple(_BODIES)
VEHICLE_SIZES = {kind: body[0] for kind, body in _BODIES.items()}


def _prism(profile: _Profile, size: tuple[float, float, float], narrowing: float, glazed: bool) -> Mesh:
    """Sweeps a side view across the width; the upper points move inwards by ``narrowing`` (share of the width)."""
    length, width, height = size
    points = np.array(profile, np.float64)
    low, high = points[:, 1].min(), points[:, 1].max()
    inward = 1.0 - narrowing * (points[:, 1] - low) / max(high - low, 1e-6)
    rings = [
        np.stack([points[:, 0] * length, side * inward * width / 2, points[:, 1] * height], axis=1) for side in (-1, 1)
    ]
    count = len(points)
    faces, materials = [], []
    for i in range(count):
        j = (i + 1) % count
        # Over the sloping ends of a cabin lie the windscreen and the rear window, over its level top the roof.
        sloping = glazed and abs(points[j, 1] - points[i, 1]) > 0.1 and i != count - 1
        faces += [(i, count + i, j), (j, count + i, count + j)]
        materials += [Material.CAR_GLASS if sloping else Material.PAINT] * 2
    for i in range(1, count - 1):
        faces += [(0, i, i + 1), (count, count + i + 1, count + i)]
        materials += [Material.CAR_GLASS if glazed else Material.PAINT] * 2
    return Mesh(np.concatenate(rings).astype(np.float32), np.array(faces, np.int32), np.array(materials, np.uint8))


def vehicle(kind: str) -> Mesh:
    """A vehicle of one of :data:`VEHICLE_KINDS` that heads along +x."""
    size, lower, cabin = _BODIES[kind]
    length, width, height = size
    boxy = kind in ("van", "truck")
    parts = [_prism(lower, size, 0.02, glazed=False), _prism(cabin, size, 0.04 if boxy else 0.22, glazed=not boxy)]
    if boxy:
        # A flat windscreen and side windows on an otherwise closed cabin.
        front = 0.405 if kind == "van" else 0.495
        parts.append(box((0.12, width * 0.86, height * 0.24), (front * length, 0, height * 0.64), Material.CAR_GLASS))
        parts.append(
            box((length * 0.1, width * 1.0, height * 0.18), (0.3 * length, 0, height * 0.64), Material.CAR_GLASS)
        )
    else:
        # Pillars divide the side windows.
        for x in (0.05, -0.18):
            parts.append(box((0.08, width * 0.92, height * 0.34), (x * length, 0, height * 0.8), Material.PAINT))
    radius = 0.33 if not boxy else 0.42
    for x in (0.31, -0.3):
        for side in (-1, 1):
            at = (x * length, side * (width / 2 - 0.08), radius)
            parts.append(cylinder(radius, 0.22, at, Material.TYRE, axis="y", sections=12))
    lamp = 0.36 if boxy else 0.5
    for y in (-0.36, 0.36):
        for x in (0.5, -0.5):
            parts.append(box((0.08, 0.36, 0.18), (x * length, y * width, lamp * height), Material.CAR_LIGHT))
    return join(parts)


@dataclass(frozen=True)
class _Body:
    """A person of height 1 who stands still, and what swings: each vertex' joint and its share of the legs' angle."""

    mesh: Mesh
    joint_z: Floats
    swing: Floats


@functools.cache
def _body(detail: int) -> _Body:
    parts: list[tuple[Mesh, float, float]] = [
        (ball((0.13, 0.125, 0.19), (0, 0, 0.67), Material.CLOTH, detail), 0.0, 0.0),
        (ball((0.085, 0.1, 0.1), (0, 0, 0.52), Material.CLOTH, detail), 0.0, 0.0),
        (ball((0.062, 0.055, 0.075), (0.01, 0, 0.925), Material.SKIN, detail), 0.0, 0.0),
    ]
    for side in (-1, 1):
        leg = cylinder(0.05, 0.5, (0, side * 0.055, 0.25), Material.CLOTH, sections=4 + 2 * detail)
        arm = cylinder(0.036, 0.26, (0, side * 0.135, 0.67), Material.CLOTH, sections=4 + 2 * detail)
        hand = ball((0.035, 0.03, 0.07), (0, side * 0.135, 0.47), Material.SKIN, detail=0)
        # The left arm goes with the right leg.
        parts += [(leg, 0.5, -float(side)), (arm, 0.8, 0.8 * side), (hand, 0.8, 0.8 * side)]
    lengths = [len(mesh.vertices) for mesh, _, _ in parts]
    return _Body(
        join([mesh for mesh, _, _ in parts]),
        np.repeat(np.array([joint for _, joint, _ in parts], np.float32), lengths),
        np.repeat(np.array([share for _, _, share in parts], np.float32), lengths),
    )


def person(height: float, phase: float, stride: float = 0.55, detail: int = 1) -> Mesh:
    """A walking person who heads along +x.

    Args:
        height: Body height in metres.
        phase: Position in the step cycle, radians.
        stride: Largest angle of the legs, radians; 0 stands still.
        detail: 1, or 0 for people far away.
    """
    body = _body(detail)
    angle = body.swing * np.float32(stride * np.sin(phase))
    c, s = np.cos(angle), np.sin(angle)
    x, z = body.mesh.vertices[:, 0], body.mesh.vertices[:, 2] - body.joint_z
    turned = np.stack([c * x - s * z, body.mesh.vertices[:, 1], s * x + c * z + body.joint_z], axis=1)
    return Mesh((turned * np.float32(height)).astype(np.float32), body.mesh.faces, body.mesh.materials)
