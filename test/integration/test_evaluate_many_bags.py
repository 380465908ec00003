"""``evaluate_bag`` on many, broken and hand-made bags, on several processes, and when it is interrupted."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from madm_core.data.bag import BagReader
from madm_core.data.bag_writer import BagWriter
from madm_core.data.message_types import stamp_fields
from madm_core.evaluation import bag_evaluation
from madm_core.evaluation.bag_jobs import BagJob, no_observers
from madm_core.evaluation.bag_request import BagRequest
from madm_core.evaluation.worker_processes import score_bags_in_processes
from madm_core.messages.image_arrays import array_to_image_fields
from madm_ros.commands import evaluate_bag


def run(tmp_path: Path, model: Path, bag: Path, *options: str) -> dict:
    assert (
        evaluate_bag.main(["--model", str(model), "--bag", str(bag), *options, "--output", str(tmp_path / "out")]) == 0
    )
    return json.loads((tmp_path / "out" / "metrics.json").read_text())


def labelled_bag(path: Path, labels: np.ndarray, label_delay_ns: int = 0) -> Path:
    with BagWriter(path) as bag:
        for index in range(2):
            stamp = 1_700_000_000_000_000_000 + index * 10**8
            depth = array_to_image_fields(np.full((16, 24), 2.0, np.float32), "32FC1")
            bag.add("/depth", "sensor_msgs/msg/Image", {"header": {"stamp": stamp_fields(stamp)}, **depth}, stamp)
            truth = {
                "header": {"stamp": stamp_fields(stamp + label_delay_ns)},
                **array_to_image_fields(labels, "mono8"),
            }
            bag.add("/labels", "sensor_msgs/msg/Image", truth, stamp)
    return path


@pytest.mark.parametrize(
    ("labels", "delay", "complaint"),
    [
        (np.zeros((16, 24), np.uint8), 1, "nothing could be scored.*--tolerance"),
        (np.zeros((8, 12), np.uint8), 0, "differ in size"),
        (np.full((16, 24), 17, np.uint8), 0, "outside the label set.*--label-map"),
    ],
)
def test_labels_that_do_not_fit_are_explained(tiny_models, tmp_path, capsys, labels, delay, complaint):
    bag = labelled_bag(tmp_path / "bag", labels, delay)
    arguments = [
        "--model",
        str(tiny_models["depth"]),
        "--bag",
        str(bag),
        "--topic",
        "/depth",
        "--label-topic",
        "/labels",
    ]
    assert evaluate_bag.main([*arguments, "--output", str(tmp_path / "out")]) == 2
    assert re.search(complaint, capsys.readouterr().err)


def test_a_model_of_another_sensor_is_told_what_the_topic_holds(tiny_models, tmp_path, capsys):
    bag = labelled_bag(tmp_path / "bag", np.zeros((16, 24), np.uint8))
    arguments = ["--model", str(tiny_models["depth"]), "--topic", "/labels", "--label-topic", "/labels"]
    assert evaluate_bag.main([str(bag), *arguments, "--output", str(tmp_path / "out")]) == 2
    complaint = (
        r"cannot be used with this model: got 2 times: .*uint8.*the bag holds /depth \(sensor_msgs/msg/Image, 2\)"
    )
    assert re.search(complaint, capsys.readouterr().err)


def test_label_map_and_tolerance(tiny_models, tmp_path):
    bag = labelled_bag(tmp_path / "bag", np.full((16, 24), 17, np.uint8), 1_000_000)
    (tmp_path / "map.yaml").write_text("17: 5\n")
    options = [
        "--topic",
        "/depth",
        "--label-topic",
        "/labels",
        "--tolerance",
        "0.002",
        "--label-map",
        str(tmp_path / "map.yaml"),
    ]
    report = run(tmp_path, tiny_models["depth"], bag, *options)
    assert report["protocols"]["native"]["classes"]["road"]["pixels"] == 2 * 16 * 24


def two_bags(folder: Path, labels: np.ndarray | None = None) -> list[str]:
    labels = np.full((16, 24), 5, np.uint8) if labels is None else labels
    return [str(labelled_bag(folder / name, labels)) for name in ("first", "second")]


TOPICS = ["--topic", "/depth", "--label-topic", "/labels"]


def test_many_bags_make_one_report_and_a_broken_one_stops_nothing(tiny_models, tmp_path, capsys):
    (tmp_path / "broken.mcap").write_bytes(b"no mcap at all")
    bags = [*two_bags(tmp_path), str(tmp_path / "broken.mcap")]
    arguments = [*bags, "--model", str(tiny_models["depth"]), *TOPICS]
    reports = {}
    for name, more in (("one", []), ("workers", ["--workers", "2"])):
        assert evaluate_bag.main([*arguments, *more, "--output", str(tmp_path / name)]) == 1
        reports[name] = json.loads((tmp_path / name / "metrics.json").read_text())
    one, many = reports["one"], reports["workers"]
    assert [bag["status"] for bag in one["bags"]] == ["scored", "scored", "failed"]
    assert "broken.mcap" in one["bags"][2]["error"] and "broken.mcap" in capsys.readouterr().out
    assert one["frames"]["scored"] == 4 and one["protocols"]["native"]["mean_iou_interval_95_over_bags"]
    for key in ("protocols", "frames", "calibration", "risk_coverage"):
        assert one[key] == many[key], "the number of processes changes nothing"
    assert "1 of 3 bags could not be scored" in (tmp_path / "workers" / "report.html").read_text()


def test_a_ray_cluster_gives_the_same_numbers(move_base, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    bags = [*two_bags(tmp_path), str(tmp_path / "missing")]
    model, base = move_base("depth")
    arguments = [*bags, "--model", str(model), "--base", str(base), *TOPICS]
    assert evaluate_bag.main([*arguments, "--output", str(tmp_path / "here")]) == 1
    assert evaluate_bag.main([*arguments, "--output", str(tmp_path / "ray"), "--ray", "local", "--workers", "2"]) == 1
    here, there = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("here", "ray"))
    for key in ("protocols", "frames", "calibration", "risk_coverage"):
        assert here[key] == there[key]
    assert [bag["status"] for bag in there["bags"]] == ["scored", "scored", "failed"]


def test_other_processes_are_told_where_the_base_is(move_base, tmp_path):
    model, base = move_base("depth")
    arguments = [*two_bags(tmp_path), "--model", str(model), "--base", str(base), *TOPICS, "--workers", "2"]
    assert evaluate_bag.main([*arguments, "--output", str(tmp_path / "out")]) == 0


def test_two_models_are_compared_on_the_same_bags(tiny_models, tmp_path, capsys):
    bags = two_bags(tmp_path)
    out = tmp_path / "out"
    models = [str(tiny_models["depth"]), str(tiny_models["depth"])]
    assert evaluate_bag.main([*bags, "--compare", *models, *TOPICS, "--output", str(out)]) == 0
    written = json.loads((out / "comparison.json").read_text())
    assert written["frames"] == {"common": 4, "only_first": 0, "only_second": 0}
    assert written["protocols"]["native"]["difference"]["interval_95"] == [0, 0]
    assert (out / "a" / "report.html").exists() and (out / "b" / "metrics.json").exists()
    assert "no difference can be told" in capsys.readouterr().out
    assert evaluate_bag.main(["--compare", str(out / "a"), str(out / "b"), "--output", str(tmp_path / "again")]) == 0
    assert json.loads((tmp_path / "again" / "comparison.json").read_text())["protocols"] == written["protocols"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_evaluation_keeps_what_it_has(tiny_models, tmp_path, capsys, monkeypatch, number):
    bags = two_bags(tmp_path)
    segment = bag_evaluation.segment_frame

    def interrupted(*arguments):
        os.kill(os.getpid(), number)
        return segment(*arguments)

    monkeypatch.setattr(bag_evaluation, "segment_frame", interrupted)
    arguments = [*bags, "--model", str(tiny_models["depth"]), *TOPICS, "--output", str(tmp_path / "out")]
    assert evaluate_bag.main(arguments) == 130
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert report["interrupted"] and report["frames"]["scored"] == 1
    assert [bag["status"] for bag in report["bags"]] == ["interrupted", "not begun"]
    assert "interrupted after 1 frames" in (tmp_path / "out" / "report.html").read_text()
    assert "INTERRUPTED after 1 frames" in capsys.readouterr().out


def test_a_worker_that_dies_costs_its_bag_only(tiny_models, tmp_path):
    jobs = [BagJob(path) for path in two_bags(tmp_path)]
    # The worker waits at a label that never comes, until it is killed as by a system without memory.
    label = tmp_path / "labels" / "1700000000000000000.png"
    label.parent.mkdir()
    os.mkfifo(label)

    def kill_at_the_label() -> bool:
        with contextlib.suppress(OSError):  # nobody reads yet
            if label.is_fifo():
                writer = os.open(label, os.O_WRONLY | os.O_NONBLOCK)
                multiprocessing.active_children()[0].kill()
                os.close(writer)
                label.unlink()
                Image.fromarray(np.full((16, 24), 5, np.uint8)).save(label)
        return False

    request = BagRequest(str(tiny_models["depth"]), "/depth", label_folder=str(label.parent))
    outcomes = score_bags_in_processes(request, jobs, 1, no_observers, stop=kill_at_the_label)
    assert outcomes[0].failure is not None and "ended with code -9" in outcomes[0].failure.error
    assert outcomes[1].scores is not None and len(outcomes[1].scores.frames) == 1


def broken(kind: str, folder: Path) -> Path:
    path = folder / "bag"
    if kind == "empty":
        with BagWriter(path) as bag:
            bag.add_topic("/depth", "sensor_msgs/msg/Image")
        return path
    labelled_bag(path, np.zeros((16, 24), np.uint8))
    (storage,) = path.glob("*.mcap")
    if kind == "truncated":
        storage.write_bytes(storage.read_bytes()[:60])
    elif kind == "metadata":
        (path / "metadata.yaml").unlink()
    return path


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("empty", "holds no messages: got /depth .sensor_msgs/msg/Image, 0."),
        ("truncated", "no message can be read"),
        ("metadata", "has no metadata.yaml.*ros2 bag reindex"),
    ],
)
def test_broken_bags_are_explained(tmp_path, capsys, kind, complaint):
    arguments = [str(broken(kind, tmp_path)), "--model", "never loaded", *TOPICS, "--output", str(tmp_path / "out")]
    assert evaluate_bag.main(arguments) == 2
    assert re.search(complaint, capsys.readouterr().err) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--model", "m", "--topic", "/depth"], "--label-topic must be given"),
        (["--model", "m", *TOPICS], "no bag was named"),
        (["bag", "--model", "m", *TOPICS, "--workers", "0"], "--workers cannot be used"),
        (["a", "b", "--model", "m", *TOPICS, "--label-bag", "c"], "one for each bag"),
        (["a", "--model", "m", *TOPICS, "--protocol", "paper", "--export-predictions"], "sensor's size"),
        (["--compare", "nowhere/metrics.json", "elsewhere/metrics.json"], "no finished evaluation"),
        (["a", "--compare", "m", "n", *TOPICS, "--export-predictions"], "--compare exports no predictions"),
        (["a", "--compare", "m", "n", *TOPICS, "--rerun", "x.rrd"], "--compare writes no Rerun file"),
        (
            ["d/a", "e/a.mcap", "--model", "m", *TOPICS, "--rerun", "x.rrd"],
            "the Rerun file x_a.rrd would be overwritten",
        ),
    ],
)
def test_options_that_do_not_fit_are_explained(capsys, options, complaint):
    assert evaluate_bag.main(options) == 2
    assert complaint in capsys.readouterr().err


def test_labels_may_lie_in_a_bag_of_their_own_and_storage_does_not_matter(tiny_models, tmp_path):
    whole = labelled_bag(tmp_path / "whole", np.full((16, 24), 5, np.uint8))
    parts = {"/depth": tmp_path / "depth", "/labels": tmp_path / "labels"}
    with BagReader(whole) as bag:
        for topic, path in parts.items():
            with BagWriter(path, "sqlite3", compress=True) as copy:
                for message in bag.messages([topic]):
                    copy.add(topic, message.type, message.data, message.stamp_ns)
    options = [*TOPICS, "--protocol", "paper"]
    together = run(tmp_path, tiny_models["depth"], whole, *options)
    apart = run(tmp_path, tiny_models["depth"], parts["/depth"], *options, "--label-bag", str(parts["/labels"]))
    assert together["protocols"] == apart["protocols"] and list(apart["protocols"]) == ["paper"]
    assert together["calibration"]["bins"], "the network's own size has a confidence too"
