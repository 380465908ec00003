"""Two finished evaluations of the same frames: is one model better than the other?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from madm_core.errors import DataError
from madm_core.evaluation.bootstrap import PairedDifference, paired_difference
from madm_core.evaluation.frame_results import ProtocolName
from madm_core.evaluation.metrics_file import FORMAT, FORMAT_VERSION


@dataclass(frozen=True)
class StoredScores:
    """The matrices of the single frames of a finished evaluation.

    Args:
        name: The folder.
        model: The model's description.
        classes: Names in id order.
        bags, stamps_ns: (N,) which frames.
        matrices: Protocol -> (N, K, K + 1).
    """

    name: str
    model: str
    classes: tuple[str, ...]
    bags: tuple[str, ...]
    stamps_ns: npt.NDArray[np.int64]
    matrices: Mapping[ProtocolName, npt.NDArray[np.int32]]

    @classmethod
    def read(cls, path: str | Path) -> StoredScores:
        """Reads a report's folder, or the ``metrics.json`` in it.

        Raises:
            DataError: There is no finished evaluation, or one of another version.
        """
        folder = Path(path).parent if Path(path).name == "metrics.json" else Path(path)
        try:
            metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            with np.load(folder / "frames.npz", allow_pickle=False) as columns:
                stored = {name: columns[name] for name in columns.files}
        except (OSError, ValueError) as error:
            raise DataError(
                f"{folder} holds no finished evaluation", got=error, expected="metrics.json and frames.npz",
                do="run evaluate_bag with --output there",
            ) from error  # fmt: skip
        version = (metrics.get("format"), metrics.get("format_version")) if isinstance(metrics, dict) else None
        if version != (FORMAT, FORMAT_VERSION):
            raise DataError(
                f"{folder / 'metrics.json'} cannot be compared", got=version, expected=(FORMAT, FORMAT_VERSION),
                do="evaluate again with this version",
            )  # fmt: skip
        names = stored["bag_names"]
        return cls(
            str(folder),
            metrics["model"]["description"],
            tuple(metrics["label_set"]["names"]),
            tuple(str(names[number]) for number in stored["bags"]),
            stored["stamps_ns"],
            {protocol: stored[f"matrices_{protocol}"] for protocol in metrics["protocols"]},
        )


@dataclass(frozen=True)
class Comparison:
    """B minus A on the frames that both scored.

    Args:
        first, second: A and B.
        frames: Number of common frames; ``only_first`` and ``only_second`` were scored by one only and are left out.
        bags: Number of recordings that the common frames come from.
        mean_iou: Protocol -> difference of mIoU, resampled over frames.
        mean_iou_over_bags: The same, resampled over recordings; empty for a single one.
        classes: Protocol -> class -> difference of its IoU, resampled over frames.
        values: Protocol -> mIoU of A and of B on the common frames.
    """

    first: str
    second: str
    frames: int
    only_first: int
    only_second: int
    bags: int
    mean_iou: Mapping[ProtocolName, PairedDifference]
    mean_iou_over_bags: Mapping[ProtocolName, PairedDifference]
    classes: Mapping[ProtocolName, Mapping[str, PairedDifference]]
    values: Mapping[ProtocolName, tuple[float, float]]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; NaN (a class that is not there) becomes None."""
        return {
            "format": "madm comparison",
            "format_version": 1,
            "first": self.first,
            "second": self.second,
            "frames": {"common": self.frames, "only_first": self.only_first, "only_second": self.only_second},
            "bags": self.bags,
            "protocols": {
                protocol: {
                    "mean_iou": list(self.values[protocol]),
                    "difference": _plain(difference),
                    "difference_over_bags": _plain(self.mean_iou_over_bags[protocol])
                    if protocol in self.mean_iou_over_bags
                    else None,
                    "classes": {name: _plain(value) for name, value in self.classes[protocol].items()},
                }
                for protocol, difference in self.mean_iou.items()
            },
        }


