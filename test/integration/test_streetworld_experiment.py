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
from madm_core.evaluation.metrics import scores
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
        bench.experiment.make_streets(folder / "data" / name, seed, 3, "day", ("rgb", "depth"))
    return folder, {"pretrained": write_tiny_base(folder / "base", norm_groups=4)}


def run(bench, name, steps=4):
    setting = dataclasses.replace(bench.experiment.SMALL, image_size=(32, 64), steps=steps)
    return bench.experiment.Run(f"{name}_depth_0_{steps}", bench.table.VARIANTS[name], "depth", 0, setting)


def test_the_streets_alone_are_made_where_the_shipped_configurations_look(bench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one_frame_each = dataclasses.replace(bench.table.LARGE, frames=dict.fromkeys(bench.table.STREETS, 1))
    monkeypatch.setattr(bench.table, "LARGE", one_frame_each)
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
    bench.experiment.make_streets(target, 2, 3, "day", ("rgb", "depth"))
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

    native, every_pixel = (scores(matrix) for matrix in bench.scoring.evaluate(Perfect(), "depth", folder))
    assert every_pixel.mean_iou == 1
    assert native.iou[MADM11.names.index("sky")] == 0  # no depth camera measures the sky
    assert native.iou[MADM11.names.index("road")] > 0.9


def test_a_fixed_picture_shows_the_most_frequent_class_of_each_pixel(bench, tmp_path):
    (tmp_path / "labels").mkdir()
    for number, ids in enumerate(([5, 1], [5, 0], [6, 0])):
        cv2.imwrite(str(tmp_path / "labels" / f"{number}.png"), np.array([ids], np.uint8))
    assert bench.scoring.FixedPicture(tmp_path).segment(None).labels.tolist() == [[5, 0]]


def test_categories_merge_classes_that_look_alike(bench):
    matrix = np.zeros((11, 12), np.int64)
    ids = {name: index for index, name in enumerate(MADM11.names)}
    matrix[ids["wall"], ids["fence"]] = 30  # truth wall, predicted fence: the same category
    matrix[ids["traffic sign"], ids["pole"]] = 10
    matrix[ids["pole"], ids["sky"]] = 10
    matrix[ids["road"], ids["road"]] = 40
    matrix[ids["road"], -1] = 10  # no label: a miss
    found = dict(zip(bench.scoring.CATEGORIES, scores(bench.scoring.merged(matrix)).iou, strict=True))
    assert found["building"] == 1
    assert found["post"] == 0.5
    assert found["road"] == 0.8
    assert bench.scoring.summary(matrix)["categories"] == pytest.approx(100 * (1 + 0.5 + 0.8) / 3, abs=0.01)
    assert sorted(name for names in bench.scoring.CATEGORIES.values() for name in names) == sorted(MADM11.names)


def test_streets_of_another_weather_are_made_anew(bench, tmp_path):
    folder = bench.experiment.make_streets(tmp_path / "streets", 1, 1, "day", ("rgb",))
    picture = next((folder / "rgb").iterdir())
    before = picture.read_bytes()
    picture.touch()
    stamp = picture.stat().st_mtime_ns
    bench.experiment.make_streets(folder, 1, 1, "day", ("rgb",))
    assert picture.stat().st_mtime_ns == stamp
    bench.experiment.make_streets(folder, 1, 1, "night", ("rgb",))
    assert picture.read_bytes() != before
    assert json.loads((folder / "streetworld.json").read_text())["conditions"] == "night"


def line(seed, value, variant="madm", steps=300):
    """A line of a results file: a run on depth with the same IoU of all classes."""
    scores = {"mean_iou": value, "pixel_accuracy": 0.0, "categories": 2 * value,
              "iou": dict.fromkeys(MADM11.names, value)}  # fmt: skip
    return {"run": f"{variant}_depth_{seed}_{steps}", "variant": variant, "modality": "depth", "seed": seed,
            "native": scores, "every_pixel": {**scores, "mean_iou": 30.0}, "cpu_seconds": 300.0}  # fmt: skip


def test_the_table_says_what_was_not_run(bench):
    text = bench.table.table([line(0, 20.0), line(1, 23.0)], 300)
    assert "| MADM, `recipe: madm` | - | 21.5 ± 1.5 | 30.0 ± 0.0 | not run | not run | 0, 1 | 300 | 300 |" in text
    assert "| MADM, `recipe: madm` | - | 43.0 ± 3.0 |" in text
    assert "| MADM, `recipe: madm` | depth | 21.5 ± 1.5 |" in text
    assert "; self-training; self-training + appearance augmentation; " in text.splitlines()[-1]
    assert "`recipe: madm`;" not in text.splitlines()[-1]
    assert "21.5" not in bench.table.table([line(0, 20.0), line(1, 23.0)], 100)
    assert "right pseudo-labels" not in text


def test_the_table_has_the_share_of_right_pseudo_labels(bench):
    curves = [[{"accuracy": share}, {"accuracy": 0.5}] for share in (0.5, 0.7)]
    lines = [{**line(seed, 20.0), "curve": curve} for seed, curve in enumerate(curves)]
    text = bench.table.table([*lines, line(0, 10.0, "source-only")], 300)
    block = next(part for part in text.split("\n\n") if "right pseudo-labels" in part)
    assert "| MADM, `recipe: madm` | 55.0 ± 5.0 | not run | not run |" in block
    assert "source only" not in block


@pytest.mark.parametrize(("setting", "steps"), [("small", 400), ("large", 1000)])
def test_a_setting_has_lines_of_its_own_and_they_go_into_a_page(bench, tmp_path, monkeypatch, capsys, setting, steps):
    lines = [line(0, 20.0, "madm-long", steps), line(0, 70.0, "madm-long", steps + 1)]
    own = dataclasses.replace(bench.table.SETTINGS[setting], results=tmp_path / "results.jsonl")
    monkeypatch.setitem(bench.table.SETTINGS, setting, own)
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in lines))
    page = tmp_path / "page.md"
    page.write_text(f"before\n{bench.table.MARK}\nold\n{bench.table.MARK}\nafter\n")
    monkeypatch.setattr("sys.argv", ["streetworld.py", "--print", "--setting", setting, "--page", str(page)])
    bench.table.main()
    printed = capsys.readouterr().out
    assert f"| 20.0 | 30.0 | not run | not run | 0 | {round(2.5 * steps)} | 300 |" in printed
    assert "70.0" not in printed
    assert page.read_text() == f"before\n{bench.table.MARK}\n{printed}{bench.table.MARK}\nafter\n"
