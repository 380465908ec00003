"""Cost of one image through the network: arithmetic by stage, and time against the plain eager forward, in pairs.

    python benchmarks/inference.py                    # arithmetic at full size, times of the demo's model
    python benchmarks/inference.py --model models/depth --variants plain folded onnxruntime openvino
    python benchmarks/inference.py --size sd14 --device cuda --variants reference_amp bf16 bf16+reduce-overhead

Variants (the first one is what the others are compared with):

    plain          the network as it is trained, eager, in float32: what the reference does
    reference_amp  the same in float16 autocast, as the reference runs on CUDA
    folded         what a Segmenter runs, in float32; fp32, bf16 and fp16 name the precision, +MODE compiles it
    +decoder-bf16, +decoder-fp16   with the autoencoder's decoder in that precision
    onnxruntime, openvino, tensorrt   the network exported to ONNX, on the CPU, OpenVINO's CPU, or TensorRT

All variants run in turns, one image each, so that a busy machine slows all of them; ratios are medians over rounds.
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

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from madm_core.export.exporting import synthetic_images
from madm_core.export.onnx import write_onnx
from madm_core.export.onnx_runtime import OnnxProgram
from madm_core.export.program import ProgramFacts
from madm_core.model.autoencoder_options import AutoencoderOptions
from madm_core.model.compilation import CompiledNetwork
from madm_core.model.deployment import DeployedMadm, PlainForm
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.network import Deployment
from madm_core.model.precision import choose_device, device_name
from madm_core.model.stable_diffusion import StableDiffusionBase
from madm_core.model_directory import load_model_directory

DEMO_MODEL = Path(__file__).resolve().parents[1] / "demo" / "models" / "street-depth"
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
STAGES = {
    "VAE encoder": "encoder",
    "U-Net": "unet",
    "VAE decoder": "decoder",
    "projections": "projections",
    "head": "head",
}


def full_size_network(image_size: tuple[int, int], device: torch.device) -> MadmNetwork:
    """A network of Stable Diffusion 1.4's size with random weights, made on its device."""
    torch.manual_seed(0)
    with device:
        base = StableDiffusionBase("random", UNet2DConditionModel(**UNET), AutoencoderKL(**VAE), SCHEDULER)
    with torch.device("cpu"):
        made = MadmNetwork.from_base(base, MadmArchitecture(11), image_size, unconditional=torch.randn(1, 77, 768))
        return made.eval().requires_grad_(False)


def plain_stages(network: MadmNetwork, image: Tensor) -> dict[str, Callable[[], Any]]:
    """The stages of the plain forward pass in order; each works on what the ones before it left."""
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

    return dict(zip(STAGES, (encode, denoise, decode, project, head), strict=True))


def count_flops(image_size: tuple[int, int]) -> dict[str, dict[str, float]]:
    """Floating-point operations (two a multiplication with addition) by stage at full size, in units of 1e9."""
    network = full_size_network(image_size, torch.device("meta"))
    folded = DeployedMadm(network).placed(torch.device("meta"), torch.float32)
    image = torch.empty((1, 3, *image_size), device="meta")
    counted: dict[str, dict[str, float]] = {"as published": {}, "folded": {}}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        folded(image)
    by_module = counter.get_flop_counts()
    for stage, part in STAGES.items():
        counted["folded"][stage] = sum(by_module[f"DeployedMadm.{part}"].values()) / 1e9
    network = full_size_network(image_size, torch.device("meta")).to("meta")
    for stage, run in plain_stages(network, image).items():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            run()
        counted["as published"][stage] = counter.get_total_flops() / 1e9
    return counted


def make_variant(name: str, options: argparse.Namespace, folder: Path) -> Deployment:
    """One variant, ready to run; see the module's text for the names."""
    base, *changes = name.split("+")
    network, size = load_network(options)
    for change in [change for change in changes if change.startswith("decoder-")]:
        network.autoencoder_options = AutoencoderOptions(decoder_precision=change.removeprefix("decoder-"))
        changes.remove(change)
    if base in ("onnxruntime", "openvino", "tensorrt"):
        file = folder / "model.onnx"
        made_of, classes, parameters = network.deploy("cpu", "fp32"), network.classes, network.parameter_count
        if not file.exists():
            assert isinstance(made_of.run, nn.Module)
            write_onnx(made_of.run, size, made_of.device, file)
        facts = ProgramFacts(file.name, classes, parameters, "fp32", "this benchmark")
        place = {"onnxruntime": "cpu", "openvino": "openvino:CPU", "tensorrt": "tensorrt"}[base]
        return OnnxProgram(file, facts, size).deploy(place, "auto")
    if base == "plain":
        device = choose_device(options.device)
        return Deployment(PlainForm(network.to(device)), device, "fp32")
    deployment = network.deploy(options.device, "fp32" if base == "folded" else base)
    if changes:
        assert isinstance(deployment.run, nn.Module)
        compiled = CompiledNetwork(deployment.run, changes[0])  # type: ignore[arg-type]
        return Deployment(compiled, deployment.device, deployment.precision, deployment.runtime)
    return deployment