def compare(first: StoredScores, second: StoredScores) -> Comparison:
    """Compares two evaluations frame by frame.

    Raises:
        DataError: They have other classes, no protocol or no frame in common.
    """
    if first.classes != second.classes:
        raise DataError(
            "the evaluations have different classes", got=f"{', '.join(first.classes)} and {', '.join(second.classes)}"
        )
    protocols = [protocol for protocol in first.matrices if protocol in second.matrices]
    # A recording may lie elsewhere by now, so that its name counts, not its folder; several of one name in one
    # evaluation are told apart by their whole paths.
    keys = [_keys(side, _are_unique(first) and _are_unique(second)) for side in (first, second)]
    places = [{key: index for index, key in enumerate(side)} for side in keys]
    common = [key for key in keys[0] if key in places[1]]
    if not protocols or not common:
        raise DataError(
            "the evaluations have nothing in common",
            got=f"{first.name}: {_what(first)}; {second.name}: {_what(second)}",
            expected="the same protocol, bags and stamps",
        )  # fmt: skip
    rows = [np.array([side[key] for key in common]) for side in places]
    _, sequences = np.unique([bag for bag, _ in common], return_inverse=True)
    bags = int(sequences.max()) + 1
    differences, over_bags, classes, values = {}, {}, {}, {}
    for protocol in protocols:
        pair = first.matrices[protocol][rows[0]], second.matrices[protocol][rows[1]]
        differences[protocol], by_class, values[protocol] = paired_difference(*pair)
        classes[protocol] = dict(zip(first.classes, by_class, strict=True))
        if bags > 1:
            over_bags[protocol] = paired_difference(*pair, sequences=sequences)[0]
    return Comparison(
        f"{first.name} ({first.model})", f"{second.name} ({second.model})", len(common), len(keys[0]) - len(common),
        len(keys[1]) - len(common), bags, differences, over_bags, classes, values,
    )  # fmt: skip


def _are_unique(scores: StoredScores) -> bool:
    paths = set(scores.bags)
    return len({Path(path).name for path in paths}) == len(paths)


def _keys(scores: StoredScores, by_name: bool) -> list[tuple[str, int]]:
    return [
        (Path(bag).name if by_name else bag, int(stamp))
        for bag, stamp in zip(scores.bags, scores.stamps_ns, strict=True)
    ]


def _what(scores: StoredScores) -> str:
    return f"{len(scores.stamps_ns)} frames of {', '.join(sorted(set(scores.bags))[:4])}, {'/'.join(scores.matrices)}"


def _plain(difference: PairedDifference) -> dict[str, Any] | None:
    if np.isnan(difference.value):
        return None
    low, high = difference.interval
    return {
        "value": difference.value,
        "interval_95": None if np.isnan(low) else [low, high],
        "share_above_zero": difference.share_above_zero,
    }


def print_comparison(comparison: Comparison) -> None:
    """Prints the differences in points of IoU."""
    print(f"A: {comparison.first}\nB: {comparison.second}")
    print(f"{comparison.frames} common frames of {comparison.bags} bags; "
          f"{comparison.only_first} only in A, {comparison.only_second} only in B")  # fmt: skip
    for protocol, difference in comparison.mean_iou.items():
        before, after = comparison.values[protocol]
        print(f"\nprotocol {protocol}: mIoU % {100 * before:.2f} -> {100 * after:.2f}")
        print(f"  B - A {_points(difference)}  ({_verdict(difference)})")
        if protocol in comparison.mean_iou_over_bags:
            over = comparison.mean_iou_over_bags[protocol]
            print(f"  B - A {_points(over)}  resampled over bags ({_verdict(over)})")
        for name, value in comparison.classes[protocol].items():
            if not np.isnan(value.value):
                print(f"    {name:<16}{_points(value)}")


def _points(difference: PairedDifference) -> str:
    low, high = (100 * bound for bound in difference.interval)
    return f"{100 * difference.value:+7.2f} (95 % {low:+.2f} to {high:+.2f})"


def _verdict(difference: PairedDifference) -> str:
    low, high = difference.interval
    return "B is better" if low > 0 else "A is better" if high < 0 else "no difference can be told"
