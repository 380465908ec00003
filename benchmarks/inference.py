"""Cost of one image through the network: arithmetic by stage, and time and memory on this machine.

    python benchmarks/inference.py                                   # arithmetic at full size, times of a tiny network
    python benchmarks/inference.py --size sd14 --device cuda --precisions reference_amp bf16 --images 50
    python benchmarks/inference.py --model models/depth --device cuda

Weights are random unless ``--model`` is given; neither time nor arithmetic depends on them. ``reference_amp`` is the
reference's way of running: float16 autocast, the plain head, eager. Times on a machine that does other things at the
same time are noisy: compare the columns of one run with each other.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from madm_core.labels import LabelSet
from madm_core.modalities import modality_named
from madm_core.model.folded_head import FoldedHead
from madm_core.model.head import SegmentationHead
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.precision import choose_device, device_name
from madm_core.model.stable_diffusion import StableDiffusionBase, load_base
from madm_core.model.tiny_base import write_tiny_base
from madm_core.model_directory import load_model_directory
from madm_core.segmenter import Segmenter

SCHEDULER = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
UNET = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
VAE = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "scaling_factor": 0.18215,
}
"""Stable Diffusion 1.4's sizes."""


def full_size_network(image_size: tuple[int, int], device: torch.device) -> MadmNetwork:
    """A network of Stable Diffusion 1.4's size with random weights, made on its device."""
    with device:
        base = StableDiffusionBase("random", UNet2DConditionModel(**UNET), AutoencoderKL(**VAE), SCHEDULER)
        architecture = MadmArchitecture(11)
    with torch.device("cpu"):
        return MadmNetwork.from_base(base, architecture, image_size, unconditional=torch.randn(1, 77, 768)).eval()


def tiny_network(image_size: tuple[int, int]) -> MadmNetwork:
    """A network of the tests' size."""
    with tempfile.TemporaryDirectory() as directory:
        base = load_base(write_tiny_base(directory))
        return MadmNetwork.from_base(base, MadmArchitecture.tiny(11), image_size).eval()


def stages(network: MadmNetwork, image: Tensor) -> dict[str, Callable[[], Any]]:
    """The stages of one forward pass in order; each works on what the ones before it left."""
    backbone, seen = network.backbone, {}
    timesteps = torch.zeros(image.shape[0], dtype=torch.long, device=image.device)

    def encode() -> None:
        seen["latents"] = backbone.shared_noise(backbone.encode(image * 2 - 1), timesteps)

    def denoise() -> None:
        seen["unet"], seen["sample"] = backbone.denoise(seen["latents"], timesteps, network.condition())

    def decode() -> None:
        seen["decoded"] = backbone.decode(seen["sample"])

    def project() -> None:
        coarse, middle, fine = seen["unet"]
        seen["features"] = network.projections((seen["decoded"], fine, middle, coarse))

    def head() -> None:
        network.head(seen["features"])

    return {"VAE encoder": encode, "U-Net": denoise, "VAE decoder": decode, "projections": project, "head": head}


def count_flops(image_size: tuple[int, int]) -> dict[str, float]:
    """Floating-point operations (two a multiplication with addition) of each stage at full size, in units of 1e9."""
    flops: dict[str, float] = {}
    network = full_size_network(image_size, torch.device("meta"))
    assert isinstance(network.head, SegmentationHead)
    plain, folded = network.head, FoldedHead(network.head.eval())
    network.to("meta")
    image = torch.empty((1, 3, *image_size), device="meta")
    for form, head in (("", plain), (", folded", folded.to("meta"))):
        network.head = head.eval()
        for name, run in stages(network, image).items():
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                run()
            if not form or name == "head":
                flops[name + form] = counter.get_total_flops() / 1e9
    return flops


