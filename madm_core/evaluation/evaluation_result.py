"""The result of one evaluation: all recordings, the model and how it came about."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from madm_core import __version__
from madm_core.errors import MadmError
from madm_core.evaluation.bag_scores import BagScores
from madm_core.evaluation.frame_choice import FrameChoice
from madm_core.evaluation.frame_results import ProtocolName
from madm_core.evaluation.metrics import Matrix
from madm_core.labels import LabelSet
from madm_core.model_directory import find_model_directory
from madm_core.segmenter import Segmenter


@dataclass(frozen=True)
class ModelFacts:
    """Which model was evaluated.

    Args:
        path: As the user named it.
        description: The segmenter's one line: sensor, size, device, precision.
        modality: The encoding's parameters.
        label_set: The classes.
        image_size: (height, width) of the network's images.
        provenance: Where the weights come from, as the model directory says; empty where it says nothing.
        files: SHA-256 of each file of the model directory.
    """

    path: str
    description: str
    modality: Mapping[str, Any]
    label_set: LabelSet
    image_size: tuple[int, int]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, segmenter: Segmenter, path: str) -> ModelFacts:
        """The facts of a loaded model and of the directory (or hub id) it was loaded from."""
        try:
            written = json.loads((find_model_directory(path) / "madm.json").read_text(encoding="utf-8"))
        except (MadmError, OSError, ValueError):
            written = {}  # a model that was built in memory
        return cls(
            path,
            segmenter.description,
            segmenter.modality.to_dict(),
            segmenter.label_set,
            segmenter.image_size,
            written.get("provenance") or {},
            {name: entry["sha256"] for name, entry in (written.get("files") or {}).items()},
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "path": self.path,
            "description": self.description,
            "modality": dict(self.modality),
            "image_size": list(self.image_size),
            "provenance": dict(self.provenance),
            "files": dict(self.files),
        }


@dataclass(frozen=True)
class BagFailure:
    """A recording that could not be scored, and why; ``error`` empty: not begun before the interruption."""

    name: str
    error: str

    def to_dict(self) -> dict[str, Any]:
        """The row in ``metrics.json``."""
        return {"bag": self.name, "status": "failed" if self.error else "not begun", "error": self.error or None}


@dataclass(frozen=True)
class ReportSection:
    """A further part of the report, as a way of evaluating needs it that only it knows.

    Args:
        key: Its name in ``metrics.json``, below ``sections``.
        title: Its heading in the page.
        text: A paragraph of plain text.
        rows: Name and value, shown as a table.
        data: JSON-ready, for ``metrics.json``.
        histograms: Title (with unit) -> values, each drawn as a histogram.
    """

    key: str
    title: str
    text: str = ""
    rows: Sequence[tuple[str, str]] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    histograms: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


@dataclass
class EvaluationResult:
    """All that a report is written from.

    Args:
        model: The model.
        bags: Scored recordings, completely or not; at least one.
        source: How frames and labels were chosen: topic, tolerance, ..., JSON-ready.
        command: The words of the command.
        failures: Recordings without scores.
        choices: For each recording the pictures for the report; empty: none.
        sections: Further parts.
        has_times: Whether stamps are times of a recording; else (a data set) they only count the frames.
        seconds: How long the evaluation took.
    """

    model: ModelFacts
    bags: list[BagScores]
    source: Mapping[str, Any]
    command: Sequence[str]
    failures: list[BagFailure] = field(default_factory=list)
    choices: list[FrameChoice] = field(default_factory=list)
    sections: list[ReportSection] = field(default_factory=list)
    has_times: bool = True
    seconds: float | None = None
    created: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))

    @property
    def label_set(self) -> LabelSet:
        """The classes."""
        return self.model.label_set

    @property
    def protocols(self) -> tuple[ProtocolName, ...]:
        """What was scored."""
        return self.bags[0].protocols

    @property
    def interrupted(self) -> bool:
        """Whether frames or recordings are missing because somebody ended the evaluation."""
        return any(bag.interrupted for bag in self.bags) or any(not failure.error for failure in self.failures)

    @property
    def scored(self) -> int:
        """Number of scored frames."""
        return sum(len(bag.frames) for bag in self.bags)

    @property
    def expected(self) -> int | None:
        """About how many frames there were; None when that is unknown of a recording."""
        numbers = [bag.expected for bag in self.bags if bag.expected is not None]
        complete = len(numbers) == len(self.bags) and all(failure.error for failure in self.failures)
        return max(sum(numbers), self.scored) if complete else None

    def matrices(self, protocol: ProtocolName) -> Matrix:
        """(N, K, K + 1) the confusion matrices of all frames, recording after recording."""
        return np.concatenate([bag.frames.matrices(protocol) for bag in self.bags])

    def sequences(self) -> npt.NDArray[np.int64]:
        """(N,) the number of the recording that each frame belongs to."""
        return np.repeat(np.arange(len(self.bags)), [len(bag.frames) for bag in self.bags])

    def total(self) -> BagScores:
        """The scores of all recordings together."""
        first = self.bags[0]
        total = BagScores("all", first.label_set, first.protocols, first.network_size)
        total.expected = 0
        for bag in self.bags:
            total.absorb(bag)
        return total

    @property
    def versions(self) -> dict[str, str]:
        """Of what the numbers depend on."""
        return {
            "madm_ros": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
        }
