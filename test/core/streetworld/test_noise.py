"""Texture functions: in range, periodic, and without flicker far away."""

from __future__ import annotations

import numpy as np

from madm_core.streetworld.noise import faded, lattice_noise, stripes, value_noise


def test_noise_is_smooth_in_range_and_the_same_everywhere():
    u = np.linspace(-50, 50, 20_001).astype(np.float32)
    noise = value_noise(u, 0.3 * u, 4)
    assert noise.min() >= 0 and noise.max() <= 1 and 0.4 < noise.mean() < 0.6
    assert np.abs(np.diff(noise)).max() < 0.03
    lattice = lattice_noise(np.arange(4), np.zeros(4, np.int64), 1)
    np.testing.assert_allclose(lattice, lattice_noise(np.arange(4), np.zeros(4, np.int64), 1))
    assert len(np.unique(lattice)) == 4


def test_stripes_cover_their_share_at_every_distance():
    u = np.linspace(0, 40, 40_001).astype(np.float32)
    for footprint in (0.001, 0.1, 0.5, 2.0, 50.0):
        covered = stripes(u, 2.0, 0.5, np.full_like(u, footprint))
        assert covered.min() >= 0 and covered.max() <= 1
        assert abs(covered.mean() - 0.25) < 0.02
    assert stripes(u, 2.0, 0.5, np.full_like(u, 50.0)).std() < 1e-6


def test_stripes_are_centred_on_multiples_of_the_period():
    covered = stripes(np.array([0.0, 0.24, 0.26, 1.0, 2.0], np.float32), 2.0, 0.5, np.full(5, 1e-4, np.float32))
    np.testing.assert_array_equal(covered, [1, 1, 0, 0, 1])


def test_noise_fades_where_pixels_cover_it():
    noise = np.array([0.0, 1.0, 1.0], np.float32)
    np.testing.assert_allclose(faded(noise, 1.0, np.array([0.1, 0.1, 2.0], np.float32)), [-1, 1, 0])
