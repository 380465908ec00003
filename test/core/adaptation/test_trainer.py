from __future__ import annotations

import json
import logging
import os
import signal

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

from madm_core.adaptation.checkpoint import list_checkpoints
from madm_core.adaptation.trainer import Trainer
from madm_core.data.input_measurement import measure_frames
from madm_core.errors import CheckpointError, ConfigError, DataError, InvalidInputError, MadmError
from madm_core.model_directory import load_model_directory

pytestmark = pytest.mark.usefixtures("fresh_engine")


def final_weights(config):
    return load_file(list_checkpoints(config.output / "checkpoints")[-1] / "weights.safetensors")


def assert_equal(first, second):
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different, different


def lines(config):
    return [json.loads(line) for line in (config.output / "metrics.jsonl").read_text().splitlines()]


def interrupt_after(trainer, step, number=signal.SIGTERM):
    run = trainer.runner.run

    def run_and_interrupt(index, samples):
        if index + 1 == step:
            os.kill(os.getpid(), number)
        return run(index, samples)

    trainer.runner.run = run_and_interrupt


@pytest.fixture
def validation(tiny_data):
    """The section ``validation``."""
    return {"kind": "folder", "images": tiny_data / "target/images", "labels": tiny_data / "target/labels"}


@pytest.fixture(scope="module")
def uninterrupted(make_tiny_config, tmp_path_factory):
    """The weights that a run of five steps ends with."""
    config = make_tiny_config(tmp_path_factory.mktemp("uninterrupted"))
    Trainer(config, progress=False).run()
    return final_weights(config)


def test_a_whole_run(tiny_config, validation, uninterrupted):
    config = tiny_config(validation=validation, validate_every=2, preview_every=5)
    trainer = Trainer(config, progress=False)
    result = trainer.run()
    assert result.finished
    assert result.step == 5
    # Looking at the run (validation, previews) does not change it.
    assert_equal(final_weights(config), uninterrupted)
    assert [line["step"] for line in lines(config)] == [1, 2, 3, 4, 5]
    for line in lines(config):
        assert {"source_loss", "target_loss", "source_regression_loss", "target_regression_loss", "q"} <= set(line)
        assert line["loss"] == pytest.approx(sum(value for name, value in line.items() if name.endswith("_loss")))
    assert 0 <= lines(config)[1]["mean_iou"] <= 1
    assert "iou/road" in lines(config)[1]
    assert list((config.output / "tensorboard").iterdir())
    assert [path.name for path in (config.output / "previews").iterdir()] == ["step_000005.png"]
    assert not list(config.output.rglob(".*unfinished*"))
    best = json.loads((list_checkpoints(config.output / "checkpoints")[-1] / "state.json").read_text())["counters"]
    kept = {path.name for path in list_checkpoints(config.output / "checkpoints")}
    assert kept >= {"step_000005", "step_000004", f"step_{best['best_step']:06d}"}
    assert len(kept) <= 3

    loaded = load_model_directory(result.model)
    assert loaded.image_size == (64, 64)
    assert loaded.description["provenance"]["recipe"] == "madm"
    assert loaded.input_statistics == measure_frames(trainer.samples.target)
    assert torch.equal(loaded.network.head.classifier.weight, uninterrupted["student.head.classifier.weight"])


