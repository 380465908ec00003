"""Draws the figures of docs/concepts.md with the package's own code: python docs/make_figures.py"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from madm_core.events import voxel_grid
from madm_core.modalities import DepthModality

IMAGES = Path(__file__).resolve().parent / "images"
STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "madm_ros"}
COLORS = ("#3b6ea5", "#c8553d", "#588157")


def depth_encodings() -> None:
    """Grey value over distance for the three encodings at the range 1 to 80 m."""
    depth = np.geomspace(0.5, 120.0, 400, dtype=np.float32)[None, :]
    figure, axis = plt.subplots(figsize=(6, 2.8), layout="constrained")
    for encoding, color in zip(("log", "inverse", "linear"), COLORS, strict=True):
        modality = DepthModality(encoding=encoding, min_depth_m=1.0, max_depth_m=80.0)
        axis.plot(depth[0], modality.to_image(depth)[0, :, 0], color=color, label=encoding)
    axis.set(xscale="log", xlabel="distance in metres", ylabel="value in the picture")
    axis.set_xticks([0.5, 1, 2, 5, 10, 20, 50, 100], ["0.5", "1", "2", "5", "10", "20", "50", "100"])
    axis.minorticks_off()
    axis.legend(frameon=False)
    save(figure, "depth_encodings")


def event_window() -> None:
    """Events of one pixel in a window, and the voxel grid that they make."""
    times = np.array([4.0, 9.0, 13.0, 27.0, 31.0, 44.0])
    signs = np.array([1, 1, 1, 0, 0, 1], np.uint8)
    zeros = np.zeros(len(times), np.uint16)
    grid = voxel_grid(
        zeros, zeros, (times * 1000).astype(np.int64), signs, bins=3, height=1, width=1, t_start=0, t_end=50_000
    )
    figure, (above, below) = plt.subplots(2, 1, figsize=(6, 3.4), sharex=True, layout="constrained")
    above.axhline(0, color="0.7", lw=0.8)
    for sign, color, name in ((1, COLORS[1], "brighter (ON)"), (0, COLORS[0], "darker (OFF)")):
        chosen = times[signs == sign]
        above.vlines(chosen, 0, np.where(sign, 1, -1), color=color, lw=2, label=name)
    above.set(yticks=[], ylabel="events of\none pixel", ylim=(-1.3, 1.3))
    above.legend(frameon=False, loc="lower left", ncols=2)
    centres = np.linspace(0, 50, 3)
    below.bar(centres, grid[:, 0, 0].numpy(), width=6, color=COLORS[2])
    below.axhline(0, color="0.7", lw=0.8)
    for centre in centres:
        below.plot([centre - 25, centre, centre + 25], [0, 1, 0], color="0.75", lw=0.8, ls="--")
    below.set(xlabel="time in the window, milliseconds", ylabel="bins", xlim=(-5, 55), xticks=range(0, 51, 10))
    save(figure, "event_window")


def save(figure: plt.Figure, name: str) -> None:
    """Writes an SVG that is the same file every time."""
    figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    with plt.rc_context(STYLE):
        depth_encodings()
        event_window()
