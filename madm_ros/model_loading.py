"""Loading a model for the node: what the parameters ask for, said aloud while it takes time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from madm_core.errors import ConfigError, ModelDirectoryError
from madm_core.modalities import EventModality
from madm_core.palettes import in_palette
from madm_ros.node_parameters import NodeParameters
from madm_ros.parameters import overrides_of
from madm_ros.pipeline import FrameSegmenter, Model

if TYPE_CHECKING:
    from madm_core.segmenter import Segmenter

_SPEAK_EVERY_S = 5.0
_OTHER_NAMES = {"infrared": "thermal"}


def load_segmenter(parameters: NodeParameters) -> Segmenter:
    """The ``Segmenter`` that the parameters describe; see ``Segmenter.from_pretrained`` for the errors."""
    # torch takes seconds to import: not before a model is wanted.
    from madm_core.model.autoencoder_options import AutoencoderOptions
    from madm_core.segmenter import Segmenter

    return Segmenter.from_pretrained(
        parameters.model,
        device=parameters.device,
        precision=parameters.precision,
        compile_mode=parameters.compile_mode,
        resize=parameters.resize,
        allow_eager_fallback=parameters.allow_eager_fallback,
        base=parameters.base or None,
        autoencoder=AutoencoderOptions(
            parameters.decoder_precision, parameters.tiny_autoencoder, parameters.tiny_autoencoder_parts
        ),
    )


def load_model(
    parameters: NodeParameters,
    info: Callable[[str], object],
    *,
    load: Callable[[NodeParameters], FrameSegmenter] = load_segmenter,
) -> Model:
    """Load and warm up the model.

    Args:
        parameters: Where the model is and how it shall run.
        info: Writes a line to the log.
        load: Makes the segmenter.

    Raises:
        ConfigError: No model was named, or an override does not fit its modality.
        ModelDirectoryError: The model is missing, damaged, or of another modality than asked.
        MadmError: Whatever else keeps it from loading (device, dependency, base model).
    """
    if not parameters.model:
        raise ConfigError(
            "no model to load",
            got="an empty parameter 'model'",
            expected="a model directory or hub id",
            do="start with -p model:=DIR, or set the parameter and call ~/reload_model",
        )
    started = time.monotonic()
    info(f"loading model {parameters.model} (device {parameters.device}, precision {parameters.precision})")
    if parameters.compile_mode != "none":
        info(
            f"compiling it too (compile_mode {parameters.compile_mode}): minutes at the first start, then kept; "
            "'segment --build-only' does it beforehand"
        )
    with _Progress(parameters.model, info):
        segmenter = load(parameters)
        wanted = _OTHER_NAMES.get(parameters.modality, parameters.modality)
        if wanted and segmenter.modality.name != wanted:
            raise ModelDirectoryError(
                f"model {parameters.model} is of the wrong modality",
                got=segmenter.modality.name,
                expected=wanted,
                do="name another model, or leave the parameter 'modality' empty",
            )
        overrides = overrides_of(parameters.modality_overrides)
        modality = segmenter.modality.replace(overrides) if overrides else segmenter.modality
        segmenter.warm_up()
        if isinstance(modality, EventModality):
            # Its kernels need numba, whose import takes a second that other modalities need not wait for.
            from madm_core.events import warm_up

            warm_up()
        # Its colours may take a second to compute; later they are there.
        in_palette(segmenter.label_set, parameters.palette)
    load_s = time.monotonic() - started
    info(f"model ready after {load_s:.1f} s: {segmenter.description}")
    if segmenter.problem:
        info(f"but {segmenter.problem}")
    return Model(segmenter, modality, load_s, parameters.palette)


class _Progress:
    """Says every few seconds that loading goes on."""

    def __init__(self, model: str, info: Callable[[str], object]) -> None:
        self._model = model
        self._info = info
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loading-progress", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        started = time.monotonic()
        while not self._done.wait(_SPEAK_EVERY_S):
            self._info(f"still loading {self._model} ({time.monotonic() - started:.0f} s)")
