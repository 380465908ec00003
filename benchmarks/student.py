"""Speed of students on this CPU: PyTorch, onnxruntime and OpenVINO, with one thread and two.

    python benchmarks/student.py                                     # both sizes, random weights, 256x512
    python benchmarks/student.py --model runs/distill_depth/model    # a trained one
    python benchmarks/student.py --model runs/distill_depth/model --teacher demo/models/street-depth \
        --validation data/streetworld/validation                     # and its scores beside its teacher's

Speed does not depend on the weights. The runtimes take turns, so that other work on the machine disturbs all alike.
Besides wall time the table has the processor's time for one image with one thread: it does not count the time that
other programs took.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from madm_core.export.onnx import write_onnx
from madm_core.model_directory import load_model_directory
from madm_core.student.architecture import StudentArchitecture
from madm_core.student.network import StudentNetwork

Run = Callable[[np.ndarray], np.ndarray]
THREADS = (1, 2)
SECONDS_AT_MOST = 5.0


def main() -> int:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description="Speed and scores of students.")
    parser.add_argument("--model", type=Path, help="a student's model directory; default: both sizes, random weights")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 512), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--images", type=int, default=30, help="images of each measurement")
    parser.add_argument("--teacher", type=Path, help="score the student beside this model")
    parser.add_argument("--validation", type=Path, help="StreetWorld folder to score on")
    parser.add_argument("--json", type=Path, help="write the results here")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.model is not None:
        students = {arguments.model.name: load_model_directory(arguments.model).network}
    else:
        students = {size: StudentNetwork.random(StudentArchitecture.of_size(size, 11)) for size in ("b0", "b0-half")}
    result: dict[str, Any] = {
        "benchmark": "student",
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "load_average": round(os.getloadavg()[0], 1),
        "image_size": list(arguments.size),
        "students": {
            name: speed(student, tuple(arguments.size), arguments.images) for name, student in students.items()
        },
    }
    if arguments.teacher is not None and arguments.validation is not None and arguments.model is not None:
        result["scores"] = scores(arguments.model, arguments.teacher, arguments.validation)
    print_tables(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def speed(student: Any, size: tuple[int, int], images: int) -> dict[str, Any]:
    """Times of one image in each runtime, and how far its labels agree with PyTorch's."""
    parameters = student.parameter_count
    network = copy.deepcopy(student).deploy("cpu", "fp32").run
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.rand(1, 3, *size))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "student.onnx"
        write_onnx(copy.deepcopy(network), size, torch.device("cpu"), file)
        print("exported; measuring", file=sys.stderr)
        runs = {(name, threads): make(file, network, threads) for name, make in RUNTIMES.items() for threads in THREADS}
        picture = np.random.default_rng(0).random((1, 3, *size), np.float32)
        expected = RUNTIMES["PyTorch"](file, network, 1)(picture).argmax(1)
        equal = {name: float((runs[name, 1](picture).argmax(1) == expected).mean()) for name in RUNTIMES}
        walls: dict[tuple[str, int], list[float]] = {key: [] for key in runs}
        work: dict[tuple[str, int], list[float]] = {key: [] for key in runs}
        for key, run in runs.items():
            for _ in range(2):
                run(picture)
            ends = time.perf_counter() + SECONDS_AT_MOST  # threads that spin can take seconds on a busy machine
            while len(walls[key]) < images and (time.perf_counter() < ends or len(walls[key]) < 3):
                wall, spent = time.perf_counter(), time.process_time()
                run(picture)
                work[key].append(time.process_time() - spent)
                walls[key].append(time.perf_counter() - wall)
    return {
        "parameters": parameters,
        "megabytes": parameters * 4 / 1e6,
        "gflop": counter.get_total_flops() / 1e9,
        "runtimes": [
            {
                "runtime": name,
                "threads": threads,
                "ms_median": statistics.median(walls[name, threads]) * 1e3,
                "ms_best": min(walls[name, threads]) * 1e3,
                "cpu_ms_median": statistics.median(work[name, threads]) * 1e3,
                "same_labels_as_pytorch": equal[name],
            }
            for name, threads in runs
        ],
    }


def _pytorch(file: Path, network: Any, threads: int) -> Run:
    def run(images: np.ndarray) -> np.ndarray:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return network(torch.from_numpy(images)).numpy()

    return run


def _onnxruntime(file: Path, network: Any, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def _openvino(precision: str) -> Callable[[Path, Any, int], Run]:
    def make(file: Path, network: Any, threads: int) -> Run:
        import openvino

        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
        }
        request = openvino.Core().compile_model(str(file), "CPU", settings).create_infer_request()
        return lambda images: request.infer([images])[0]

    return make


RUNTIMES: dict[str, Callable[[Path, Any, int], Run]] = {
    "PyTorch": _pytorch,
    "onnxruntime": _onnxruntime,
    "OpenVINO": _openvino("f32"),
    "OpenVINO bf16": _openvino("bf16"),
}


def scores(model: Path, teacher: Path, validation: Path) -> dict[str, float]:
    """Mean IoU of both against the ground truth, and their agreement, at the frames' resolution."""
    from madm_core.data.sources import open_frames
    from madm_core.segmenter import Segmenter
    from madm_core.student.scoring import compare

    torch.set_num_threads(1)
    first, second = (Segmenter.from_pretrained(path, device="cpu") for path in (teacher, model))
    frames = open_frames(
        {"kind": "streetworld", "root": str(validation), "sensor": first.modality.name},
        label_set=first.label_set,
        modality=first.modality,
        cache=Path("~/.cache/madm_ros").expanduser(),
        where="validation",
    )
    return compare(first, second, frames).numbers()


def print_tables(result: dict[str, Any]) -> None:
    """The results as Markdown."""
    height, width = result["image_size"]
    print(f"{result['date']}, {result['machine']}, load average {result['load_average']}, {height}x{width} pixels\n")
    print(
        "| student | parameters | MB | GFLOP | runtime | threads | ms median | best | images/s | CPU ms | same labels |"
    )
    print("|---|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|")
    for name, student in result["students"].items():
        for row in student["runtimes"]:
            print(
                f"| {name} | {student['parameters'] / 1e6:.2f} M | {student['megabytes']:.1f} | {student['gflop']:.2f} "
                f"| {row['runtime']} | {row['threads']} | {row['ms_median']:.1f} | {row['ms_best']:.1f} "
                f"| {1e3 / row['ms_median']:.0f} | {row['cpu_ms_median']:.1f} | {row['same_labels_as_pytorch']:.2%} |"
            )
    for name, value in result.get("scores", {}).items():
        print(f"{name}: {value:.4f}")


if __name__ == "__main__":
    sys.exit(main())
