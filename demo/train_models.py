"""Makes the demo's models: one command after the base, every seed fixed.

    train_street_base --output runs/madm-street-base                       # the base: autoencoder, then diffusion
    python demo/train_models.py --base runs/madm-street-base               # the base in half precision, three models

Each model is adapted: it learns from labelled colour pictures and unlabelled frames of its own sensor, by
``recipe: madm``. No label of a depth, thermal or event frame is ever used. The method is that of the row ``madm-long``
of ``benchmarks/streetworld_variants.py``, with pictures of all weathers, more of them, and 2.5 times the steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # so that `benchmarks.*` imports from any folder

from benchmarks.streetworld_experiment import LARGE, STREETS, Run, make_streets, train  # noqa: E402
from benchmarks.streetworld_scoring import MODALITIES  # noqa: E402
from benchmarks.streetworld_variants import VARIANTS  # noqa: E402
from madm_core.model.stored_base import save_part  # noqa: E402
from madm_core.model_directory import load_model_directory, save_model_directory  # noqa: E402

ROW, SEED = "madm-long", 0


def main() -> None:
    """Writes the base, makes the data where it is missing, then one model a modality."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="directory that train_street_base wrote")
    parser.add_argument("--work", type=Path, default=LARGE.work, help="folder of data and runs")
    parser.add_argument("--output", type=Path, default=HERE)
    parser.add_argument("--steps", type=int, default=LARGE.steps)
    parser.add_argument("--modality", nargs="+", choices=list(MODALITIES), default=list(MODALITIES))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    shipped = arguments.output / "madm-street-base"
    if shipped.resolve() != arguments.base.resolve():
        ship_base(arguments.base, shipped)
    for name in ("source", "target"):
        make_streets(arguments.work / "data" / name, STREETS[name], LARGE.frames[name], LARGE.conditions)
    setting = dataclasses.replace(LARGE, steps=arguments.steps)
    for modality in arguments.modality:
        run = Run(f"{ROW}_{modality}_{SEED}_{arguments.steps}", VARIANTS[ROW], modality, SEED, setting)
        model, _ = train(run, arguments.work, {"pretrained": shipped})
        target = ship(model, arguments.output / "models" / f"street-{modality}", modality, arguments.steps)
        print(f"{target} is ready")


def ship(trained: Path, target: Path, modality: str, steps: int) -> Path:
    """Writes the model in half precision, with a description that any reader understands."""
    model = load_model_directory(trained)
    made = model.description["provenance"]
    return save_model_directory(
        target,
        model.network.cast(torch.float16),
        modality=model.modality,
        label_set=model.label_set,
        image_size=model.image_size,
        input_statistics=model.input_statistics,
        provenance={
            "summary": f"adapted by recipe madm without any {modality} label, {made['steps']} steps, synthetic streets",
            "recipe": "madm",
            "method": made["method"],
            "base": "madm-street-base",
            "command": f"python demo/train_models.py --base runs/madm-street-base --steps {steps}",
            "labelled colour frames": {"streets of seed": STREETS["source"], "frames": LARGE.frames["source"]},
            f"unlabelled {modality} frames": {
                "streets of seed": STREETS["target"],
                "frames": LARGE.frames["target"],
            },
            "seed": SEED,
            "license": "Apache-2.0",
        },
    )


def ship_base(trained: Path, target: Path) -> None:
    """Writes the base in half precision, without the pictures and stages that its training keeps."""
    for part, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL)):
        save_part(kind.from_pretrained(trained / part, torch_dtype=torch.float16), target / part)
    text_encoder = CLIPTextModel.from_pretrained(trained / "text_encoder", torch_dtype=torch.float16)
    text_encoder.save_pretrained(target / "text_encoder")
    for folder in ("scheduler", "tokenizer"):
        shutil.copytree(trained / folder, target / folder, dirs_exist_ok=True)
    shutil.copy(trained / "training.json", target / "training.json")


if __name__ == "__main__":
    main()
