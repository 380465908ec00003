"""Validates a data set before hours are spent on it: every file is read once, every problem is listed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from madm_core.data.frames import Frames
from madm_core.data.rare_class import count_classes
from madm_core.errors import DataError
from madm_core.labels import IGNORE, LabelSet

_SHOWN_PROBLEMS = 20


@dataclass
class DataReport:
    """What was found in one data set.

    Args:
        name: The data set.
        count: Number of frames.
        expected_count: Number of frames of the published set, or None.
        sizes: (height, width) -> number of frames.
        class_share: (K,) share of the labelled pixels by class of the label set; empty without labels.
        ignored_share: Share of the pixels that carry no class.
        problems: One line for every frame that cannot be used.
        flat_frames: Frames of a single value: a closed shutter, an unplugged camera.
    """

    name: str
    count: int
    expected_count: int | None = None
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    class_share: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    ignored_share: float = 0.0
    problems: list[str] = field(default_factory=list)
    flat_frames: int = 0

    @property
    def usable(self) -> bool:
        """Whether every frame can be used."""
        return not self.problems

    def describe(self, label_set: LabelSet) -> str:
        """The report as text."""
        lines = [f"{self.name}: {self.count} frames"]
        if self.expected_count not in (None, self.count):
            lines.append(f"  warning: the published set has {self.expected_count} frames")
        sizes = ", ".join(f"{height}x{width} ({count})" for (height, width), count in self.sizes.most_common(5))
        lines.append(f"  sizes (height x width): {sizes or 'none could be read'}")
        if self.flat_frames:
            lines.append(
                f"  warning: {self.flat_frames} frames show a single value (unplugged camera, closed shutter?)"
            )
        if self.class_share.size:
            lines.append(f"  pixels without a class: {self.ignored_share:.1%}")
            for name, share in zip(label_set.names, self.class_share, strict=True):
                lines.append(f"  {name:>20} {share:8.3%}" + ("   never occurs" if share == 0 else ""))
        for problem in self.problems[:_SHOWN_PROBLEMS]:
            lines.append(f"  problem: {problem}")
        if len(self.problems) > _SHOWN_PROBLEMS:
            lines.append(f"  ... and {len(self.problems) - _SHOWN_PROBLEMS} more problems")
        return "\n".join(lines)

    def to_dict(self, label_set: LabelSet) -> dict[str, Any]:
        """The report for machines, JSON-ready; with all problems."""
        return {
            "name": self.name,
            "frames": self.count,
            "frames_published": self.expected_count,
            "usable": self.usable,
            "sizes": [[height, width, count] for (height, width), count in self.sizes.most_common()],
            "flat_frames": self.flat_frames,
            "class_share": dict(zip(label_set.names, self.class_share.tolist(), strict=False)),
            "ignored_share": self.ignored_share,
            "problems": self.problems,
        }


def check_frames(frames: Frames, label_set: LabelSet, *, progress: bool = True) -> DataReport:
    """Reads every frame and its labels.

    Args:
        frames: The data set.
        label_set: Classes that labels are mapped to.
        progress: Show a progress bar.
    """
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda index: _check_one(frames, index), range(len(frames)))
        found = list(tqdm(results, desc=frames.name, total=len(frames), unit="frame", disable=not progress))
    return _summarise(frames, found, label_set)


@dataclass(frozen=True)
class _FrameFinding:
    size: tuple[int, int] | None = None
    flat: bool = False
    counts: dict[int, int] = field(default_factory=dict)
    pixels: int = 0
    problem: str | None = None


def _check_one(frames: Frames, index: int) -> _FrameFinding:
    try:
        if frames.files[index].labels is None:
            image = frames.image(index)
            return _FrameFinding(image.shape[:2], bool(image.min() == image.max()))
        image, labels = frames.labelled_image(index)
    except DataError as error:
        return _FrameFinding(problem=str(error))
    counts = count_classes(labels)
    unknown = sorted(set(counts) - frames.known_ids) if frames.known_ids else []
    problem = None
    if unknown:
        problem = f"{frames.files[index].labels} holds ids outside the mapping: {unknown}"
    return _FrameFinding(image.shape[:2], bool(image.min() == image.max()), counts, labels.size, problem)


def _summarise(frames: Frames, found: Sequence[_FrameFinding], label_set: LabelSet) -> DataReport:
    report = DataReport(frames.name, len(frames), frames.expected_count)
    report.sizes.update(finding.size for finding in found if finding.size is not None)
    report.flat_frames = sum(finding.flat for finding in found)
    report.problems = [finding.problem for finding in found if finding.problem is not None]
    if frames.labelled:
        pixels = np.zeros(256, np.int64)
        for finding in found:
            for class_id, count in finding.counts.items():
                mapped = int(frames.to_label_set(np.array([[class_id]], np.uint8))[0, 0])
                pixels[mapped] += count
        pixels[IGNORE] = sum(finding.pixels for finding in found) - pixels[:IGNORE].sum()
        known = pixels[: len(label_set)]
        report.class_share = known / max(known.sum(), 1)
        report.ignored_share = float(pixels[IGNORE] / max(pixels.sum(), 1))
    return report
