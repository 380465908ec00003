"""Textures without pictures: value noise and stripes, as functions of position."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from madm_core.streetworld.meshes import Floats


def lattice_noise(ix: npt.NDArray[np.int64], iy: npt.NDArray[np.int64], seed: int | npt.NDArray[np.int64]) -> Floats:
    """(N,) float32 in 0..1: a hash of whole-numbered coordinates; the same on every machine."""
    mixed = (ix * 374761393 + iy * 668265263 + np.asarray(seed, np.int64) * 2246822519) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1274126177) & 0xFFFFFFFF
    value: Floats = ((mixed ^ (mixed >> 16)) & 0xFFFF).astype(np.float32) / np.float32(65535.0)
    return value


def value_noise(u: Floats, v: Floats, seed: int | npt.NDArray[np.int64] = 0) -> Floats:
    """(N,) float32 in 0..1: smooth noise whose lattice has spacing 1."""
    floor_u, floor_v = np.floor(u), np.floor(v)
    iu, iv = floor_u.astype(np.int64), floor_v.astype(np.int64)
    fu, fv = u - floor_u, v - floor_v
    fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
    low = lattice_noise(iu, iv, seed) * (1 - fu) + lattice_noise(iu + 1, iv, seed) * fu
    high = lattice_noise(iu, iv + 1, seed) * (1 - fu) + lattice_noise(iu + 1, iv + 1, seed) * fu
    result: Floats = (low + (high - low) * fv).astype(np.float32)
    return result


def faded(noise: Floats, period: float, footprint: Floats) -> Floats:
    """Noise around 0 (from -1 to 1) that fades out where a pixel covers more than half a period: no flicker far
    away."""
    keep = np.clip(1.5 - 2.0 * footprint / period, 0.0, 1.0)
    result: Floats = ((2.0 * noise - 1.0) * keep).astype(np.float32)
    return result


def stripes(u: Floats, period: float | Floats, width: float | Floats, footprint: Floats) -> Floats:
    """Share (0..1) of each pixel that stripes cover; a stripe is centred on every multiple of the period.

    Args:
        u: (N,) coordinate across the stripes.
        period, width: Of the stripes, in units of ``u``.
        footprint: (N,) extent of a pixel, in units of ``u``: edges are softened over it, and where it exceeds the
            period the stripes blend into their mean.
    """
    distance = np.abs((u + period / 2) % period - period / 2)
    extent = np.maximum(footprint, 1e-4)
    sharp = np.clip((width / 2 - distance) / extent + 0.5, 0.0, 1.0)
    blend = np.clip(2.0 * extent / period - 0.5, 0.0, 1.0)
    result: Floats = (sharp + (width / period - sharp) * blend).astype(np.float32)
    return result
