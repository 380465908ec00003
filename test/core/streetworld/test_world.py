"""The street as a whole: repeatable, geometrically right, and with enough of everything."""

from __future__ import annotations

import numpy as np
import pytest

from madm_core.errors import ConfigError
from madm_core.labels import MADM11
from madm_core.streetworld import CONDITIONS
from madm_core.streetworld.camera import Camera
from madm_core.streetworld.materials import CLASS_OF_MATERIAL, Material
from madm_core.streetworld.street import KERB
from madm_core.streetworld.world import StreetWorld

ROAD, SIDEWALK, SKY = (MADM11.names.index(name) for name in ("road", "sidewalk", "sky"))


def same(one, other) -> bool:
    fields = ("radiance", "labels", "instances", "depth", "material", "sun", "facing", "warmth")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in fields)


def test_equal_seeds_give_equal_worlds_whatever_was_asked_before():
    camera = Camera(48, 96)
    first, second = StreetWorld(7, camera, "day"), StreetWorld(7, camera, "day")
    for time in (30.0, 0.0, 5.0):
        second.render(time)
    assert same(first.render(5.0), second.render(5.0))
    assert not same(first.render(5.0), StreetWorld(8, camera, "day").render(5.0))
    assert not same(first.render(5.0), first.render(5.1)), "the camera moves"


@pytest.mark.parametrize("seed", [1, 4])
def test_depth_and_camera_matrix_put_the_road_on_the_ground(seed):
    """Labels, depth, intrinsics and pose must agree: road pixels back-projected lie at height 0, sidewalks on the
    kerb."""
    camera = Camera(96, 192)
    world = StreetWorld(seed, camera, "day")
    view, pose = world.render(2.0), world.pose(2.0)
    v, u = np.mgrid[0 : camera.height, 0 : camera.width]
    matrix = camera.matrix
    right = (u - matrix[0, 2]) / matrix[0, 0] * view.depth
    down = (v - matrix[1, 2]) / matrix[1, 1] * view.depth
    with np.errstate(invalid="ignore"):
        points = np.stack([view.depth, -right, -down], axis=-1) @ pose.rotation.T + pose.position
    for label, low, high in ((ROAD, 0.0, 0.0), (SIDEWALK, 0.0, KERB)):
        heights = points[(view.labels == label) & (view.depth < 60)][:, 2]
        assert len(heights) > 100
        assert heights.min() > low - 0.02 and heights.max() < high + 0.02


def test_sky_is_infinitely_far_and_nothing_else_is():
    view = StreetWorld(2, Camera(64, 128), "day").render(1.0)
    np.testing.assert_array_equal(view.labels == SKY, np.isinf(view.depth))
    np.testing.assert_array_equal(CLASS_OF_MATERIAL[view.material], view.labels)
    assert view.depth.min() > 0.2


def test_every_class_covers_enough_pixels_to_be_learnt():
    """At the small size of trainings: thin classes must not vanish."""
    pixels, present = np.zeros(len(MADM11)), np.zeros(len(MADM11))
    frames = 0
    for seed in range(10):
        world = StreetWorld(100 + seed, Camera(64, 128), None)
        for time in (1.0, 4.0):
            counts = np.bincount(world.render(time).labels.ravel(), minlength=len(MADM11))
            pixels += counts / counts.sum()
            present += counts > 8
            frames += 1
    share = dict(zip(MADM11.names, pixels / frames, strict=True))
    assert share["pole"] > 0.012 and share["traffic sign"] > 0.006 and share["person"] > 0.005, share
    assert share["fence"] > 0.003 and share["wall"] > 0.006 and share["sidewalk"] > 0.02, share
    assert share["road"] < 0.55, share
    for name in ("person", "pole", "traffic sign"):
        assert present[MADM11.names.index(name)] > 0.7 * frames, name


@pytest.mark.parametrize("conditions", CONDITIONS)
def test_conditions_change_the_light_but_not_what_is_there(conditions):
    camera = Camera(48, 96)
    day = StreetWorld(3, camera, "day").render(1.0)
    other = StreetWorld(3, camera, conditions).render(1.0)
    np.testing.assert_array_equal(day.labels, other.labels)
    np.testing.assert_array_equal(day.depth, other.depth)
    assert np.isfinite(other.radiance).all() and other.radiance.min() >= 0
    if conditions == "night":
        assert np.median(other.radiance) < 0.1 * np.median(day.radiance)


def test_traffic_and_people_move():
    world = StreetWorld(5, Camera(64, 128), "day")
    things = [(thing.x, thing.y) for thing in world._movers(0.0)]
    later = [(thing.x, thing.y) for thing in world._movers(0.5)]
    moved = [a for a, b in zip(things, later, strict=False) if a != b]
    assert len(moved) > 0.7 * len(things)


def test_supersampling_brings_colours_nearer_to_the_area_they_stand_for():
    plain, fine, finest = (
        StreetWorld(6, Camera(32, 64), "day", supersampling=factor).render(1.0) for factor in (1, 3, 7)
    )
    for view in (fine, finest):  # odd factors have a ray through the pixel's middle
        np.testing.assert_array_equal(plain.labels, view.labels)
        np.testing.assert_allclose(plain.depth, view.depth, rtol=1e-5)
    error = [float(np.abs(view.radiance - finest.radiance).mean()) for view in (plain, fine)]
    assert error[1] < 0.6 * error[0]


def test_materials_have_a_class_each():
    assert len(CLASS_OF_MATERIAL) == len(Material)
    assert set(CLASS_OF_MATERIAL.tolist()) == set(MADM11.ids)


def test_unusable_cameras_and_conditions_are_explained():
    with pytest.raises(ConfigError, match="height x width"):
        Camera(4, 100)
    with pytest.raises(ConfigError, match="day, dusk, night, fog, wet"):
        StreetWorld(0, Camera(16, 16), "snow")


def test_every_vehicle_and_person_has_a_number_and_nothing_else_has():
    view = StreetWorld(3, Camera(96, 192), "day").render(4.0)
    countable = np.isin(view.labels, [MADM11.names.index(name) for name in ("car", "person")])
    np.testing.assert_array_equal(view.instances > 0, countable)
    numbers = np.unique(view.instances[countable])
    assert len(numbers) > 3
    for number in numbers:
        assert len(np.unique(view.labels[view.instances == number])) == 1


def test_a_thing_keeps_its_number_as_the_camera_drives_on():
    """Followed by what it looks like at both times: a parked car stands still in the world."""
    camera = Camera(96, 192)
    world = StreetWorld(4, camera, "day")
    matrix = camera.matrix
    u = np.arange(camera.width)
    places = []
    for time in (4.0, 4.6):
        view, pose = world.render(time), world.pose(time)
        right = (u - matrix[0, 2]) / matrix[0, 0] * view.depth
        parked = view.instances >= 1024
        points = np.stack([view.depth, -right], axis=-1)[parked] @ pose.rotation[:2, :2].T + pose.position[:2]
        numbers = view.instances[parked]
        places.append({n: points[numbers == n].mean(0) for n in np.unique(numbers) if (numbers == n).sum() > 20})
    both = set(places[0]) & set(places[1])
    assert both
    for number in both:
        assert np.linalg.norm(places[0][number] - places[1][number]) < 2.5