def measure(segmenter: Segmenter, images: int) -> dict[str, Any]:
    """Times of whole images and of stages, and peak memory, after two images to warm up."""
    network, device = segmenter._network, segmenter.device
    image = np.random.default_rng(0).random((*segmenter.image_size, 3), np.float32)
    synchronize = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    first_s = segmenter.warm_up()
    segmenter.segment(image)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    whole = [timed(lambda: segmenter.segment(image), synchronize) for _ in range(images)]
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].to(device)
    by_stage: dict[str, list[float]] = {}
    mixed = torch.autocast(device.type, torch.float16, enabled=segmenter.precision == "reference_amp")
    with torch.inference_mode(), mixed:
        for _ in range(max(1, images // 2)):
            for name, run in stages(network, tensor).items():
                by_stage.setdefault(name, []).append(timed(run, synchronize))
    return {
        "precision": segmenter.precision,
        "first_image_s": round(first_s, 3),
        "median_ms": round(1e3 * statistics.median(whole), 2),
        "slowest_ms": round(1e3 * max(whole), 2),
        "images": images,
        "peak_memory_gib": None if peak is None else round(peak, 2),
        "stage_median_ms": {name: round(1e3 * statistics.median(times), 2) for name, times in by_stage.items()},
        "labels": segmenter.segment(image).labels,
    }


def timed(run: Callable[[], Any], synchronize: Callable[[], None]) -> float:
    """Seconds that a call takes until the device has finished."""
    synchronize()
    start = time.perf_counter()
    run()
    synchronize()
    return time.perf_counter() - start


def make_segmenter(options: argparse.Namespace, precision: str) -> Segmenter:
    """A segmenter of the model asked for, always with the same weights."""
    if options.model:
        model = load_model_directory(options.model)
        network, modality, label_set, size = model.network, model.modality, model.label_set, model.image_size
    else:
        torch.manual_seed(0)
        size = (options.pixels, options.pixels)
        device = choose_device(options.device)
        network = full_size_network(size, device) if options.size == "sd14" else tiny_network(size)
        modality, label_set = modality_named("depth"), LabelSet.named("madm11")
    return Segmenter(
        network,
        modality,
        label_set,
        size,
        device=options.device,
        precision=precision,
        compile_mode=options.compile_mode,
        name=str(options.model or f"random weights, {options.size}"),
    )


def print_flops(flops: dict[str, float]) -> None:
    """The table of docs/model.md."""
    total = sum(flops[name] for name in flops if name != "head, folded")
    after = total - flops["head"] + flops["head, folded"]
    print("| stage | GFLOP |\n|---|---:|")
    for name, value in flops.items():
        print(f"| {name} | {value:,.1f} |")
    print(f"| whole network, plain head | {total:,.1f} |\n| whole network, folded head | {after:,.1f} |")


def print_times(results: Sequence[dict[str, Any]]) -> None:
    """One column a precision."""
    print("| | " + " | ".join(result["precision"] for result in results) + " |")
    print("|---" + "|---:" * len(results) + "|")
    for key, label in (
        ("median_ms", "one image, median ms"),
        ("slowest_ms", "slowest ms"),
        ("first_image_s", "first image, s"),
        ("peak_memory_gib", "peak memory, GiB"),
        ("same_labels", "same labels as the first column"),
    ):
        print(f"| {label} | " + " | ".join(str(result[key]) for result in results) + " |")
    for name in results[0]["stage_median_ms"]:
        print(f"| {name}, ms | " + " | ".join(str(result["stage_median_ms"][name]) for result in results) + " |")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("tiny", "sd14"), default="tiny", help="network with random weights")
    parser.add_argument("--model", type=Path, help="a model directory instead")
    parser.add_argument("--pixels", type=int, default=512, help="height and width of the images (default 512)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precisions", nargs="+", default=["auto"], help="auto fp32 bf16 fp16 reference_amp")
    parser.add_argument("--compile-mode", default="none")
    parser.add_argument("--images", type=int, default=10, help="images to time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    options = parser.parse_args(arguments)
    flops = count_flops((options.pixels, options.pixels))
    print(f"Arithmetic of a network of Stable Diffusion 1.4's size, one image of {options.pixels}x{options.pixels}:")
    print_flops(flops)
    results: list[dict[str, Any]] = []
    labels: list[Any] = []
    for precision in options.precisions:
        segmenter = make_segmenter(options, precision)
        print(f"\n{segmenter.description}", flush=True)
        result = measure(segmenter, options.images)
        labels.append(result.pop("labels"))
        result["same_labels"] = round(float((labels[0] == labels[-1]).mean()), 4)
        results.append(result)
        device = segmenter.device
        del segmenter
        if device.type == "cuda":
            torch.cuda.empty_cache()
    print_times(results)
    if options.json:
        machine = {"device": device_name(device), "torch": torch.__version__, "python": platform.python_version()}
        options.json.write_text(json.dumps({"machine": machine, "gflop": flops, "runs": results}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
