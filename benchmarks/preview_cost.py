"""What the preview page costs the node: a frame handed over, and a picture made for viewers, in processor time.

python benchmarks/preview_cost.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import cv2
import numpy as np

from madm_core.labels import MADM11
from madm_ros.preview.composition import PreviewFrame, jpeg_strip
from madm_ros.preview.feed import PreviewFeed

SIZES = ((128, 256), (480, 640), (720, 1280))
HAND_OVERS, PICTURES = 100_000, 100


def smooth_frame(height: int, width: int) -> PreviewFrame:
    """A frame of soft blobs with a class for each brightness."""
    noise = np.random.default_rng(0).random((height, width), np.float32)
    blobs = cv2.GaussianBlur(noise, (31, 31), 8)
    blobs = (blobs - blobs.min()) / (blobs.max() - blobs.min())
    return PreviewFrame(np.repeat(blobs[:, :, None], 3, 2), (blobs * 10.9).astype(np.uint8), blobs, MADM11, 0.5)


def measured(frame: PreviewFrame) -> dict[str, float]:
    """Mean of handing over, median of making a picture, and its size."""
    feed = PreviewFeed()
    began = time.process_time()
    for _ in range(HAND_OVERS):
        feed.show(frame)
    hand_over_us = (time.process_time() - began) / HAND_OVERS * 1e6
    durations_ms, size = [], 0
    for _ in range(PICTURES):
        began = time.process_time()
        size = len(jpeg_strip(frame, "row"))
        durations_ms.append((time.process_time() - began) * 1e3)
    return {"hand_over_us": hand_over_us, "picture_ms": statistics.median(durations_ms), "picture_kb": size / 1000}


def main() -> int:
    """Prints a line for each size."""
    parser = argparse.ArgumentParser(description="Measure what the preview page costs the node.")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    target = parser.parse_args().json
    cv2.setNumThreads(1)  # as in the node
    numbers = {f"{width}x{height}": measured(smooth_frame(height, width)) for height, width in SIZES}
    for size, one in numbers.items():
        print(
            f"{size}: handed over in {one['hand_over_us']:.1f} us; a picture in {one['picture_ms']:.1f} ms, "
            f"{one['picture_kb']:.0f} kB"
        )
    if target:
        target.write_text(json.dumps(numbers, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
