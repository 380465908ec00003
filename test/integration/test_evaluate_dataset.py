"""``evaluate_dataset`` on a small DELIVER: one process and two give the same numbers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from madm_ros.commands import evaluate_dataset

_MEASURED = ("created", "seconds", "command", "latency_ms", "bags", "source")


@pytest.fixture(scope="module")
def deliver(tmp_path_factory) -> Path:
    """20 pictures of the test part in two sequences, with all of DELIVER's ids among their labels."""
    root = tmp_path_factory.mktemp("deliver")
    rng = np.random.default_rng(0)
    for index in range(20):
        below = Path("fog/test/MAP_1") if index < 12 else Path("sun/test/MAP_2")
        labels = np.kron(rng.integers(0, 26, (4, 6)), np.ones((8, 8))).astype(np.uint8)
        for kind, values in (("depth", labels * 9), ("semantic", labels)):
            folder = root / kind / below
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(folder / f"{index:03d}_{kind}_front.png")
    return root


def measured(output: Path) -> dict:
    metrics = json.loads((output / "metrics.json").read_text())
    # What was timed differs, and so do the bags' times.
    bags = [{**bag, "latency_ms": None} for bag in metrics["bags"]]
    return {**{key: value for key, value in metrics.items() if key not in _MEASURED}, "bags": bags}


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def test_two_processes_give_the_numbers_of_one(tiny_models, deliver, tmp_path, capsys):
    options = ["--model", str(tiny_models["depth"]), "--data", "deliver", f"root={deliver}", "--device", "cpu"]
    assert evaluate_dataset.main([*options, "--protocol", "both", "--output", str(tmp_path / "one")]) == 0
    printed = capsys.readouterr().out
    assert "paper, Cityscapes (RGB) to DELIVER (depth), protocol paper, mIoU %: not stated there" in printed
    assert "WARNING: the data set has 20 frames, the published one 1897" in printed

    # What `accelerate launch` and torchrun set for their processes; without the time that a launcher takes to start.
    command = [sys.executable, "-m", "madm_ros.commands.evaluate_dataset", *options, "--protocol", "both"]
    world = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    processes = [
        subprocess.Popen(
            [*command, "--output", str(tmp_path / "two")],
            env={**os.environ, "OMP_NUM_THREADS": "1", **world, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in ("0", "1")
    ]  # fmt: skip
    ended = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    assert sum("written: " in output for output, _ in ended) == 1, "only one process reports"

    one, two = measured(tmp_path / "one"), measured(tmp_path / "two")
    assert json.loads((tmp_path / "two/metrics.json").read_text())["source"]["processes"] == 2
    for key, value in one.items():
        assert two[key] == value, key
    assert one["frames"]["scored"] == 20 and [bag["frames"]["scored"] for bag in one["bags"]] == [12, 8]
    assert one["sections"]["published"]["frames_published"] == 1897
    assert sum(map(sum, one["protocols"]["paper"]["confusion_matrix"])) > 0


def test_the_base_of_a_model_may_be_named(move_base, deliver, tmp_path, capsys):
    model, base = move_base("depth")
    options = ["--model", str(model), "--data", "deliver", f"root={deliver}", "--device", "cpu", "--protocol", "native"]
    assert evaluate_dataset.main([*options, "--output", str(tmp_path / "out")]) == 2
    assert "option --base" in capsys.readouterr().err
    assert evaluate_dataset.main([*options, "--base", str(base), "--output", str(tmp_path / "out")]) == 0


HELD = """
import os, sys, time
from pathlib import Path

from madm_ros import dataset_scoring
from madm_ros.commands import evaluate_dataset

score_blocks = dataset_scoring.score_blocks


def held(*arguments, stop, **options):
    asked = 0

    def stop_held():
        # After five frames each process waits for the interruption that the test sends when all have come so far.
        nonlocal asked
        asked += 1
        if asked == 6:
            Path(f"reached_{os.environ['RANK']}").write_text(str(os.getpid()))
            while not stop():
                time.sleep(0.02)
        return stop()

    return score_blocks(*arguments, stop=stop_held, **options)


dataset_scoring.score_blocks = held
sys.exit(evaluate_dataset.main())
"""


@pytest.mark.timeout(600)
def test_ctrl_c_of_two_processes_keeps_what_both_have(tiny_models, deliver, tmp_path):
    script, log = tmp_path / "held.py", tmp_path / "log"
    script.write_text(HELD)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--main_process_port", free_port()]
    command = [*launch, str(script), "--model", str(tiny_models["depth"]), "--device", "cpu", "--output", "out"]
    with log.open("wb") as output:
        launcher = subprocess.Popen(
            [*command, "--data", "deliver", f"root={deliver}"],
            stdout=output, stderr=output, cwd=tmp_path, start_new_session=True,
        )  # fmt: skip
    try:

        def wait_for(condition) -> None:
            end = time.monotonic() + 500
            while not condition():
                assert launcher.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.05)

        reached = [tmp_path / f"reached_{rank}" for rank in (0, 1)]
        wait_for(lambda: all(path.exists() and path.read_text() for path in reached))
        # A batch system, and some versions of torch, tell the processes too, and the launcher tells them again.
        for path in reached:
            os.kill(int(path.read_text()), signal.SIGINT)
        wait_for(lambda: log.read_text().count("finishing this frame") == 2)
        os.killpg(launcher.pid, signal.SIGINT)
        launcher.wait(timeout=90)
    finally:
        launcher.kill()
    said = log.read_text()
    assert (tmp_path / "out/metrics.json").exists(), said
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["interrupted"] and metrics["source"]["processes"] == 2
    assert [(bag["status"], bag["frames"]["scored"]) for bag in metrics["bags"]] == [("interrupted", 5)] * 2
    assert "INTERRUPTED" in said and "interrupted after 10" in (tmp_path / "out/report.html").read_text()


def test_unusable_requests_are_explained(tiny_models, tmp_path, capsys):
    model = ["--model", str(tiny_models["depth"]), "--device", "cpu", "--output", str(tmp_path / "out")]
    assert evaluate_dataset.main([*model, "--data", "dsec", f"root={tmp_path}"]) == 2
    assert "not for the data set dsec: got a depth model" in capsys.readouterr().err
    assert evaluate_dataset.main([*model, "--data", "bag", "bags=x"]) == 2
    assert "Use evaluate_bag" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
