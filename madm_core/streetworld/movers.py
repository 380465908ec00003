"""Meshes of what moves in a street: vehicles and people."""

from __future__ import annotations

import numpy as np

from madm_core.streetworld.materials import Material
from madm_core.streetworld.meshes import Mesh, ball, box, cylinder, join

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


def person(height: float, phase: float, stride: float = 0.55) -> Mesh:
    """A walking person who heads along +x.

    Args:
        height: Body height in metres.
        phase: Position in the step cycle, radians.
        stride: Largest angle of the legs, radians; 0 stands still.
    """
    swing = stride * np.sin(phase)
    parts = [
        ball((0.13 * height, 0.125 * height, 0.19 * height), (0, 0, 0.67 * height), Material.CLOTH),
        ball((0.085 * height, 0.1 * height, 0.1 * height), (0, 0, 0.52 * height), Material.CLOTH),
        ball((0.062 * height, 0.055 * height, 0.075 * height), (0.01 * height, 0, 0.925 * height), Material.SKIN),
    ]
    for side, angle in ((-1, swing), (1, -swing)):
        parts.append(
            _limb((0, side * 0.055 * height, 0.5 * height), angle, 0.5 * height, 0.05 * height, Material.CLOTH)
        )
        shoulder = (0, side * 0.135 * height, 0.8 * height)
        parts.append(_limb(shoulder, -0.8 * angle, 0.26 * height, 0.036 * height, Material.CLOTH))
        hand_x, hand_z = np.sin(-0.8 * angle) * 0.33 * height, 0.8 * height - np.cos(0.8 * angle) * 0.33 * height
        hand = (float(hand_x), side * 0.135 * height, float(hand_z))
        parts.append(ball((0.035 * height, 0.03 * height, 0.07 * height), hand, Material.SKIN))
    return join(parts)


def _limb(joint: tuple[float, float, float], angle: float, length: float, radius: float, material: Material) -> Mesh:
    """A cylinder that hangs from a joint, swung forward by an angle."""
    limb = cylinder(radius, length, (0, 0, -length / 2), material, sections=6)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    vertices = limb.vertices.copy()
    vertices[:, 0] = c * limb.vertices[:, 0] - s * limb.vertices[:, 2]
    vertices[:, 2] = s * limb.vertices[:, 0] + c * limb.vertices[:, 2]
    return Mesh(vertices + np.array(joint, np.float32), limb.faces, limb.materials)