def test_killed_and_resumed_gives_the_same_bits(tiny_config, uninterrupted):
    config = tiny_config()
    trainer = Trainer(config, progress=False)
    run = trainer.runner.run

    def die(index, samples):
        if index == 3:
            raise RuntimeError("killed")
        return run(index, samples)

    trainer.runner.run = die
    with pytest.raises(RuntimeError, match="killed"):
        trainer.run()
    resumed = Trainer(config, resume=True, progress=False)
    assert resumed.step == 2
    assert resumed.run().finished
    assert_equal(final_weights(config), uninterrupted)
    assert [line["step"] for line in lines(config)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_saves_and_tells_how_to_go_on(tiny_config, uninterrupted, caplog, number):
    config = tiny_config()
    before = signal.getsignal(number)
    trainer = Trainer(config, progress=False)
    interrupt_after(trainer, 3, number)
    result = trainer.run()
    assert (result.step, result.finished) == (3, False)
    assert f"train_adapt --config {config.output}/config.yaml --resume" in caplog.text
    assert signal.getsignal(number) == before
    resumed = Trainer(config, resume=True, progress=False)
    assert resumed.step == 3
    resumed.run()
    assert_equal(final_weights(config), uninterrupted)


def test_ctrl_c_that_a_launcher_repeats_saves_all_the_same(tiny_config):
    trainer = Trainer(tiny_config(), progress=False)
    trainer.launched = True
    interrupt_after(trainer, 2, signal.SIGINT)
    save = trainer.state.save

    def interrupted_save(*arguments, **named):
        os.kill(os.getpid(), signal.SIGINT)
        save(*arguments, **named)

    trainer.state.save = interrupted_save
    assert trainer.run().step == 2
    assert Trainer(tiny_config(), resume=True, progress=False).step == 2


def test_a_signal_to_the_whole_group_leaves_the_data_workers_alive(tiny_config, uninterrupted):
    """A terminal's Ctrl-C reaches every process of the training, as do the signals of batch systems.

    The resumed run loads its data in the training process and still ends with the same bits: who makes a sample does
    not matter.
    """
    engine = {"device": "cpu", "gradient_checkpointing": False}
    config = tiny_config(engine={**engine, "workers": 1})
    trainer = Trainer(config, progress=False)
    run = trainer.runner.run

    def run_and_interrupt(index, samples):
        if index == 1:
            children = psutil.Process().children(recursive=True)
            assert len(children) >= 2  # the fork server and its worker
            for child in children:
                child.send_signal(signal.SIGINT)
                child.send_signal(signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            # Not until the worker had every chance to die of it are the next samples asked for.
            psutil.wait_procs(children, timeout=0.5)
        return run(index, samples)

    trainer.runner.run = run_and_interrupt
    result = trainer.run()
    assert (result.step, result.finished) == (2, False)
    Trainer(tiny_config(engine={**engine, "workers": 0}), resume=True, progress=False).run()
    assert_equal(final_weights(config), uninterrupted)


def test_a_damaged_newest_checkpoint_is_passed_over(tiny_config, uninterrupted, caplog):
    config = tiny_config()
    trainer = Trainer(config, progress=False)
    interrupt_after(trainer, 4)
    trainer.run()
    newest = config.output / "checkpoints/step_000004/weights.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    resumed = Trainer(config, resume=True, progress=False)
    assert resumed.step == 2
    assert "step_000004 is damaged" in caplog.text
    assert "falling back" in caplog.text
    resumed.run()
    assert_equal(final_weights(config), uninterrupted)


def test_a_failed_validation_is_told_and_the_training_goes_on(
    tiny_config, validation, uninterrupted, caplog, monkeypatch
):
    failures = {
        2: DataError("no frame could be scored"),
        4: InvalidInputError("labels hold ids outside the label set", reason="ids"),
        5: torch.OutOfMemoryError("CUDA out of memory"),
    }
    remaining, freed = list(failures.values()), []

    def fail(picture, size):
        raise remaining.pop(0)

    monkeypatch.setattr("madm_core.adaptation.validation.resize_image", fail)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(True))
    config = tiny_config(validation=validation, validate_every=2)
    assert Trainer(config, progress=False).run().finished
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [
        f"the validation after step {step} failed; the training goes on without this score: {failure}"
        for step, failure in failures.items()
    ]
    assert len(freed) == 3
    assert not any("mean_iou" in line for line in lines(config))
    assert_equal(final_weights(config), uninterrupted)


def test_a_mistake_of_ours_in_a_validation_ends_the_run(tiny_config, validation, monkeypatch):
    monkeypatch.setattr("madm_core.adaptation.validation.resize_image", None)
    with pytest.raises(TypeError):
        Trainer(tiny_config(validation=validation, validate_every=1), progress=False).run()


def test_a_process_that_has_failed_does_not_wait_for_the_others(tiny_config, tmp_path):
    """They wait for it, elsewhere: none would ever end."""

    def started(name):
        trainer = Trainer(tiny_config(max_steps=1, checkpoint_every=0, output=tmp_path / name), progress=False)
        trainer.accelerator.wait_for_everyone = lambda: waited.append(name)
        return trainer

    def die(index, samples):
        raise RuntimeError("killed")

    waited = []
    assert started("finished").run().finished
    interrupted = started("interrupted")
    interrupt_after(interrupted, 1)
    assert not interrupted.run().finished
    failed = started("failed")
    failed.runner.run = die
    with pytest.raises(RuntimeError, match="killed"):
        failed.run()
    # For the checkpoint, and at the end.
    assert waited == ["finished", "finished", "interrupted", "interrupted"]


def poison(trainer, steps):
    """Makes the loss of some steps NaN, as a broken input would, after the forward pass has spoilt the statistics."""
    forward = trainer.model._source_branch

    def poisoned(batch):
        result = forward(batch)
        if trainer.step in steps:
            trainer.model.student.head.fusion.norm.running_mean.data.fill_(float("nan"))
            result.losses["source_loss"] = result.losses["source_loss"] * float("nan")
        return result

    trainer.model._source_branch = poisoned


def test_a_step_that_is_not_finite_is_skipped_and_its_batch_kept(tiny_config):
    config = tiny_config(max_steps=3, checkpoint_every=1)
    trainer = Trainer(config, progress=False)
    poison(trainer, {1})
    trainer.run()
    first, second = (load_file(config.output / f"checkpoints/step_00000{step}/weights.safetensors") for step in (2, 3))
    assert all(torch.isfinite(tensor).all() for tensor in (*first.values(), *second.values()))
    assert lines(config)[-1]["skipped_steps"] == 1
    assert lines(config)[1]["loss"] is None
    kept = load_file(config.output / "bad_batches/step_000002_process_0.safetensors")
    assert kept["source_image"].shape == (2, 3, 64, 64)


def test_ten_bad_steps_in_a_row_stop_the_run(tiny_config):
    config = tiny_config(max_steps=15, method={"target_loss_weight": 0.0, "rare_class_sampling": False})
    trainer = Trainer(config, progress=False)
    poison(trainer, set(range(3, 15)))
    with pytest.raises(MadmError, match="10 steps in a row.*[Ll]ower the learning rates"):
        trainer.run()
    assert trainer.step == 13
    assert len(list((config.output / "bad_batches").glob("*.safetensors"))) == 10


def test_an_existing_run_is_not_overwritten(tiny_config):
    config = tiny_config(max_steps=1)
    Trainer(config, progress=False)
    with pytest.raises(ConfigError, match="a run in .* already.*--resume"):
        Trainer(config, progress=False)


def test_a_changed_configuration_is_refused_unless_allowed(tiny_config, caplog):
    trainer = Trainer(tiny_config(), progress=False)
    interrupt_after(trainer, 1)
    trainer.run()
    changed = tiny_config(seed=7, log_every=3)
    with pytest.raises(ConfigError, match="seed: 42 -> 7.*--allow-config-change") as error:
        Trainer(changed, resume=True, progress=False)
    assert "log_every" not in str(error.value)
    resumed = Trainer(changed, resume=True, allow_config_change=True, progress=False)
    assert resumed.step == 1
    assert "seed: 42 -> 7" in caplog.text


def test_resume_without_a_run_or_a_checkpoint(tiny_config, caplog):
    config = tiny_config(max_steps=1, checkpoint_every=0)
    with pytest.raises(ConfigError, match="no run in .* to resume"):
        Trainer(config, resume=True, progress=False)
    Trainer(config, progress=False)
    assert Trainer(config, resume=True, progress=False).step == 0
    assert "starting from the beginning" in caplog.text


def test_another_architecture_does_not_load(tiny_config):
    trainer = Trainer(tiny_config(), progress=False)
    interrupt_after(trainer, 1)
    trainer.run()
    other = {"method": {"rare_class_min_pixels": 10, "ema_unet": True}}
    with pytest.raises(CheckpointError, match="another network"):
        Trainer(tiny_config(**other), resume=True, allow_config_change=True, progress=False)


def test_a_full_disk_while_saving_keeps_the_older_checkpoint(tiny_config, monkeypatch):
    config = tiny_config(max_steps=4, checkpoint_every=1)
    trainer = Trainer(config, progress=False)
    from madm_core.adaptation import checkpoint

    save_file, calls = checkpoint.save_file, []

    def full(tensors, path):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        save_file(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(CheckpointError, match="cannot write.*No space left.*[Ff]ree some space"):
        trainer.run()
    names = sorted(path.name for path in (config.output / "checkpoints").iterdir())
    assert names == ["step_000001", "step_000002"]
    monkeypatch.undo()
    assert Trainer(config, resume=True, progress=False).step == 2


def test_an_unreadable_file_is_replaced_by_another(tiny_config, tiny_data, tmp_path, caplog):
    frames = tmp_path / "frames"
    frames.mkdir()
    for path in (tiny_data / "target/images").iterdir():
        (frames / path.name).write_bytes(path.read_bytes())
    (frames / "2.png").write_bytes(b"not a picture")
    config = tiny_config(max_steps=3, target={"kind": "folder", "images": frames})
    assert Trainer(config, progress=False).run().finished
    assert "is replaced by another: cannot read" in caplog.text


def test_nothing_but_unreadable_files_ends_the_run(tiny_config, tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    (frames / "0.png").write_bytes(b"not a picture")
    trainer = Trainer(tiny_config(target={"kind": "folder", "images": frames}), progress=False)
    with pytest.raises(DataError, match="too many unusable frames.*check_data"):
        trainer.run()


def test_source_only_steps_come_first(tiny_config):
    config = tiny_config(
        method={
            "source_only_fraction": 0.5,
            "noise_end_fraction": 1.0,
            "rare_class_sampling": False,
            "target_regression_weight": 0.0,
        },
        max_steps=4,
    )
    Trainer(config, progress=False).run()
    assert ["target_loss" in line for line in lines(config)] == [False, False, True, True]
    assert all("target_regression_loss" not in line for line in lines(config))


def test_memory_savings_do_not_change_what_is_learnt(tiny_config, tmp_path):
    """Backward per branch, checkpointing, accumulated batches: the same gradients, up to rounding."""
    losses = []
    for name, engine in (
        ("plain", {"backward_per_branch": False, "gradient_checkpointing": False}),
        ("frugal", {"backward_per_branch": True, "gradient_checkpointing": True}),
    ):
        config = tiny_config(
            output=tmp_path / name, max_steps=2, engine={"device": "cpu", "workers": 0, **engine}, recipe="reference"
        )
        Trainer(config, progress=False).run()
        losses.append([line["loss"] for line in lines(config)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


@pytest.mark.parametrize("engine", [{"mixed_precision": "bf16"}, {"channels_last": True}])
def test_other_number_formats_and_memory_layouts_run(tiny_config, validation, engine):
    engine = {"device": "cpu", "workers": 0, **engine}
    config = tiny_config(max_steps=2, validation=validation, validate_every=2, validation_frames=1, engine=engine)
    result = Trainer(config, progress=False).run()
    assert all(np.isfinite(line["loss"]) for line in lines(config))
    assert 0 <= lines(config)[-1]["mean_iou"] <= 1
    assert load_model_directory(result.model).network.backbone.vae.dtype == torch.float32


def test_accumulated_batches_make_one_step(tiny_config):
    config = tiny_config(max_steps=2, batch_size=1, engine={"device": "cpu", "workers": 0, "accumulate": 2})
    Trainer(config, progress=False).run()
    assert [line["step"] for line in lines(config)] == [1, 2]


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"mixed_precision": "fp16"}, "fp16 needs CUDA"),
        ({"sync_batch_norm": True}, "needs CUDA"),
        ({"mixed_precision": "bf16", "channels_last": True}, "channels_last with mixed_precision bf16 needs CUDA"),
        ({"optimizer": "adamw8bit"}, "adamw8bit cannot be used.*expected a CUDA device"),
    ],
)
def test_what_a_cpu_cannot_do_is_said(tiny_config, engine, message):
    with pytest.raises(ConfigError, match=message):
        Trainer(tiny_config(engine={"device": "cpu", **engine}), progress=False)