def load_network(options: argparse.Namespace) -> tuple[MadmNetwork, tuple[int, int]]:
    """The network asked for, always with the same weights, and its image size."""
    if options.size == "sd14":
        size = (options.pixels, options.pixels)
        return full_size_network(size, choose_device(options.device)), size
    model = load_model_directory(options.model)
    assert isinstance(model.network, MadmNetwork), "this benchmark takes full models"
    return model.network.merge_adapter(), model.image_size


def measure(variants: dict[str, Deployment], image: Tensor, rounds: int) -> dict[str, dict[str, Any]]:
    """Times of all variants in turns, after two images each to warm up, and how many labels agree with the first's."""
    first = next(iter(variants))
    results: dict[str, dict[str, Any]] = {}
    labels: dict[str, Tensor] = {}
    times: dict[str, list[float]] = {name: [] for name in variants}
    with torch.inference_mode():
        for name, deployment in variants.items():
            cuda = deployment.device.type == "cuda"
            seconds = timed(deployment, image)
            if cuda:
                torch.cuda.reset_peak_memory_stats(deployment.device)
            labels[name] = deployment.run(image.to(deployment.device)).argmax(dim=1).cpu()
            peak = torch.cuda.max_memory_allocated(deployment.device) / 2**30 if cuda else None
            results[name] = {"first_image_s": round(seconds, 2), "peak_memory_gib": peak, "runtime": deployment.runtime}
        for _ in range(rounds):
            for name, deployment in variants.items():
                times[name].append(timed(deployment, image))
    for name, own in times.items():
        ratios = [one / other for one, other in zip(times[first], own, strict=True)]
        quartiles = statistics.quantiles(own, n=4)
        results[name] |= {
            "median_ms": round(1e3 * statistics.median(own), 2),
            "quartiles_ms": [round(1e3 * quartiles[0], 2), round(1e3 * quartiles[2], 2)],
            "fastest_ms": round(1e3 * min(own), 2),
            "times_faster": round(statistics.median(ratios), 2),
            "same_labels": round(float((labels[name] == labels[first]).float().mean()), 5),
        }
    return results


def timed(deployment: Deployment, image: Tensor) -> float:
    """Seconds from an image in the machine's memory to its labels there."""
    start = time.perf_counter()
    deployment.run(image.to(deployment.device)).argmax(dim=1).to(torch.uint8).cpu()
    return time.perf_counter() - start


def print_flops(counted: dict[str, dict[str, float]]) -> None:
    """The table of docs/model.md."""
    before, after = counted["as published"], counted["folded"]
    print("| stage, one image | GFLOP, as published | GFLOP, folded |\n|---|---:|---:|")
    for stage in STAGES:
        print(f"| {stage} | {before[stage]:,.1f} | {after[stage]:,.1f} |")
    print(f"| **whole network** | {sum(before.values()):,.1f} | {sum(after.values()):,.1f} |")


def print_times(results: dict[str, dict[str, Any]]) -> None:
    """One row a variant."""
    print("| variant | median ms | quartiles ms | fastest ms | times faster | same labels | peak GiB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, result in results.items():
        low, high = result["quartiles_ms"]
        peak = "" if result["peak_memory_gib"] is None else f"{result['peak_memory_gib']:.2f}"
        print(
            f"| {name} | {result['median_ms']} | {low} to {high} | {result['fastest_ms']} | {result['times_faster']} "
            f"| {100 * result['same_labels']:.2f} % | {peak} |"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("model", "sd14"), default="model", help="sd14: full size, random weights")
    parser.add_argument(
        "--model", type=Path, default=DEMO_MODEL, help="model directory (default: the demo's for depth)"
    )
    parser.add_argument("--pixels", type=int, default=512, help="image side at full size (default 512)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--variants", nargs="+", default=["plain", "folded", "onnxruntime"])
    parser.add_argument("--images", type=int, default=20, help="images a variant (default 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    options = parser.parse_args(arguments)
    counted = count_flops((options.pixels, options.pixels))
    print(f"Arithmetic of a network of Stable Diffusion 1.4's size, one image of {options.pixels}x{options.pixels}:\n")
    print_flops(counted)
    with tempfile.TemporaryDirectory() as folder:
        variants = {name: make_variant(name, options, Path(folder)) for name in options.variants}
        size = load_network(options)[1] if options.size == "model" else (options.pixels, options.pixels)
        results = measure(variants, synthetic_images(size)[0], options.images)
    what = options.model if options.size == "model" else "random weights at Stable Diffusion 1.4's size"
    device = choose_device(options.device)
    print(f"\n{what}, {size[1]}x{size[0]} pixels, {options.images} rounds, {device_name(device)}:\n")
    print_times(results)
    if options.json:
        machine = {"device": device_name(device), "torch": torch.__version__, "python": platform.python_version()}
        report = {"machine": machine, "model": str(what), "gflop": counted, "variants": results}
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
