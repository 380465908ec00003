"""Whether a model directory is whole and what it is."""

from __future__ import annotations

from madm_core.errors import MadmError
from madm_ros.doctor.findings import Finding


def check_model(path_or_hub_id: str, base: str | None = None) -> list[Finding]:
    """Loads the model, which verifies every checksum. A full-size one takes tens of seconds.

    Networks are loaded on the CPU, where a node that runs does not take the memory from it. A program chooses its own
    device: a TensorRT engine has no other than the GPU.

    Args:
        path_or_hub_id: The model.
        base: Where its base is, if it is not where the model says.
    """
    from madm_core.model_directory import find_model_directory, holds_program
    from madm_core.segmenter import Segmenter

    try:
        device = "auto" if holds_program(find_model_directory(path_or_hub_id)) else "cpu"
        segmenter = Segmenter.from_pretrained(path_or_hub_id, device=device, base=base)
    except MadmError as error:
        return [Finding("model", "error", f"{error.what}: {error.got}" if error.got else error.what, error.do or "")]
    names = ", ".join(segmenter.label_set.names)
    modality = segmenter.modality.to_dict()
    return [
        Finding("model", "ok", segmenter.description),
        Finding("modality", "ok", ", ".join(f"{key} {value}" for key, value in modality.items())),
        Finding("classes", "ok", f"{len(segmenter.label_set)}: {names}"),
    ]
