"""What a street base lets a network see: its autoencoder's pictures, and what can be read from its latents.

    python benchmarks/streetworld_base.py --base demo/madm-street-base

MADM sees a picture only through the base's latents, 4 numbers for each block of 4x4 or 8x8 pixels. A base is therefore
compared with the plainest code of all, the mean colour of each such block (3 numbers): in the error of the pictures
that come back, and in how well a classifier in closed form labels the street from it. That classifier (ridge regression
on random features of 5x5 cells and their place, Rahimi and Recht 2007) is trained in seconds, so that a base can be
judged before anything is adapted. Colour pictures by day of the table's source and validation streets, at the size that
the table's networks see; no test street.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # so that `benchmarks.*` imports from any folder

from benchmarks.streetworld_experiment import FRAME_SIZE, SMALL, STREETS  # noqa: E402
from benchmarks.streetworld_scoring import summary  # noqa: E402
from madm_core.data.crops import resize_image, resize_labels  # noqa: E402
from madm_core.evaluation.metrics import confusion_matrix  # noqa: E402
from madm_core.labels import MADM11  # noqa: E402
from madm_core.model.diffusion_backbone import latent_stride  # noqa: E402
from madm_core.pretraining.autoencoder import palette_recovery  # noqa: E402
from madm_core.streetworld.dataset import street_frames  # noqa: E402

TRAINING, HELD_OUT = 96, 16
WINDOW = 5
RANDOM_FEATURES = 700
RIDGE = 20.0
Code = Callable[[Tensor], Tensor]
"""(N, 3, H, W) pictures in [-1, 1] -> (N, C, H/stride, W/stride) numbers for each block."""


def main() -> None:
    """Prints the comparison, and writes it on demand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, nargs="+", required=True, help="diffusers directories")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    training, held_out = frames("source", TRAINING), frames("validation", HELD_OUT)
    measured: dict[str, dict[str, float]] = {}
    for base in arguments.base:
        autoencoder = AutoencoderKL.from_pretrained(base / "vae", torch_dtype=torch.float32).eval()
        stride = latent_stride(autoencoder)
        blocks = partial(functional.avg_pool2d, kernel_size=stride)
        name = f"mean colour of {stride}x{stride} pixels"
        if name not in measured:
            measured[name] = {**block_error(held_out[0], stride), **probe(blocks, training, held_out)}
        share, _ = palette_recovery(autoencoder, held_out[1])
        measured[str(base)] = {
            **picture_error(decoded(autoencoder, held_out[0]), held_out[0]),
            "palette_recovery": round(100 * share, 1),
            **probe(lambda pictures, model=autoencoder: encoded(model, pictures), training, held_out),
        }
    print("| code | error | colour error | palette | probe mIoU | probe, categories |\n|---|---|---|---|---|---|")
    for name, found in measured.items():
        print(f"| {name} | {found['error']:.4f} | {found['color_error']:.4f} | {found.get('palette_recovery', '-')} | "
              f"{found['mean_iou']:.1f} | {found['categories']:.1f} |")  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=2), encoding="utf-8")


def frames(name: str, count: int) -> tuple[Tensor, np.ndarray]:
    """(N, 3, H, W) colour pictures in [-1, 1] and (N, H, W) uint8 labels, each of another street of a set, as small as
    the networks see them."""
    made = street_frames(
        STREETS[name], count, FRAME_SIZE, ("rgb",), conditions=SMALL.conditions, frames_per_street=1
    )  # fmt: skip
    found = list(made)
    images = np.stack([resize_image(frame.rgb, SMALL.image_size) for frame in found if frame.rgb is not None])
    labels = np.stack([resize_labels(frame.labels, SMALL.image_size) for frame in found])
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1, labels


@torch.inference_mode()
def encoded(autoencoder: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Latents, as the backbone takes them: the posterior's mean."""
    return torch.cat([autoencoder.encode(picture[None]).latent_dist.mean for picture in pictures])


@torch.inference_mode()
def decoded(autoencoder: AutoencoderKL, pictures: Tensor) -> Tensor:
    """What comes back of pictures."""
    return torch.cat([autoencoder.decode(latent[None]).sample for latent in encoded(autoencoder, pictures)])


def block_error(pictures: Tensor, side: int) -> dict[str, float]:
    """The error of pictures of which only the mean colour of each block is kept."""
    blocks = functional.avg_pool2d(pictures, side)
    return picture_error(functional.interpolate(blocks, scale_factor=side, mode="bilinear"), pictures)


def picture_error(found: Tensor, pictures: Tensor) -> dict[str, float]:
    """Mean absolute error of pixels in [-1, 1], and of what is left of them when their grey is taken away."""

    def color(image: Tensor) -> Tensor:
        return image - image.mean(1, keepdim=True)

    return {
        "error": round(float((found - pictures).abs().mean()), 4),
        "color_error": round(float((color(found) - color(pictures)).abs().mean()), 4),
    }


def probe(code: Code, training: tuple[Tensor, np.ndarray], held_out: tuple[Tensor, np.ndarray]) -> dict[str, float]:
    """How well the street can be labelled from a code: mIoU in percent on held-out streets, at the pictures' size."""
    numbers = code(training[0])
    mean, deviation = numbers.mean((0, 2, 3), keepdim=True), numbers.std((0, 2, 3), keepdim=True)
    inputs = numbers.shape[1] * WINDOW**2 + len(place(*numbers.shape[2:]))
    random = torch.randn(inputs, RANDOM_FEATURES, generator=torch.Generator().manual_seed(0)) * 0.7

    def features(values: Tensor) -> Tensor:
        return _features((values - mean) / deviation, random)

    shares = functional.one_hot(torch.from_numpy(training[1]).long(), len(MADM11)).permute(0, 3, 1, 2).float()
    wanted = functional.adaptive_avg_pool2d(shares, numbers.shape[2:]).flatten(2).transpose(1, 2)
    design = features(numbers).flatten(0, 1)
    gram = (design.T @ design).double() + RIDGE * torch.eye(design.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(gram, (design.T @ wanted.flatten(0, 1)).double()).float()
    matrix = np.zeros((len(MADM11), len(MADM11) + 1), np.int64)
    for answer, truth in zip(features(code(held_out[0])) @ weights, held_out[1], strict=True):
        cells = answer.T.reshape(1, len(MADM11), *numbers.shape[2:])
        labels = functional.interpolate(cells, size=truth.shape, mode="bilinear").argmax(1)[0]
        matrix += confusion_matrix(labels.numpy().astype(np.uint8), truth, len(MADM11))
    return summary(matrix)


def place(height: int, width: int) -> Tensor:
    """(7, height, width): where a cell lies, and simple functions of it."""
    axes = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    at = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    return torch.cat([at, at.square(), at.abs(), at[:1] * at[1:]])


def _features(values: Tensor, random: Tensor) -> Tensor:
    """(N, h * w, F) features of standardised (N, C, h, w) numbers."""
    margin = WINDOW // 2
    windows = functional.unfold(functional.pad(values, (margin,) * 4, mode="replicate"), WINDOW)
    # Scaled so that the numbers weigh no more when a block has more of them.
    windows = windows / (3 * values.shape[1] ** 0.5)
    places = place(*values.shape[2:]).flatten(1).expand(len(values), -1, -1)
    inputs = torch.cat([windows, places], 1).transpose(1, 2)
    return torch.cat([torch.relu(inputs @ random), inputs, torch.ones(*inputs.shape[:2], 1)], 2)


if __name__ == "__main__":
    main()
