"""``make demo``: a synthetic street, the segmentation node, and what comes back, for depth, thermal and event cameras.

The street camera and the node are processes of their own that talk over DDS, as a camera driver and the node would on a
robot. Everything that is printed was measured in this run.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # so that the demo's own modules import as `demo.*` from any folder

from demo.pictures import write_animation, write_contact_sheet, write_film  # noqa: E402
from demo.recorder import Recorder, Recording  # noqa: E402
from madm_core.evaluation.metrics import confusion_matrix, scores  # noqa: E402
from madm_core.labels import MADM11  # noqa: E402

HEIGHT, WIDTH = 128, 256
STREET_SEED = 4242
"""A street that no model of the demo was trained on."""
WARM_UP_LABELS = 2
"""Label images left out of the latency figures: the first ones meet cold caches."""


def main() -> int:
    """Runs the demo; 0 when every modality sent label images back."""
    parser = argparse.ArgumentParser(description="Run the three-modality demo and write pictures and figures.")
    parser.add_argument("--output", type=Path, default=HERE / "out")
    parser.add_argument(
        "--models", type=Path, default=HERE / "models", help="folder with street-<modality> directories"
    )
    parser.add_argument("--seconds", type=float, default=20, help="recorded time of each modality")
    parser.add_argument(
        "--modality", nargs="+", choices=["depth", "thermal", "event"], default=["depth", "thermal", "event"]
    )
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))

    recordings: dict[str, Recording] = {}
    results = {}
    print(
        f"A synthetic street, {HEIGHT}x{WIDTH}, 4 frames a second; camera and node are processes that talk over DDS.\n"
    )
    for modality in arguments.modality:
        model = arguments.models / f"street-{modality}"
        if not model.is_dir():
            print(f"error: no model directory {model}; make it with demo/train_models.py", file=sys.stderr)
            return 2
        print(f"{modality}: model {model.name} ({_provenance(model)})", flush=True)
        recording = record(modality, model, arguments.output, arguments.seconds)
        if not recording.pictures["labels"]:
            print(
                f"error: no label image arrived for {modality}; the processes' own words are in "
                f"{arguments.output}/{modality}_*.log",
                file=sys.stderr,
            )
            return 1
        recordings[modality] = recording
        results[modality] = evaluate(recording)
        title = f"{modality}, synthetic street {STREET_SEED}: {_provenance(model)}"
        write_contact_sheet(arguments.output / f"{modality}.png", recording, MADM11, title)
        write_film(arguments.output / f"{modality}.mp4", recording, MADM11)
        print(_line(modality, results[modality]), flush=True)
    write_animation(arguments.output / "demo.gif", recordings, MADM11)
    (arguments.output / "results.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
    print(f"\nPictures, films and results.json are in {arguments.output}")
    print("Next, docs/tutorials/demo.md: record a street of your own, score a model on it, use it from Python")
    return 0


def record(modality: str, model: Path, output: Path, seconds: float) -> Recording:
    """Starts node and street as processes, records for ``seconds`` after the node is ready, and ends them."""
    topic = "/street/events" if modality == "event" else f"/street/{modality}/image_raw"
    node_options = ["--model", str(model), "--input", topic]
    if modality == "event":
        parameters = {"message_type": "sensor_msgs/msg/PointCloud2", "width": WIDTH, "height": HEIGHT}
        node_options.append("--ros-args")
        for name, value in parameters.items():
            node_options += ["-p", f"event_{name}:={value}"]
    street_options = ["--seed", str(STREET_SEED), "--rate", "4", "--size", f"{HEIGHT}x{WIDTH}", "--modality", modality]
    with Recorder() as recorder, _process(output / f"{modality}_segment.log", "segment", *node_options) as node:
        began = time.monotonic()
        while not recorder.node_is_ready.wait(0.2):
            if node.poll() is not None or time.monotonic() - began > 180:
                return recorder.recording
        print(f"  node ready after {time.monotonic() - began:.1f} s; recording {seconds:g} s ...", flush=True)
        street_log = output / f"{modality}_street.log"
        with _process(street_log, "street_world", *street_options, "--events-as", "point_cloud2"):
            recorder.truth_arrives.wait(120)
            time.sleep(seconds)
        time.sleep(1)  # the last label images are still on their way
    return recorder.recording


@contextmanager
def _process(log: Path, command: str, *options: str):
    """One of our commands as a process whose output goes to ``log``; ended with SIGINT, as by Ctrl-C."""
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", f"madm_ros.commands.{command}", *options],
            stdout=stream, stderr=subprocess.STDOUT, cwd=HERE.parent,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def evaluate(recording: Recording) -> dict[str, object]:
    """Rates, latencies and quality of one recording."""
    labels, truth = (recording.pictures[name] for name in ("labels", "truth"))
    matched = sorted(set(labels) & set(truth))
    matrix = np.zeros((len(MADM11), len(MADM11) + 1), np.int64)
    for stamp in matched:
        matrix += confusion_matrix(labels[stamp], truth[stamp], len(MADM11))
    delays = recording.delays_ms[WARM_UP_LABELS:] or recording.delays_ms or [float("nan")]
    keep = (
        "frames_received",
        "frames_published",
        "frames_dropped",
        "frames_rejected",
        "inference_ms_median",
        "total_ms_median",
        "device",
    )
    return {
        "label_images": len(recording.arrivals_s["labels"]),
        "matched_to_ground_truth": len(matched),
        "rate_hz": recording.rate,
        "delay_ms": {name: float(np.percentile(delays, q)) for name, q in (("p50", 50), ("p90", 90), ("p99", 99))},
        "quality": scores(matrix).to_dict(MADM11) if matched else None,
        "node": {key: value for key, value in recording.diagnostics.items() if key in keep},
    }


def _line(modality: str, result: dict) -> str:
    delays = result["delay_ms"]
    quality = result["quality"]
    if quality:
        score = (
            f"mIoU {100 * quality['mean_iou']:.1f} %, pixel accuracy {100 * quality['pixel_accuracy']:.1f} %, "
            f"labels on {100 * quality['predicted_share']:.1f} % of the pixels"
        )
    else:
        score = "no label image has the stamp of a ground truth"
    return (
        f"  {result['label_images']} label images at {result['rate_hz']:.1f} Hz; latency p50 {delays['p50']:.0f},"
        f" p90 {delays['p90']:.0f}, p99 {delays['p99']:.0f} ms\n"
        f"  {result['matched_to_ground_truth']} frames scored: {score}"
    )


def _provenance(model: Path) -> str:
    """What the model's own description says about how it was made."""
    provenance = json.loads((model / "madm.json").read_text(encoding="utf-8")).get("provenance", {})
    return str(provenance.get("summary", "no description"))


if __name__ == "__main__":
    sys.exit(main())
