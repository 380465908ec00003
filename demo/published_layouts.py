"""A few synthetic frames in the folder layouts of Cityscapes and FMB, and a configuration for them.

    python demo/published_layouts.py rehearsal

For rehearsing a published task before the data sets are downloaded: the readers, the checks and the trainer treat the
folders like the real ones. What is in them is StreetWorld, small, so nothing of use is learnt.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # so that it runs from any folder of a checkout

from madm_core.labels import CITYSCAPES19, FMB_TO_MADM9, IGNORE, MADM9, MADM11, LabelMap  # noqa: E402
from madm_core.streetworld.dataset import street_frames  # noqa: E402

SIZE = (96, 192)
CITYSCAPES_FRAMES, FMB_FRAMES = 6, 4
CITY = "streetworld"
PUBLISHED = HERE.parent / "config" / "train" / "cityscapes_to_fmb_infrared.yaml"
ARCHITECTURE = {
    "projection_channels": [32, 64, 64, 64],
    "projection_bottleneck": 32,
    "embedding_channels": 16,
    "head_channels": 16,
}


def main() -> None:
    """Writes ``cityscapes/``, ``FMB/`` and ``task.yaml`` into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    write_cityscapes(folder / "cityscapes")
    for number, split in enumerate(("train", "test")):
        write_fmb(folder / "FMB", split, seed=21 + number)
    (folder / "task.yaml").write_text(task(folder), encoding="utf-8")
    print(f"{folder}/cityscapes, {folder}/FMB and {folder}/task.yaml are ready")


def write_cityscapes(root: Path) -> None:
    """Colour pictures with train ids, under the names of a Cityscapes city."""
    to_train_ids = LabelMap.from_pairs(
        {old: CITYSCAPES19.names.index(name) for old, name in enumerate(MADM11.names)}, "keep"
    )
    for index, frame in enumerate(street_frames(20, CITYSCAPES_FRAMES, SIZE, ["rgb"])):
        stem = f"train/{CITY}/{CITY}_000000_{index:06d}"
        save(root / f"leftImg8bit/{stem}_leftImg8bit.png", frame.rgb)
        save(root / f"gtFine/{stem}_gtFine_labelTrainIds.png", to_train_ids.apply(frame.labels))


def write_fmb(root: Path, split: str, seed: int) -> None:
    """8-bit thermal pictures with FMB's ids; fence and wall, which FMB has not, are unlabelled (0)."""
    first = {int(new): old for old, new in reversed(list(enumerate(FMB_TO_MADM9.table.tolist()))) if new != IGNORE}
    to_fmb = LabelMap.from_pairs(
        {old: first[MADM9.names.index(name)] if name in MADM9.names else 0 for old, name in enumerate(MADM11.names)},
        "keep",
    )
    for index, frame in enumerate(street_frames(seed, FMB_FRAMES, SIZE, ["thermal"])):
        low, high = np.percentile(frame.thermal, (1, 99))
        grey = (np.clip((frame.thermal - low) / (high - low), 0, 1) * 255).astype(np.uint8)
        save(root / f"{split}/Infrared/{index + 1:05d}.png", grey)
        save(root / f"{split}/Label/{index + 1:05d}.png", to_fmb.apply(frame.labels))


def task(folder: Path) -> str:
    """The published configuration with these folders, the demo's base, and sizes that a CPU manages."""
    fields = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    fields["base"] = str(HERE / "madm-street-base")
    fields["source"].update(root=str(folder / "cityscapes"), resize=list(SIZE))
    for section in ("target", "validation"):
        fields[section].update(root=str(folder / "FMB"), resize=list(SIZE))
    fields.update(image_size=list(SIZE), architecture=ARCHITECTURE, max_steps=3, embed_base=True)
    fields["engine"] = {"workers": 0, "gradient_checkpointing": False}
    return yaml.safe_dump(fields, sort_keys=False)


def save(path: Path, picture: np.ndarray) -> None:
    """Writes a PNG and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


if __name__ == "__main__":
    main()
