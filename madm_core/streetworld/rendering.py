"""Casting rays: what each pixel sees, and the light and warmth that reach it from there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from madm_core.streetworld.camera import Camera, Pose
from madm_core.streetworld.conditions import Conditions
from madm_core.streetworld.geometry import Geometry, ThingTable
from madm_core.streetworld.materials import CLASS_OF_MATERIAL, REFLECTANCE, Material
from madm_core.streetworld.meshes import Floats
from madm_core.streetworld.noise import value_noise
from madm_core.streetworld.textures import Points, paint

_FAR = 250.0
_NEAREST_LAMPS = 8


@dataclass(frozen=True)
class Rendering:
    """One instant as the sensors' physics need it; all arrays have the camera's (H, W) first.

    Args:
        radiance: (H, W, 3) float32 linear RGB light that reaches the camera.
        labels: (H, W) uint8 ``madm11`` ids, exact.
        instances: (H, W) uint16 number of the vehicle or person, 0 elsewhere.
        depth: (H, W) float32 metres along the optical axis, inf for the sky.
        material: (H, W) uint8 :class:`Material`.
        sun: (H, W) float32: cosine of the sun's angle where the sun reaches the surface, else 0.
        facing: (H, W) float32: cosine between the surface's normal and the line of sight (1: seen straight on).
        warmth: (H, W) float32: kelvin of the things' own heat at this point.
        up: (H, W) float32: upward part of the line of sight (1: the zenith).
        conditions: Light and weather.
        focal: Focal length in pixels.
    """

    radiance: Floats
    labels: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.uint16]
    depth: Floats
    material: npt.NDArray[np.uint8]
    sun: Floats
    facing: Floats
    warmth: Floats
    up: Floats
    conditions: Conditions
    focal: float


def render(
    still: Geometry, moving: Geometry, camera: Camera, pose: Pose, conditions: Conditions, supersampling: int = 1
) -> Rendering:
    """Casts one ray a pixel (``supersampling`` squared for the colours) at what stands and what moves."""
    fine = camera.finer(supersampling) if supersampling > 1 else camera
    directions = np.ascontiguousarray(fine.rays @ pose.rotation.T)
    origins = np.ascontiguousarray(np.broadcast_to(pose.position, directions.shape))
    face, depth, normals = still.cast(origins, directions)
    face_moving, depth_moving, normals_moving = moving.cast(origins, directions)
    nearer = (face_moving >= 0) & ((face < 0) | (depth_moving < depth))
    depth = np.where(nearer, depth_moving, depth)
    seen = np.flatnonzero(((face >= 0) | nearer) & (depth < _FAR))
    lengths = np.linalg.norm(directions, axis=1)
    sight = directions / lengths[:, None]

    radiance = np.empty((len(sight), 3), np.float32)
    open_sky = np.ones(len(sight), np.bool_)
    open_sky[seen] = False
    radiance[open_sky] = _sky(conditions, sight[open_sky])
    material = np.full(len(sight), Material.SKY, np.uint8)
    instance = np.zeros(len(sight), np.uint16)
    sun, facing, warmth = (np.zeros(len(sight), np.float32) for _ in range(3))
    if len(seen):
        table = ThingTable.join([still.table, moving.table])
        is_moving = nearer[seen]
        fs, fm = face[seen], face_moving[seen]
        fs, fm = np.where(is_moving, 0, fs), np.where(is_moving, fm, 0)
        thing = np.where(is_moving, moving.thing_of_face[fm] + len(still.table.yaw), still.thing_of_face[fs])
        normal = np.where(is_moving[:, None], normals_moving[seen], normals[seen])
        cosine = np.einsum("ij,ij->i", normal, sight[seen])
        length = np.sqrt(np.einsum("ij,ij->i", normal, normal))
        normal = normal * (np.where(cosine > 0, -1.0, 1.0) / np.maximum(length, 1e-12)).astype(np.float32)[:, None]
        place = pose.position + directions[seen] * depth[seen, None]
        yaw = table.yaw[thing]
        points = Points(
            material=np.where(is_moving, moving.mesh.materials[fm], still.mesh.materials[fs]),
            local=_unturned(place - table.origin[thing], yaw),
            normal=_unturned(normal, yaw),
            footprint=(depth[seen] / fine.focal).astype(np.float32),
            thing=thing.astype(np.int32),
            table=table,
            albedo=np.empty((len(seen), 3), np.float32),
            glow=np.zeros((len(seen), 3), np.float32),
        )
        paint(points)
        facing[seen] = -np.einsum("ij,ij->i", normal, sight[seen])
        sun[seen] = _sun_reaching(still, moving, conditions, place, normal)
        lamps = np.concatenate([still.lamps, moving.lamps])
        light = _light(conditions, lamps, pose, place, normal, sun[seen])
        color = points.albedo * light + conditions.lamps * points.glow
        color = _mirrored(color, points.material, conditions, sight[seen], normal, facing[seen])
        radiance[seen] = _through_air(color, depth[seen] * lengths[seen], conditions)
        material[seen] = points.material
        instance[seen] = table.instance[thing]
        warmth[seen] = _own_heat(points)
    depth[material == Material.SKY] = np.inf
    rays = (material, instance, depth, sun, facing, warmth, sight[:, 2])
    return _gather(camera, supersampling, radiance, *rays, conditions)


def _gather(
    camera: Camera,
    factor: int,
    radiance: Floats,
    material: npt.NDArray[np.uint8],
    instance: npt.NDArray[np.uint16],
    depth: Floats,
    sun: Floats,
    facing: Floats,
    warmth: Floats,
    up: Floats,
    conditions: Conditions,
) -> Rendering:
    """Brings arrays of single rays to the camera's size: colours are means, everything else is one ray's."""
    height, width = camera.height, camera.width

    def one(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        picture = values.reshape(height * factor, width * factor)
        return np.ascontiguousarray(picture[factor // 2 :: factor, factor // 2 :: factor])

    mean = radiance.reshape(height, factor, width, factor, 3).mean(axis=(1, 3)) if factor > 1 else radiance
    return Rendering(
        mean.reshape(height, width, 3).astype(np.float32),
        CLASS_OF_MATERIAL[one(material)],
        one(instance).astype(np.uint16),
        one(depth).astype(np.float32),
        one(material).astype(np.uint8),
        one(sun).astype(np.float32),
        one(facing).astype(np.float32),
        one(warmth).astype(np.float32),
        one(up).astype(np.float32),
        conditions,
        camera.focal,
    )


def _unturned(vectors: Floats, yaw: Floats) -> Floats:
    c, s = np.cos(yaw), np.sin(yaw)
    x, y, z = vectors.T
    return np.stack([c * x + s * y, c * y - s * x, z], axis=1).astype(np.float32)


def _sky(conditions: Conditions, sight: Floats) -> Floats:
    up = np.maximum(sight[:, 2], 0.02)
    u, v = sight[:, 0] / up, sight[:, 1] / up
    clouds = 0.6 * value_noise(u * 0.7, v * 0.7, 11) + 0.4 * value_noise(u * 2.1, v * 2.1, 12)
    return conditions.sky(sight, clouds)


def _sun_reaching(still: Geometry, moving: Geometry, conditions: Conditions, place: Floats, normal: Floats) -> Floats:
    """(N,) cosine of the angle to the sun, 0 in shadow."""
    sun = np.array(conditions.sun, np.float32)
    cosine = np.maximum(normal @ sun, 0.0)
    if conditions.sun_radiance <= 0:
        return np.zeros_like(cosine)
    lit = np.flatnonzero(cosine > 0)
    if len(lit):
        start = np.ascontiguousarray(place[lit] + normal[lit] * 0.02, np.float32)
        toward = np.ascontiguousarray(np.broadcast_to(sun, start.shape))
        shadow = still.blocks(start, toward) | moving.blocks(start, toward)
        cosine[lit[shadow]] = 0.0
    return cosine.astype(np.float32)


def _light(conditions: Conditions, lamps: Floats, pose: Pose, place: Floats, normal: Floats, sun: Floats) -> Floats:
    """(N, 3) irradiance: sky, sun, street lamps and the car's own head lights."""
    ambient = np.array(conditions.sky_radiance, np.float32)
    light = ambient * (0.75 + 0.35 * normal[:, 2:3]) + sun[:, None] * np.float32(conditions.sun_radiance) * np.array(
        [1.0, 0.93, 0.82], np.float32
    )
    if conditions.lamps > 0:
        ahead = lamps[lamps[:, 0] > pose.position[0] - 10.0]
        nearest = ahead[np.argsort(np.abs(ahead[:, 0] - pose.position[0]))][:_NEAREST_LAMPS]
        glow = np.zeros(len(place), np.float32)
        for lamp in nearest:
            glow += _point_light(lamp - place, normal) * 7.0
        light = light + conditions.lamps * glow[:, None] * np.array([1.0, 0.72, 0.42], np.float32)
        to_car = pose.position + np.array([0, 0, -0.6], np.float32) - place
        forward = pose.rotation[:, 0]
        distance = np.linalg.norm(to_car, axis=1)
        beam = np.clip(-(to_car @ forward) / np.maximum(distance, 0.1), 0, 1) ** 24
        head = conditions.lamps * 26.0 * beam * _point_light(to_car, normal)
        light = light + head[:, None] * np.array([1.0, 0.96, 0.88], np.float32)
    result: Floats = light.astype(np.float32)
    return result


