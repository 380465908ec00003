"""The StreetWorld experiments' own machinery, on a world and a network that are much too small to learn."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from safetensors.torch import load_file

from madm_core.data.sources import open_frames
from madm_core.labels import MADM11
from madm_core.modalities import modality_named
from madm_core.model.tiny_base import write_tiny_base

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bench():
    """The scripts as modules, at a quarter of their picture size."""
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(ROOT))
    from benchmarks import streetworld, streetworld_experiment, streetworld_scoring

    patch.setattr(streetworld_experiment, "FRAME_SIZE", (64, 128))
    patch.setattr(streetworld_experiment, "IMAGE_SIZE", (32, 64))
    patch.setitem(streetworld_experiment.SMALL_SCALE, "rare_class_min_pixels", 1)

    class Modules:
        table = streetworld
        experiment = streetworld_experiment
        scoring = streetworld_scoring

    yield Modules
    patch.undo()


@pytest.fixture(scope="module")
def place(bench, tmp_path_factory):
    """A folder with streets, and a base."""
    folder = tmp_path_factory.mktemp("streetworld")
    for name, seed in (("source", 1), ("target", 2)):
        bench.experiment.make_streets(folder / "data" / name, seed, 3, ("rgb", "depth"))
    return folder, {"pretrained": write_tiny_base(folder / "base", norm_groups=4)}


def run(bench, name, steps=4):
    return bench.experiment.Run(f"{name}_depth_0_{steps}", bench.table.VARIANTS[name], "depth", 0, steps)


def test_the_streets_alone_are_made_where_the_shipped_configurations_look(bench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench.table, "STREETS", dict.fromkeys(bench.table.STREETS, (1, 1)))
    monkeypatch.setattr("sys.argv", ["streetworld.py", "--data-only"])
    bench.table.main()
    files = [*ROOT.glob("config/train/streetworld_*.yaml"), *ROOT.glob("config/train/distill_streetworld_*.yaml")]
    sections = [
        section
        for file in files
        for section in yaml.safe_load(file.read_text()).values()
        if isinstance(section, dict) and section.get("kind") == "streetworld"
    ]
    assert len(sections) == 11
    for section in sections:
        modality = None if section["sensor"] == "rgb" else modality_named(section["sensor"], {})
        frames = open_frames(section, label_set=MADM11, modality=modality, where="", cache=tmp_path, progress=False)
        assert len(frames) == 1


def test_a_shared_warm_up_changes_no_bit(bench, place):
    work, bases = place
    first, measured = bench.experiment.train(run(bench, "regression-only"), work, bases)
    assert len(list((work / "warm_ups").iterdir())) == 1
    shared, _ = bench.experiment.train(run(bench, "madm"), work, bases)
    log = (shared.parent / "metrics.jsonl").read_text()
    assert '"step": 2,' not in log  # the warm-up was taken over
    for folder in (work / "warm_ups", shared.parent):
        folder.rename(folder.with_name(folder.name + "_before"))
    alone, _ = bench.experiment.train(run(bench, "madm"), work, bases)
    before = load_file(shared.parent.with_name(shared.parent.name + "_before") / "model" / "model.safetensors")
    after = load_file(alone / "model.safetensors")
    assert all((before[name] == after[name]).all() for name in after)
    other = load_file(first / "model.safetensors")
    assert measured["steps"] == 4
    assert measured["cpu_seconds"] > 0
    assert set(other) == set(after)


def test_a_finished_run_is_not_trained_again(bench, place):
    work, bases = place
    model, measured = bench.experiment.train(run(bench, "regression-only"), work, bases)
    assert json.loads((model.parent / "measured.json").read_text()) == measured


def test_warm_ups_are_shared_only_where_they_are_the_same(bench, place):
    work, bases = place

    def key(name, seed=0):
        chosen = dataclasses.replace(run(bench, name), seed=seed)
        return bench.experiment.warm_up_key(bench.experiment.configuration(chosen, work, bases))

    assert key("madm") == key("noise-60") == key("regression-only")
    assert key("source-appearance") == key("self-training-appearance") == key("noise-only")
    assert key("source-only") == key("self-training")
    assert len({key(name) for name in ("madm", "source-appearance", "source-only", "oracle", "reference")}) == 5
    assert key("madm") != key("madm", seed=1)
    assert key("madm") != key("madm-all-denominator")


def test_pseudo_labels_are_compared_with_the_labels_of_the_very_same_window(bench, place, tmp_path):
    work, bases = place
    target = tmp_path / "data" / "target"
    bench.experiment.make_streets(target, 2, 3, ("rgb", "depth"))
    for path in (target / "labels").glob("*.png"):  # a depth sensor that measures the class: 2 m, 4 m, 8 m ...
        ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(target / "depth" / path.name), (1500 * 1.35**ids).astype(np.uint16))
    (tmp_path / "data" / "source").symlink_to(work / "data" / "source")
    config = bench.experiment.configuration(run(bench, "madm"), tmp_path, bases)
    config = dataclasses.replace(config, target={**config.target, "resize": [64, 128]})  # no blending of classes
    trainer = bench.experiment.Trainer(config, progress=False)
    truth = bench.scoring.true_labels(trainer, config)
    seen = set()
    for number in range(8):
        picture, labels = trainer.samples[number].target_image[0], truth[number].target_image[0]
        for class_id in labels.unique():
            grey = picture[labels == class_id].unique()
            assert len(grey) == 1
            seen.add((int(class_id), int(grey)))
    assert len(seen) == len({class_id for class_id, _ in seen}) == len({grey for _, grey in seen}) > 3


def test_true_labels_are_not_blended_where_frames_are_made_smaller(bench, place, tmp_path):
    work, bases = place
    config = bench.experiment.configuration(run(bench, "madm"), work, bases)
    config = dataclasses.replace(config, output=tmp_path / "run")
    assert config.target["resize"] == [32, 64]
    truth = bench.scoring.true_labels(bench.experiment.Trainer(config, progress=False), config)
    stripes = tmp_path / "stripes.png"
    cv2.imwrite(str(stripes), np.tile(np.array([0, 8], np.uint8), (64, 64)))
    assert set(np.unique(truth.target.read_image(stripes))) <= {0, 8}
    assert truth[0].target_image.shape == (3, 32, 64)


def test_only_what_uses_pseudo_labels_is_compared(bench, place):
    config = bench.experiment.configuration(run(bench, "source-only"), *place)
    assert bench.scoring.true_labels(None, config) is None


def test_unmeasured_pixels_are_misses_of_the_native_score(bench, place):
    work, _ = place
    folder = work / "data" / "target"
    truths = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((folder / "labels").glob("*.png"))]

    class Perfect:
        def segment(self, image):
            return type("Prediction", (), {"labels": truths.pop(0)})

    native, every_pixel = bench.scoring.evaluate(Perfect(), "depth", folder)
    assert every_pixel.mean_iou == 1
    assert native.iou[MADM11.names.index("sky")] == 0  # no depth camera measures the sky
    assert native.iou[MADM11.names.index("road")] > 0.9


def test_the_table_says_what_was_not_run(bench):
    def line(seed, value):
        scores = {"mean_iou": value, "pixel_accuracy": 0.0, "iou": dict.fromkeys(MADM11.names, value)}
        return {"run": f"madm_depth_{seed}_600", "variant": "madm", "modality": "depth", "seed": seed,
                "native": scores, "every_pixel": {**scores, "mean_iou": 30.0}, "cpu_seconds": 300.0}  # fmt: skip

    text = bench.table.table([line(0, 20.0), line(1, 23.0)], 600)
    assert "| MADM, `recipe: madm` | - | 21.5 ± 1.5 | 30.0 ± 0.0 | not run | not run | 600 | 300 |" in text
    assert "| MADM, `recipe: madm` | depth | 21.5 ± 1.5 |" in text
    assert "21.5" not in bench.table.table([line(0, 20.0), line(1, 23.0)], 300)
