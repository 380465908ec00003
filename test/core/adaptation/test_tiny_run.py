from __future__ import annotations

from madm_core.adaptation.tiny_run import write_tiny_run
from madm_core.adaptation.training_config import TrainingConfig
from madm_core.config import load_config
from madm_core.data.checks import check_frames
from madm_core.data.sources import open_frames


def test_configuration_and_data_can_be_used(tmp_path):
    config = load_config(TrainingConfig, write_tiny_run(tmp_path, max_steps=3))
    assert (config.max_steps, config.output) == (3, tmp_path / "run")
    for section in (config.source, config.target):
        frames = open_frames(
            section, label_set=config.labels, modality=config.make_modality(), cache=tmp_path, where="data"
        )
        assert check_frames(frames, config.labels, progress=False).usable
