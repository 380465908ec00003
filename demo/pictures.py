"""Contact sheets, films and animations of a recording."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from demo.recorder import Recording
from madm_core.labels import LabelSet
from madm_core.legend import legend_image

_CAPTIONS = ("what the network saw", "node's overlay", "node's labels", "ground truth")
_MARGIN = 18


def complete_stamps(recording: Recording) -> list[int]:
    """Stamps (ns) of which label image, overlay, input preview and ground truth have all arrived."""
    stamps = set.intersection(*(set(pictures) for pictures in recording.pictures.values()))
    return sorted(stamps)


def panel(recording: Recording, stamp_ns: int, label_set: LabelSet) -> np.ndarray:
    """The four pictures of one stamp side by side: (H, 4 W, 3) uint8 RGB."""
    pictures = {name: stamped[stamp_ns] for name, stamped in recording.pictures.items()}
    height, width = pictures["labels"].shape
    seen = cv2.resize(pictures["input"], (width, height), interpolation=cv2.INTER_LINEAR)
    painted = [label_set.colorize(pictures[name]) for name in ("labels", "truth")]
    return np.hstack([seen, pictures["overlay"], *painted])


def write_contact_sheet(file: Path, recording: Recording, label_set: LabelSet, title: str, rows: int = 5) -> None:
    """Writes a PNG with ``rows`` moments spread over the recording, captions and a legend."""
    stamps = complete_stamps(recording)
    chosen = [stamps[round(i)] for i in np.linspace(0, len(stamps) - 1, min(rows, len(stamps)))]
    panels = np.vstack([panel(recording, stamp, label_set) for stamp in chosen])
    height, width = panels.shape[:2]
    legend = Image.fromarray(legend_image(label_set))
    sheet = Image.new("RGB", (width, height + 2 * _MARGIN + legend.height), legend.getpixel((0, 0)))
    sheet.paste(Image.fromarray(panels), (0, 2 * _MARGIN))
    sheet.paste(legend, (0, height + 2 * _MARGIN))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    draw.text((4, 2), title, "black", ImageFont.load_default(13))
    for index, text in enumerate(_CAPTIONS):
        draw.text((index * width // 4 + 4, _MARGIN + 2), text, "black", font)
    sheet.save(file)


def write_film(file: Path, recording: Recording, label_set: LabelSet) -> None:
    """Writes an MP4 of all complete moments at the rate at which they came."""
    stamps = complete_stamps(recording)
    height, width = panel(recording, stamps[0], label_set).shape[:2]
    film = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), max(recording.rate, 1.0), (width, height))
    try:
        for stamp in stamps:
            film.write(np.ascontiguousarray(panel(recording, stamp, label_set)[..., ::-1]))
    finally:
        film.release()


def write_animation(file: Path, recordings: dict[str, Recording], label_set: LabelSet, frames: int = 24) -> None:
    """Writes a looping GIF with one row a modality: input and overlay."""
    rows = []
    for recording in recordings.values():
        stamps = complete_stamps(recording)[-frames:]
        rows.append([panel(recording, stamp, label_set) for stamp in stamps])
    length = min(len(row) for row in rows)
    images = []
    for index in range(length):
        panels = [row[index][:, : row[index].shape[1] // 2] for row in rows]
        images.append(Image.fromarray(np.vstack(panels)).quantize(128, dither=Image.Dither.NONE))
    images[0].save(file, save_all=True, append_images=images[1:], duration=200, loop=0, optimize=True)
