"""The embedding of the empty prompt, the only thing that MADM takes from the base's text encoder."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor

from madm_core.errors import BaseModelError
from madm_core.model.base_files import find_base

logger = logging.getLogger(__name__)


@torch.no_grad()
def encode_empty_prompt(path_or_hub_id: str | Path) -> Tensor:
    """Run the base's tokenizer and text encoder once on ``""`` (algorithm.md 2.1).

    Args:
        path_or_hub_id: A diffusers directory with ``tokenizer/`` and ``text_encoder/``, or a hub id.

    Returns:
        (1, 77, width) float32: the last hidden state after the final normalisation.

    Raises:
        BaseModelError: The tokenizer or text encoder is missing, incomplete or of another class.
    """
    directory = find_base(path_or_hub_id, ("tokenizer", "text_encoder"))
    from transformers import CLIPTextModel, CLIPTokenizer

    try:
        tokenizer = CLIPTokenizer.from_pretrained(directory / "tokenizer", local_files_only=True)
        encoder, report = CLIPTextModel.from_pretrained(
            directory / "text_encoder", output_loading_info=True, local_files_only=True
        )
    except (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        TypeError,
        SafetensorError,
        StrictDataclassError,
    ) as error:
        raise BaseModelError(
            f"cannot load the text encoder of {path_or_hub_id}",
            got=f"{type(error).__name__}: {error}",
            expected="a CLIP text encoder and its tokenizer",
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise BaseModelError(
            f"the text encoder of {path_or_hub_id} is incomplete",
            got=f"{len(missing)} tensors missing (e.g. {missing[0]})",
            expected="every tensor of its config.json",
            do="download the base again",
        )
    length = encoder.config.max_position_embeddings
    tokens = tokenizer("", padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    logger.info("encoded the empty prompt with the text encoder of %s", path_or_hub_id)
    embedding: Tensor = encoder.eval()(tokens).last_hidden_state.float()
    return embedding
