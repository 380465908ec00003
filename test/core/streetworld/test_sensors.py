"""The sensors' physics: what each must show of the same rendering."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from madm_core.labels import MADM11
from madm_core.streetworld.camera import Camera
from madm_core.streetworld.materials import Material
from madm_core.streetworld.sensors import KELVIN, DepthSensor, RgbSensor, ThermalSensor
from madm_core.streetworld.world import StreetWorld

CAMERA = Camera(72, 144)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def views():
    return {name: StreetWorld(3, CAMERA, name).render(2.0) for name in ("day", "night")}


def flat_wall(view, metres: float):
    """The same rendering as if everything were one wall straight ahead."""
    shape = view.depth.shape
    return dataclasses.replace(
        view,
        depth=np.full(shape, metres, np.float32),
        facing=np.ones(shape, np.float32),
        material=np.full(shape, Material.WALL, np.uint8),
    )


def test_rgb_exposes_the_day_and_leaves_the_night_darker_and_noisier(views):
    day, night = (RgbSensor().capture(views[name], rng()) for name in ("day", "night"))
    assert day.shape == (72, 144, 3) and day.dtype == np.uint8
    assert 70 < day.mean() < 170 and night.mean() < day.mean()
    again = RgbSensor().capture(views["night"], np.random.default_rng(1))
    other_day = RgbSensor().capture(views["day"], np.random.default_rng(1))
    noise = {"day": day.astype(int) - other_day, "night": night.astype(int) - again}
    assert noise["night"].std() > noise["day"].std() > 0


def test_depth_noise_grows_with_the_square_of_the_range(views):
    sensor = DepthSensor()
    spread = {z: np.nanstd(sensor.measure(flat_wall(views["day"], z), rng())) for z in (5.0, 10.0, 20.0)}
    assert spread[10.0] / spread[5.0] == pytest.approx(4.0, rel=0.05)
    assert spread[20.0] / spread[10.0] == pytest.approx(4.0, rel=0.05)
    sigma = 10.0**2 * sensor.disparity_noise / (CAMERA.focal * 640 / 144 * sensor.baseline_m)
    assert 0.5 * sigma < spread[10.0] < 2 * sigma


def test_depth_has_holes_where_stereo_has_them(views):
    sensor = DepthSensor()
    depth = sensor.measure(views["day"], rng())
    assert depth.dtype == np.float32
    assert np.isnan(depth[views["day"].labels == MADM11.names.index("sky")]).all()
    assert np.nanmax(depth) <= sensor.max_m and np.nanmin(depth) >= sensor.min_m
    for metres in (0.3, 80.0):
        assert np.isnan(sensor.measure(flat_wall(views["day"], metres), rng())).all()
    lost = np.isnan(sensor.measure(flat_wall(views["day"], 10.0), rng())).mean()
    assert 0.001 < lost < 0.02, "only speckle on a plain wall"
    glass = dataclasses.replace(
        flat_wall(views["day"], 10.0),
        material=np.full(CAMERA.rays.shape[0], Material.WINDOW, np.uint8).reshape(72, 144),
    )
    assert np.isnan(sensor.measure(glass, rng())).mean() > 0.3


def test_depth_is_shadowed_left_of_a_near_edge(views):
    scene = flat_wall(views["day"], 20.0)
    depth = scene.depth.copy()
    depth[:, 80:] = 3.0
    measured = DepthSensor(speckle=0.0).measure(dataclasses.replace(scene, depth=depth), rng())
    disparity = CAMERA.focal * 0.25 * (1 / 3.0 - 1 / 20.0)
    holes = np.isnan(measured[36])
    assert holes[80 - int(disparity) : 80].all() and holes.sum() == pytest.approx(disparity, abs=1.5)


def test_thermal_shows_warm_people_a_cold_sky_and_sunlit_ground(views):
    for name, view in views.items():
        kelvin = ThermalSensor().temperature(view)
        assert kelvin.min() > 200 and kelvin.max() < 360
        sky, people = (kelvin[view.labels == MADM11.names.index(label)] for label in ("sky", "person"))
        assert np.median(people) > np.median(sky) + 15, name
    day = views["day"]
    road = day.labels == MADM11.names.index("road")
    kelvin = ThermalSensor().temperature(day)
    lit, shaded = kelvin[road & (day.sun > 0.3)], kelvin[road & (day.sun == 0) & (day.depth < 40)]
    assert np.median(lit) > np.median(shaded) + 3


def test_thermal_counts_are_14_bit_and_linear_in_temperature_near_20_degrees(views):
    counts = ThermalSensor().capture(views["day"], rng())
    assert counts.dtype == np.uint16 and counts.max() < 2**14
    sensor = ThermalSensor(netd_k=0.0, blur=0.0, drift_counts=0.0)
    kelvin = sensor.temperature(views["day"])
    near = np.abs(kelvin - 20 - KELVIN) < 5
    picture = sensor.capture(views["day"], rng()).astype(float)
    slope = np.polyfit(kelvin[near], picture[near], 1)[0]
    assert slope == pytest.approx(sensor.counts_per_k, rel=0.05)


def test_thermal_drift_grows_until_the_shutter_and_noise_is_small(views):
    sensor = ThermalSensor()
    start, late, after = (sensor.capture(views["day"], rng(), time).astype(float).mean() for time in (0.0, 29.0, 30.1))
    assert late - start > 0.8 * sensor.drift_counts and abs(after - start) < 0.1 * sensor.drift_counts
    one, other = (sensor.capture(views["day"], np.random.default_rng(seed)).astype(float) for seed in (1, 2))
    expected = np.sqrt(2) * sensor.netd_k * sensor.counts_per_k
    assert (one - other).std() == pytest.approx(expected, rel=0.1)
