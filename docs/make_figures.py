"""Draws figures of the documentation with the package's own code: python docs/make_figures.py

Those of docs/concepts.md, and the legend and the palettes of docs/how_to/preview.md; the other pictures of that page
are screenshots of the demo. The diagrams ``method.svg`` and ``architecture.svg`` are drawn by hand.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from PIL import Image

from madm_core import Segmenter
from madm_core.color_vision import VISIONS, seen_as, smallest_difference
from madm_core.events import voxel_grid
from madm_core.labels import CITYSCAPES19, MADM9, MADM11
from madm_core.legend import legend_image
from madm_core.modalities import DepthModality, EventModality
from madm_core.palette_names import PALETTES
from madm_core.palettes import OVERLAY_GREY, OVERLAY_OPACITY, in_palette
from madm_core.streetworld.dataset import street_frames

IMAGES = Path(__file__).resolve().parent / "images"
DEMO_MODEL = IMAGES.parents[1] / "demo" / "models" / "street-depth"
STREET, SIZE = 4242, (128, 256)
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
    for number, (centre, value) in enumerate(zip(centres, grid[:, 0, 0].tolist(), strict=True)):
        below.bar(centre, value, width=6, color=COLORS[2])
        below.annotate(f"bin {number}: {value:+.2f}", (centre + 3.6, value / 2), va="center", fontsize=8)
    below.axhline(0, color="0.7", lw=0.8)
    for centre in centres:
        below.plot([centre - 25, centre, centre + 25], [0, 1, 0], color="0.75", lw=0.8, ls="--")
    below.set(xlabel="time in the window, milliseconds", ylabel="bins", xlim=(-5, 62), xticks=range(0, 51, 10))
    save(figure, "event_window")


def depth_way() -> None:
    """One depth image from metres to labels, step by step."""
    depth = next(street_frames(STREET, 1, SIZE, ["depth"], conditions="day")).depth
    segmenter = Segmenter.from_pretrained(DEMO_MODEL, device="cpu")
    encoded = segmenter.modality.encode(depth)
    holes = np.ones((*SIZE, 4))
    holes[..., :3] = np.array([0.78, 0.33, 0.24])
    holes[..., 3] = ~encoded.valid
    labels = segmenter.segment(encoded).labels
    figure, axes = plt.subplots(2, 2, figsize=(7, 4), layout="constrained")
    shown = axes[0, 0].imshow(depth, cmap="viridis", vmax=60)
    figure.colorbar(shown, ax=axes[0, 0], label="metres", shrink=0.8)
    axes[0, 0].set_title("1. as measured; white: no measurement")
    axes[0, 1].imshow(encoded.image[..., 0], cmap="gray", vmin=0, vmax=1)
    axes[0, 1].imshow(holes)
    axes[0, 1].set_title("2. grey values; red: holes, remembered")
    axes[1, 0].imshow(encoded.image)
    axes[1, 0].set_title("3. holes filled: what the network sees")
    axes[1, 1].imshow(segmenter.label_set.colorize(labels))
    axes[1, 1].set_title("4. labels; black: 255, never guessed")
    save_picture(figure, axes, "depth_way")


def event_picture() -> None:
    """One window of a street's events: the bins of its voxel grid, and the picture that they make together."""
    frame = next(street_frames(STREET, 1, SIZE, ["event"], conditions="day", window_ms=125.0))
    x, y, t, p = (frame.events[name] for name in ("x", "y", "t", "p"))
    grid = voxel_grid(x, y, t, p, bins=3, height=SIZE[0], width=SIZE[1])
    figure, axes = plt.subplots(2, 2, figsize=(7, 4), layout="constrained")
    reach = np.percentile(np.abs(grid[grid != 0]), 99)
    for number, axis in enumerate(axes.flat[:3]):
        axis.imshow(grid[number], cmap="RdBu_r", vmin=-reach, vmax=reach)
        axis.set_title(f"bin {number}: " + ("start", "middle", "end")[number] + " of the window")
    axes[1, 1].imshow(EventModality().encode(grid.numpy()).image)
    axes[1, 1].set_title("the three as one picture")
    save_picture(figure, axes, "event_picture")


def legend() -> None:
    """The legend of the 11 classes, as the node publishes it."""
    Image.fromarray(legend_image(MADM11)).save(IMAGES / "legend.png", optimize=True)


def palettes() -> None:
    """The 11 classes in both palettes as different people see them, and the numbers of all sets."""
    figure, axes = plt.subplots(len(PALETTES), 1, figsize=(8, 4.2), layout="constrained")
    for axis, palette in zip(axes, PALETTES, strict=True):
        colors = np.array(in_palette(MADM11, palette).colors)
        light = np.stack([seen_as(colors, vision) for vision in VISIONS])
        axis.imshow(np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055), aspect="auto")
        axis.set_xticks(range(len(MADM11)), [name.replace(" ", "\n") for name in MADM11.names], fontsize=8)
        axis.set_yticks(range(len(VISIONS)), VISIONS)
        axis.set_title(f"palette: {palette}", loc="left", fontsize=10)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    save(figure, "palettes")
    for label_set in (MADM9, MADM11, CITYSCAPES19):
        for palette in PALETTES:
            colors = np.array(in_palette(label_set, palette).colors)
            overlaid = OVERLAY_OPACITY * colors + (1 - OVERLAY_OPACITY) * OVERLAY_GREY
            own, mixed = (
                ", ".join(f"{vision} {smallest_difference(shown, vision):.1f}" for vision in VISIONS)
                for shown in (colors, overlaid)
            )
            print(f"{label_set.name} in {palette}: smallest CIEDE2000 difference {own}; in an overlay {mixed}")


def save(figure: plt.Figure, name: str) -> None:
    """Writes an SVG that is the same file every time."""
    figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


def save_picture(figure: plt.Figure, axes: np.ndarray, name: str) -> None:
    """Writes panels of pictures, without axes, as a PNG."""
    for axis in axes.flat:
        axis.set_axis_off()
    figure.savefig(IMAGES / f"{name}.png", dpi=100, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    with plt.rc_context(STYLE):
        depth_encodings()
        event_window()
        depth_way()
        event_picture()
        legend()
        palettes()
