"""What stays of every scored frame: numbers in columns, about 0.7 kB a frame for 11 classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from madm_core.evaluation.boundaries import Counts
from madm_core.evaluation.frame_results import ProtocolName
from madm_core.evaluation.metrics import Matrix


class FrameTable:
    """Stamps, milliseconds, confusion matrices and boundary counts, a row a frame.

    Args:
        classes: Number of classes K.
        protocols: What is scored.

    Tables can be pickled, and joined with :meth:`extend`.
    """

    def __init__(self, classes: int, protocols: Sequence[ProtocolName]) -> None:
        self.protocols = tuple(protocols)
        self._stamps = _Column((), np.int64)
        self._milliseconds = _Column((), np.float32)
        self._matrices = {name: _Column((classes, classes + 1), np.int32) for name in self.protocols}
        self._boundaries = {name: _Column((classes, 2), np.int32) for name in self.protocols}

    def __len__(self) -> int:
        return self._stamps.count

    def add(
        self,
        stamp_ns: int,
        milliseconds: float | None,
        matrices: Mapping[ProtocolName, Matrix],
        boundaries: Mapping[ProtocolName, Counts],
    ) -> None:
        """Appends a frame; ``milliseconds`` None becomes NaN."""
        self._stamps.append(stamp_ns)
        self._milliseconds.append(np.nan if milliseconds is None else milliseconds)
        for name in self.protocols:
            self._matrices[name].append(matrices[name])
            self._boundaries[name].append(boundaries[name])

    def extend(self, other: FrameTable) -> None:
        """Appends the rows of a table of the same classes and protocols."""
        pairs = [(self._stamps, other._stamps), (self._milliseconds, other._milliseconds)]
        pairs += [(self._matrices[name], other._matrices[name]) for name in self.protocols]
        pairs += [(self._boundaries[name], other._boundaries[name]) for name in self.protocols]
        for own, more in pairs:
            own.extend(more.values)

    @property
    def stamps_ns(self) -> npt.NDArray[np.int64]:
        """(N,) int64."""
        return self._stamps.values

    @property
    def milliseconds(self) -> npt.NDArray[np.float32]:
        """(N,) float32, NaN where not measured."""
        return self._milliseconds.values

    def matrices(self, protocol: ProtocolName) -> npt.NDArray[np.int32]:
        """(N, K, K + 1) one confusion matrix a frame."""
        return self._matrices[protocol].values

    def boundaries(self, protocol: ProtocolName) -> npt.NDArray[np.int32]:
        """(N, K, 2) pixels in the intersection and the union of both boundary strips."""
        return self._boundaries[protocol].values


class _Column:
    """An array that grows at its end."""

    def __init__(self, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        self._rows: npt.NDArray[Any] = np.zeros((0, *shape), dtype)
        self.count = 0

    @property
    def values(self) -> npt.NDArray[Any]:
        """(N, ...) the rows, not copied."""
        return self._rows[: self.count]

    def append(self, row: Any) -> None:
        self._reserve(self.count + 1)
        self._rows[self.count] = row
        self.count += 1

    def extend(self, rows: npt.NDArray[Any]) -> None:
        self._reserve(self.count + len(rows))
        self._rows[self.count : self.count + len(rows)] = rows
        self.count += len(rows)

    def _reserve(self, count: int) -> None:
        if count > len(self._rows):
            larger = np.zeros((max(count, 64, len(self._rows) * 3 // 2), *self._rows.shape[1:]), self._rows.dtype)
            larger[: self.count] = self.values
            self._rows = larger

    def __getstate__(self) -> npt.NDArray[Any]:
        return self.values.copy()

    def __setstate__(self, rows: npt.NDArray[Any]) -> None:
        self._rows, self.count = rows, len(rows)