def _point_light(toward: Floats, normal: Floats) -> Floats:
    """(N,) cosine over squared distance."""
    squared = np.einsum("ij,ij->i", toward, toward) + 1.0
    cosine = np.maximum(np.einsum("ij,ij->i", toward, normal), 0.0) / np.sqrt(squared)
    result: Floats = (cosine / squared).astype(np.float32)
    return result


def _mirrored(
    color: Floats,
    material: npt.NDArray[np.uint8],
    conditions: Conditions,
    sight: Floats,
    normal: Floats,
    facing: Floats,
) -> Floats:
    """Adds the mirror image of the sky, strongest at a grazing angle (Schlick's approximation of Fresnel's law)."""
    strength = REFLECTANCE[material]
    level = np.abs(normal[:, 2]) > 0.7
    strength = np.where(level & (material <= Material.CURB), strength + 0.6 * conditions.wetness, strength)
    fresnel = strength * (0.06 + 0.94 * (1.0 - np.clip(facing, 0, 1)) ** 5)
    shiny = np.flatnonzero(fresnel > 0.01)
    reflected = sight[shiny] + 2 * facing[shiny, None] * normal[shiny]
    seen = _sky(conditions, reflected.astype(np.float32)) * (0.25 + 0.75 * (reflected[:, 2:3] > 0.1))
    mixed = color.copy()
    mixed[shiny] += fresnel[shiny, None] * (seen - color[shiny])
    return mixed


