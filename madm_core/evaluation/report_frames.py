"""A chosen frame as five pictures for the page: input, prediction, truth, error, confidence."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from madm_core.evaluation.frame_choice import ChosenFrame
from madm_core.labels import IGNORE, Labels, LabelSet
from madm_core.pictures import confidence_image

WRONG, MISSING = (214, 40, 57), (244, 162, 38)
"""Colours in the error picture: a wrong class; nothing predicted where something is."""

_JPEG_QUALITY = 85


class Picture(NamedTuple):
    """An image for the page."""

    name: str
    source: str
    alt: str


@dataclass(frozen=True)
class FramePictures:
    """A frame as the page shows it; ``seconds`` is its time in its bag, None where there is none."""

    kind: str
    bag: str
    stamp_ns: int
    seconds: float | None
    mean_iou: float
    wrong: float
    pictures: tuple[Picture, ...]


def frame_pictures(frame: ChosenFrame, kind: str, label_set: LabelSet, start_ns: int | None) -> FramePictures:
    """Paints a frame.

    Args:
        frame: The frame.
        kind: ``worst``, ``median`` or ``best``.
        label_set: Class colours.
        start_ns: When its bag begins.
    """
    image = cv2.cvtColor(_decoded(frame.image, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    truth, labels = (_decoded(ids, cv2.IMREAD_GRAYSCALE) for ids in (frame.truth, frame.labels))
    known = truth != IGNORE
    pictures = [
        Picture("input", _source(frame.image, "jpeg"), "the picture that the network saw"),
        Picture("prediction", _palette_png(labels, label_set), "predicted classes in their colours"),
        Picture("truth", _palette_png(truth, label_set), "true classes in their colours"),
        Picture("error", _jpeg(_error(image, truth, labels)), "wrong pixels in red over the dimmed input"),
    ]
    if frame.confidence is not None:
        confidence = _decoded(frame.confidence, cv2.IMREAD_GRAYSCALE)
        painted = _jpeg(confidence_image(confidence, labels))
        pictures.append(Picture("confidence", painted, "confidence from dark (unsure) to yellow (sure)"))
    seconds = None if start_ns is None else (frame.stamp_ns - start_ns) / 1e9
    wrong = float((labels != truth)[known].mean()) if known.any() else 0.0
    return FramePictures(kind, frame.bag, frame.stamp_ns, seconds, frame.mean_iou, wrong, tuple(pictures))


def _error(image: npt.NDArray[np.uint8], truth: Labels, labels: Labels) -> npt.NDArray[np.uint8]:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    picture = np.repeat((gray * 0.45 + 40)[:, :, None], 3, axis=2)
    known = truth != IGNORE
    picture[~known] = 0
    for where, color in (
        (known & (labels != truth) & (labels != IGNORE), WRONG),
        (known & (labels == IGNORE), MISSING),
    ):
        picture[where] = 0.25 * picture[where] + 0.75 * np.asarray(color, np.float32)
    return picture.round().astype(np.uint8)


def _decoded(data: bytes, mode: int) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), mode), np.uint8)


def _palette_png(labels: Labels, label_set: LabelSet) -> str:
    picture = Image.fromarray(labels)
    picture.putpalette(label_set.palette.tobytes())
    memory = io.BytesIO()
    picture.save(memory, "PNG", optimize=True)
    return _source(memory.getvalue(), "png")


def _jpeg(picture: npt.NDArray[np.uint8]) -> str:
    data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return _source(bytes(data), "jpeg")


def _source(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
