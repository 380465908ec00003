"""The pictures of docs/streetworld.md, from the runs that ``streetworld.py`` left in its work folder.

python benchmarks/streetworld_pictures.py --setting large
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # so that `benchmarks.*` imports from any folder

from benchmarks.streetworld import read_results  # noqa: E402
from benchmarks.streetworld_experiment import SETTINGS, SMALL  # noqa: E402
from benchmarks.streetworld_scoring import MODALITIES  # noqa: E402
from benchmarks.streetworld_variants import VARIANTS  # noqa: E402
from madm_core.data.frames import Frames  # noqa: E402
from madm_core.data.sources import open_frames  # noqa: E402
from madm_core.labels import MADM11  # noqa: E402
from madm_core.modalities import modality_from_dict  # noqa: E402
from madm_core.segmenter import Segmenter  # noqa: E402

Picture = npt.NDArray[np.uint8]
COLUMNS = ("source-appearance", "madm", "madm-long", "oracle")
CURVES = {"self-training": "#0b6e99", "self-training-appearance": "#c2410c", "regression-only": "#4d7c0f",
          "madm": "#7e22ce", "noise-60": "#be123c"}  # fmt: skip
SMOOTHING = 12


def main() -> None:
    """Writes every picture for which there are runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", choices=list(SETTINGS), default="small")
    parser.add_argument("--work", type=Path, help="data and runs (default: the setting's own)")
    parser.add_argument("--output", type=Path, default=HERE.parent / "docs" / "images")
    parser.add_argument("--frames", type=int, nargs="+", default=[9, 25], help="numbers of test frames")
    arguments = parser.parse_args()
    setting = SETTINGS[arguments.setting]
    work = arguments.work or setting.work
    test = work / "data" / "test"
    _write(arguments.output / "streetworld_sensors.png", sensors(test, arguments.frames))
    for modality in MODALITIES:
        models = {name: work / "runs" / f"{name}_{modality if VARIANTS[name].sees_target else 'rgb'}_0_"
                  f"{setting.steps}" / "model" for name in COLUMNS}  # fmt: skip
        there = {name: path for name, path in models.items() if path.is_dir()}
        if there:
            picture = before_and_after(there, modality, test, arguments.frames)
            _write(arguments.output / f"streetworld_{modality}.png", picture)
    curves = pseudo_label_curves(read_results(SMALL.results), SMALL.steps)
    if curves:
        (arguments.output / "streetworld_pseudo_labels.svg").write_text(curves, encoding="utf-8")


def sensors(folder: Path, numbers: Sequence[int]) -> Picture:
    """Rows of frames: colour, depth, thermal, events, labels."""
    rows = []
    for number in numbers:
        columns = [("rgb", _frames(folder, "rgb").image(number))]
        columns += [(name, _frames(folder, name).image(number)) for name in MODALITIES]
        columns.append(("labels", MADM11.colorize(_frames(folder, "rgb").labels(number))))
        rows.append(_row(columns))
    return np.concatenate(rows)


def before_and_after(models: Mapping[str, Path], modality: str, folder: Path, numbers: Sequence[int]) -> Picture:
    """Rows of frames: what the sensor sees, what each model makes of it, the truth."""
    frames = _frames(folder, modality)
    shown: dict[int, list[tuple[str, Picture]]] = {n: [(modality, frames.image(n))] for n in numbers}
    for name, path in models.items():
        segmenter = Segmenter.from_pretrained(path, device="cpu")
        # A model that never saw the sensor carries another modality: it is given the very same picture.
        for columns in shown.values():
            columns.append((name, MADM11.colorize(segmenter.segment(columns[0][1]).labels)))
    for number, columns in shown.items():
        columns.append(("truth", MADM11.colorize(frames.labels(number))))
    return np.concatenate([_row(columns) for columns in shown.values()])


def pseudo_label_curves(results: Sequence[Mapping[str, object]], steps: int) -> str:
    """SVG of the share of right pseudo-labels over the steps of seed 0, one panel a modality; empty without runs."""
    panels = []
    for modality in MODALITIES:
        lines = {str(line["variant"]): line["curve"] for line in results if line["modality"] == modality
                 and line["seed"] == 0 and str(line["run"]).endswith(f"_{steps}")}  # fmt: skip
        panels.append((modality, {name: lines[name] for name in CURVES if lines.get(name)}))
    panels = [(modality, lines) for modality, lines in panels if lines]
    if not panels:
        return ""
    width, height = 300, 200
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {len(panels) * width} {height + 96}" '
             'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>']  # fmt: skip
    for index, (modality, lines) in enumerate(panels):
        left = index * width + 40
        scale = (width - 50) / (steps / 2)  # the first half of a run has no pseudo-labels
        parts.append(f'<text x="{left}" y="14">{modality}: right pseudo-labels, %</text>')
        for percent in (20, 40, 60, 80):
            parts.append(
                f'<path d="M{left} {_height(percent, height):.1f}h{width - 50}" stroke="#ddd"/>'
                f'<text x="{left - 22}" y="{_height(percent, height) + 4:.1f}">{percent}</text>'
            )
        for step in (steps // 2, steps):
            parts.append(f'<text x="{left + scale * (step - steps / 2) - 10:.0f}" y="{height + 14}">{step}</text>')
        for name, curve in lines.items():
            kernel = np.ones(min(SMOOTHING, len(curve)))
            share = np.convolve([entry["accuracy"] for entry in curve], kernel / kernel.sum(), "valid")
            points = " ".join(
                f"{left + scale * (entry['step'] - steps / 2):.1f},{_height(100 * y, height):.1f}"
                for entry, y in zip(curve[-len(share) :], share, strict=True)
                if entry["step"] >= steps / 2
            )
            parts.append(f'<polyline points="{points}" fill="none" stroke="{CURVES[name]}" stroke-width="1.5"/>')
    for index, (name, color) in enumerate(CURVES.items()):
        x, y = 40 + 400 * (index // 3), height + 40 + 16 * (index % 3)
        parts.append(f'<text x="{x}" y="{y}" fill="{color}">{VARIANTS[name].title.replace("`", "")}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _height(percent: float, height: int) -> float:
    """Where a percentage of 10 to 90 is drawn."""
    return 24 + (height - 24) * (90 - percent) / 80


def _frames(folder: Path, sensor: str) -> Frames:
    modality = modality_from_dict(MODALITIES[sensor]) if sensor in MODALITIES else None
    return open_frames({"kind": "streetworld", "root": str(folder), "sensor": sensor}, label_set=MADM11,
                       modality=modality, where="test", cache=folder, progress=False)  # fmt: skip


def _row(columns: Sequence[tuple[str, Picture]]) -> Picture:
    """Pictures side by side with a line of text above each."""
    tiles = []
    for title, picture in columns:
        tile = np.full((picture.shape[0] + 18, picture.shape[1] + 4, 3), 255, np.uint8)
        tile[18:, 4:] = picture
        cv2.putText(tile, title, (6, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
        tiles.append(tile)
    return np.concatenate(tiles, axis=1)


def _write(path: Path, picture: Picture) -> None:
    """As a PNG of 256 colours: photographs lose little, and a page of them stays small."""
    from PIL import Image

    Image.fromarray(picture).quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