def _through_air(color: Floats, distance: Floats, conditions: Conditions) -> Floats:
    clear = np.exp(-conditions.fog_density * distance)[:, None].astype(np.float32)
    veil = np.array(conditions.sky_radiance, np.float32) * 0.5 + 0.6 * float(np.mean(conditions.sky_radiance))
    result: Floats = color * clear + veil * (1 - clear)
    return result


def _own_heat(points: Points) -> Floats:
    """(N,) kelvin: an engine warms the bonnet and the tyres, a house its walls and more so its windows."""
    heat = points.table.warmth[points.thing].copy()
    material, local = points.material, points.local
    length = np.maximum(points.table.pattern[points.thing, 0], 1.0)
    vehicle = (material >= Material.PAINT) & (material <= Material.CAR_LIGHT)
    bonnet = np.clip(4 * local[:, 0] / length - 0.4, 0, 1) + 0.2 * (local[:, 2] < 0.45)
    heat[vehicle] *= np.clip(0.08 + 0.5 * bonnet[vehicle], 0, 1)
    heat[material == Material.WINDOW] *= 2.0
    covered = material == Material.CLOTH
    heat[covered] += 4.0 * (value_noise(local[covered, 1] * 6, local[covered, 2] * 5, 8) - 0.5)
    return heat
