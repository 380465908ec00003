"""A network from stored tensors, and its tensors for storing: what belongs to MADM and what to its base."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from madm_core.errors import CheckpointError
from madm_core.model.diffusion_backbone import latent_stride
from madm_core.model.lora import adapter_state, base_state, load_adapter_state
from madm_core.model.madm import MadmArchitecture, MadmNetwork
from madm_core.model.stable_diffusion import StableDiffusionBase, describe_mismatch

UNET = "backbone.unet."
VAE = "backbone.vae."
CONDITION = "condition.unconditional"
NOISE = "backbone.shared_noise.noise"


def stored_state(network: MadmNetwork) -> dict[str, Tensor]:
    """The tensors that make a network out of its base: everything trained, the text condition and the noise.

    The autoencoder is left out, and of a U-Net with an adapter everything but the adapter.
    """
    state = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith((UNET, VAE))}
    unet = network.backbone.unet
    own = unet.state_dict() if network.adapter is None else adapter_state(unet, network.adapter)
    state.update({UNET + name: tensor for name, tensor in own.items()})
    return {name: tensor.detach().to("cpu").contiguous() for name, tensor in state.items()}


def unet_state(network: MadmNetwork) -> dict[str, Tensor]:
    """The U-Net's own tensors under the names that they have without adapters."""
    state = base_state(network.backbone.unet)
    return {name: tensor.detach().to("cpu").contiguous() for name, tensor in state.items()}


def assemble_network(
    base: StableDiffusionBase, architecture: MadmArchitecture, state: Mapping[str, Tensor]
) -> MadmNetwork:
    """The network of a base and of what :func:`stored_state` gave.

    Args:
        base: Autoencoder, schedule and U-Net: already with the trained weights when ``architecture.lora`` is None, the
            pretrained ones otherwise. Its modules are used, not copied.
        architecture: Sizes of the other parts.
        state: Stored tensors. Those of the U-Net are read only when ``architecture.lora`` is given.

    Raises:
        CheckpointError: A tensor is missing, not expected, or of another shape than the architecture's.
    """
    added = {name: tensor for name, tensor in state.items() if not name.startswith((UNET, VAE))}
    if CONDITION not in added or NOISE not in added or added[NOISE].ndim != 4:
        raise CheckpointError("the stored weights are incomplete", got="no text condition or no shared noise")
    height, width = (side * latent_stride(base.vae) for side in added[NOISE].shape[-2:])
    with torch.random.fork_rng(devices=[]):  # the random weights are overwritten: loading should not move the generator
        network = MadmNetwork.from_base(base, architecture, (height, width), unconditional=added[CONDITION])
    expected = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith((UNET, VAE))}
    found = dict(added)
    adapter: dict[str, Tensor] = {}
    if network.adapter is not None:
        own = adapter_state(network.backbone.unet, network.adapter)
        adapter = {name.removeprefix(UNET): tensor for name, tensor in state.items() if name.startswith(UNET)}
        expected |= {UNET + name: tensor for name, tensor in own.items()}
        found |= {UNET + name: tensor for name, tensor in adapter.items()}
    mismatch = describe_mismatch(
        {name: tensor.shape for name, tensor in expected.items()},
        {name: tensor.shape for name, tensor in found.items()},
    )
    if mismatch:
        raise CheckpointError(
            "the stored weights do not fit the architecture",
            got=mismatch,
            expected=f"exactly its {len(expected)} tensors",
        )
    network.load_state_dict(added, strict=False)
    if network.adapter is not None:
        load_adapter_state(network.backbone.unet, network.adapter, adapter)
    return network.eval()
