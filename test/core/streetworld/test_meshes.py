"""Meshes: closed where they should be, standing on the ground, of the right class and size."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from madm_core.streetworld.materials import CLASS_OF_MATERIAL, Material
from madm_core.streetworld.meshes import box, cylinder, join, street_lamp, traffic_light, traffic_sign, tree
from madm_core.streetworld.movers import VEHICLE_KINDS, VEHICLE_SIZES, person, vehicle


def extent(mesh) -> np.ndarray:
    return mesh.vertices.max(axis=0) - mesh.vertices.min(axis=0)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("kind", VEHICLE_KINDS)
def test_vehicles_have_their_size_and_only_car_materials(kind):
    mesh = vehicle(kind)
    length, width, height = VEHICLE_SIZES[kind]
    size = extent(mesh)
    assert size[0] == pytest.approx(length, abs=0.2)
    assert size[1] == pytest.approx(width, abs=0.3)
    assert size[2] == pytest.approx(height, abs=0.1)
    assert -0.01 < mesh.vertices[:, 2].min() < 0.05, "its wheels stand on the ground"
    assert {*CLASS_OF_MATERIAL[mesh.materials]} == {CLASS_OF_MATERIAL[Material.PAINT]}
    assert {Material.CAR_GLASS, Material.TYRE, Material.CAR_LIGHT} <= set(mesh.materials.tolist())


@pytest.mark.parametrize("phase", [0.0, 1.0, np.pi, 5.0])
def test_people_are_upright_and_walk(phase):
    mesh = person(1.8, phase)
    assert mesh.vertices[:, 2].max() == pytest.approx(1.8, abs=0.05)
    assert -0.05 < mesh.vertices[:, 2].min() < 0.25
    assert {*CLASS_OF_MATERIAL[mesh.materials]} == {CLASS_OF_MATERIAL[Material.SKIN]}
    if np.sin(phase) > 0.5:
        assert extent(mesh)[0] > extent(person(1.8, 0.0))[0], "in mid-step the legs are apart"


def test_furniture_has_the_classes_of_its_parts():
    names = {
        "lamp": (street_lamp(7, -1.5), {Material.POLE, Material.LANTERN}),
        "light": (traffic_light(3.0), {Material.POLE, Material.TRAFFIC_LIGHT}),
        "sign": (traffic_sign(rng(), -1.0), {Material.POLE, Material.SIGN}),
        "tree": (tree(rng(), 6.0), {Material.BARK, Material.LEAVES}),
    }
    for name, (mesh, materials) in names.items():
        assert set(mesh.materials.tolist()) == materials, name
        assert mesh.vertices[:, 2].min() > -0.6, name


def test_joining_keeps_every_triangle_where_it_was():
    parts = [box((1, 2, 3), (5, 0, 0), Material.WALL), cylinder(1, 4, (0, 7, 0), Material.POLE, axis="y")]
    whole = join(parts)
    np.testing.assert_array_equal(
        whole.vertices[whole.faces], np.concatenate([part.vertices[part.faces] for part in parts])
    )
    assert trimesh.Trimesh(whole.vertices, whole.faces, process=False).is_watertight


def test_moving_turns_first_and_shifts_then():
    mesh = box((2, 0.2, 1), (1, 0, 0.5), Material.WALL).moved(10, 20, 0, np.pi / 2)
    np.testing.assert_allclose(mesh.vertices.min(axis=0), [9.9, 20, 0], atol=1e-5)
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [10.1, 22, 1], atol=1e-5)
