"""One picture that shows what a step did: inputs, labels, pseudo-labels, confidence and the decoded palette."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from madm_core.adaptation.step import Batch, BranchResult
from madm_core.labels import LabelSet

_CAPTION_HEIGHT = 22
_MAX_SIDE = 256


def preview(
    batch: Batch, source: BranchResult, mixed: BranchResult | None, label_set: LabelSet
) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 sheet of the first sample of a batch.

    Args:
        batch: What the step saw.
        source: The source branch's result.
        mixed: The mixed branch's result; None while the run trains on the source alone.
        label_set: Colours.
    """
    tiles = [
        ("source", _picture(source.image[0])),
        ("labels", _labels(source.labels[0, 0], label_set)),
        ("prediction", _labels(source.output.logits[0].argmax(0), label_set)),
        ("decoded source", _decoded(source)),
    ]
    if mixed is not None and mixed.pseudo is not None:
        confidence = (mixed.pseudo.confidence[0].float() * 255).byte().cpu().numpy()
        tiles += [
            ("target", _picture(batch.target_image[0])),
            (f"pseudo-labels, q {mixed.pseudo.share.item():.2f}", _labels(mixed.pseudo.labels[0], label_set)),
            ("confidence", np.repeat(confidence[:, :, None], 3, axis=2)),
            ("mixed", _picture(mixed.image[0])),
            ("mixed labels", _labels(mixed.labels[0, 0], label_set)),
            ("mixed prediction", _labels(mixed.output.logits[0].argmax(0), label_set)),
            ("decoded mixed", _decoded(mixed)),
        ]
    framed = [_with_caption(caption, tile) for caption, tile in tiles]
    blank = np.zeros_like(framed[0])
    framed += [blank] * (-len(framed) % 4)
    rows = [np.concatenate(framed[start : start + 4], axis=1) for start in range(0, len(framed), 4)]
    return np.concatenate(rows, axis=0)


def save_preview(path: Path, sheet: npt.NDArray[np.uint8]) -> None:
    """Writes a sheet as PNG; a folder that cannot be written is no reason to end a training."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(sheet[:, :, ::-1]))


def _picture(image: torch.Tensor) -> npt.NDArray[np.uint8]:
    pixels: npt.NDArray[np.uint8] = (image.detach().float().clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy()
    return pixels


def _labels(labels: torch.Tensor, label_set: LabelSet) -> npt.NDArray[np.uint8]:
    return label_set.colorize(labels.detach().to(torch.uint8).cpu().numpy())


def _decoded(result: BranchResult) -> npt.NDArray[np.uint8]:
    return _picture((result.output.decoded[0].float() + 1) / 2)


def _with_caption(caption: str, tile: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    scale = min(1.0, _MAX_SIDE / max(tile.shape[:2]))
    width, height = (max(1, round(side * scale)) for side in (tile.shape[1], tile.shape[0]))
    tile = cv2.resize(np.ascontiguousarray(tile), (width, height), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    band = np.full((_CAPTION_HEIGHT, width, 3), 32, np.uint8)
    cv2.putText(band, caption, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([band, tile], axis=0)
