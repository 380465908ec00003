"""``evaluate_bag`` on synthetic bags with tiny, untrained models: the numbers must be those of the predictions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from madm_core.data.bag import BagReader
from madm_core.data.crops import resize_labels
from madm_core.data.message_types import header_stamp_ns
from madm_core.evaluation.metrics import confusion_matrix, scores
from madm_core.labels import IGNORE
from madm_core.messages.image_arrays import image_to_array
from madm_core.segmenter import Segmenter
from madm_ros.commands import evaluate_bag, street_world


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("drive")
    options = ["--seed", "5", "--size", "32x48", "--rate", "10", "--duration", "0.4", "--event-steps", "2"]
    assert street_world.main([*options, "--modality", "depth", "event", "--write-bag", str(path / "bag")]) == 0
    assert street_world.main([*options, "--modality", "depth", "--write-folder", str(path / "folder")]) == 0
    return path


def run(tmp_path: Path, model: Path, bag: Path, *options: str) -> dict:
    assert (
        evaluate_bag.main(["--model", str(model), "--bag", str(bag), *options, "--output", str(tmp_path / "out")]) == 0
    )
    return json.loads((tmp_path / "out" / "metrics.json").read_text())


def at_network_size(segmenter: Segmenter, picture: np.ndarray) -> np.ndarray:
    encoded = segmenter.modality.encode(picture)
    labels = segmenter.logits(encoded).argmax(0).numpy().astype(np.uint8)
    labels[resize_labels(encoded.valid.astype(np.uint8), labels.shape) == 0] = IGNORE
    return labels


def test_scores_are_those_of_the_models_predictions(tiny_models, drive, tmp_path, capsys, monkeypatch):
    runs = []
    network = Segmenter._run
    monkeypatch.setattr(Segmenter, "_run", lambda self, images: runs.append(images.shape) or network(self, images))
    options = ["--topic", "/street/depth/image_raw", "--label-topic", "/street/labels", "--protocol", "both"]
    report = run(tmp_path, tiny_models["depth"], drive / "bag", *options)
    assert len(runs) == 1 + 4, "the warm-up, and once a frame for both protocols"
    segmenter = Segmenter.from_pretrained(tiny_models["depth"])
    pictures, labels = {}, {}
    with BagReader(drive / "bag") as bag:
        for topic, found in (("/street/depth/image_raw", pictures), ("/street/labels", labels)):
            for message in bag.messages([topic]):
                found[message.stamp_ns] = image_to_array(bag.decode(message.data, message.type))
    matrix = sum(
        confusion_matrix(segmenter.segment(segmenter.modality.encode(picture)).labels, labels[stamp], 11)
        for stamp, picture in pictures.items()
    )
    native = report["protocols"]["native"]
    np.testing.assert_array_equal(native["confusion_matrix"], matrix)
    expected = scores(matrix)
    assert native["mean_iou"] == pytest.approx(expected.mean_iou)
    assert native["mean_iou_reference"] == pytest.approx(expected.mean_iou_reference)
    assert native["predicted_share"] < 1, "the sky has no depth"
    low, high = native["mean_iou_interval_95"]
    assert low <= native["mean_iou"] <= high
    paper = report["protocols"]["paper"]
    assert paper["size"] == "64x64"
    np.testing.assert_array_equal(
        paper["confusion_matrix"],
        sum(
            confusion_matrix(at_network_size(segmenter, picture), resize_labels(labels[stamp], (64, 64)), 11)
            for stamp, picture in pictures.items()
        ),
    )
    assert report["frames"] == {
        "scored": 4, "expected": 4, "without_labels": 0, "labels_without_frame": 4, "out_of_order": 0, "unusable": {},
    }  # fmt: skip
    assert report["latency_ms"]["median"] > 0
    assert 0 <= native["boundary_iou"]["mean"] < 0.5 and set(native["boundary_iou"]) == {"mean", *native["classes"]}
    assert 0 < report["calibration"]["expected_calibration_error"] < 1
    printed = capsys.readouterr().out
    assert "traffic sign" in printed and "4 frames scored" in printed and "count as misses" in printed
    assert (
        f"written: {tmp_path}/out/report.html\n" in printed
        and f"evaluate_bag --compare {tmp_path}/out OTHER" in printed
    )


def test_labels_from_a_folder_give_the_same_scores(tiny_models, drive, tmp_path):
    topic = ["--topic", "/street/depth/image_raw"]
    from_topic = run(tmp_path, tiny_models["depth"], drive / "bag", *topic, "--label-topic", "/street/labels")
    folder = ["--label-dir", str(drive / "folder" / "labels")]
    from_folder = run(tmp_path, tiny_models["depth"], drive / "bag", *topic, *folder)
    assert from_topic["protocols"] == from_folder["protocols"]


@pytest.mark.parametrize("resize", ["keep_aspect", "sliding_window"])
def test_the_protocol_paper_squashes_whatever_the_resize_mode(tiny_models, drive, tmp_path, resize):
    def protocols(*options: str) -> dict:
        topics = ["--topic", "/street/depth/image_raw", "--label-topic", "/street/labels"]
        return run(tmp_path, tiny_models["depth"], drive / "bag", *topics, *options)["protocols"]

    squashed = protocols("--protocol", "both")
    assert protocols("--protocol", "paper", "--resize", resize) == {"paper": squashed["paper"]}
    both = protocols("--protocol", "both", "--resize", resize)
    assert both["paper"] == squashed["paper"]
    assert both["native"] == protocols("--resize", resize)["native"] != squashed["native"]


def test_the_base_of_a_model_may_be_named(tiny_models, move_base, drive, tmp_path, capsys):
    model, base = move_base("depth")
    options = ["--topic", "/street/depth/image_raw", "--label-topic", "/street/labels"]
    refused = ["--model", str(model), "--bag", str(drive / "bag"), *options, "--output", str(tmp_path / "out")]
    assert evaluate_bag.main(refused) == 2
    assert "option --base" in capsys.readouterr().err
    expected = run(tmp_path, tiny_models["depth"], drive / "bag", *options)
    assert run(tmp_path, model, drive / "bag", *options, "--base", str(base))["protocols"] == expected["protocols"]


def test_events_are_scored_at_the_labels(tiny_models, drive, tmp_path):
    options = ["--topic", "/street/events", "--label-topic", "/street/labels", "--stride", "2"]
    report = run(tmp_path, tiny_models["event"], drive / "bag", *options)
    assert report["frames"]["scored"] == 3 and report["frames"]["labels_without_frame"] == 1
    assert report["protocols"]["native"]["predicted_share"] == 1


def test_range_and_stride_select_frames(tiny_models, drive, tmp_path):
    options = ["--topic", "/street/depth/image_raw", "--label-topic", "/street/labels"]
    report = run(
        tmp_path, tiny_models["depth"], drive / "bag", *options, "--start", "0.1", "--duration", "0.25", "--stride", "2"
    )
    assert report["frames"]["scored"] == 2


@pytest.mark.parametrize(
    ("model", "options", "complaint"),
    [
        ("depth", ["--topic", "/street/depth/image", "--label-topic", "/street/labels"], "Did you mean"),
        ("depth", ["--topic", "/street/depth/image_raw", "--label-topic", "/labels"], "not in the bag"),
        ("event", ["--topic", "/street/depth/image_raw", "--label-topic", "/street/labels"], "takes event data"),
        ("depth", ["--topic", "/street/depth/image_raw", "--label-topic", "/street/labels", "--stride", "0"], "stride"),
        ("depth", ["--topic", "/street/depth/image_raw", "--label-dir", "nowhere"], "there is no folder"),
        ("depth", ["--topic", "/street/depth/image_raw", "--label-topic", "/street/events"], "wrong type"),
    ],
)
def test_unusable_requests_are_explained(tiny_models, drive, tmp_path, capsys, model, options, complaint):
    arguments = ["--model", str(tiny_models[model]), "--bag", str(drive / "bag"), *options, "--output", str(tmp_path)]
    assert evaluate_bag.main(arguments) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "metrics.json").exists()


def test_predictions_are_exported_with_exact_stamps(tiny_models, drive, tmp_path):
    topic = "/street/depth/image_raw"
    options = ["--topic", topic, "--label-topic", "/street/labels", "--export-predictions", str(tmp_path)]
    run(tmp_path, tiny_models["depth"], drive / "bag", *options)
    segmenter = Segmenter.from_pretrained(tiny_models["depth"])
    with BagReader(drive / "bag") as bag:
        recorded = {}
        for message in bag.messages([topic]):
            picture = bag.decode(message.data, message.type)
            recorded[header_stamp_ns(message.data)] = message.stamp_ns, picture.header.frame_id, image_to_array(picture)
    with BagReader(tmp_path / "bag_predictions") as bag:
        assert {name: info.count for name, info in bag.topics.items()} == {
            "/segmentation/labels": 4, "/segmentation/confidence": 4, "/segmentation/label_names": 1,
        }  # fmt: skip
        for message in bag.messages(["/segmentation/labels", "/segmentation/confidence"]):
            picture = bag.decode(message.data, message.type)
            stamp_ns, frame_id, depth = recorded[header_stamp_ns(message.data)]
            assert (message.stamp_ns, picture.header.frame_id, picture.encoding) == (stamp_ns, frame_id, "mono8")
            found = segmenter.segment(segmenter.modality.encode(depth))
            expected = found.labels if message.topic.endswith("labels") else np.rint(found.confidence * 255)
            np.testing.assert_array_equal(image_to_array(picture), expected)
    again = ["--model", str(tiny_models["depth"]), str(drive / "bag"), *options]
    assert evaluate_bag.main(again) == 2, "it overwrites nothing"


def test_it_needs_no_ros():
    work = "madm_ros.bag_scoring, madm_ros.dataset_scoring, madm_ros.street_camera"
    subprocess.run([sys.executable, "-c", f"import {work}, sys; assert 'rclpy' not in sys.modules"], check=True)
