"""The network computes what the reference implementation computes: every stage alone, and end to end.

Tolerance everywhere: 1e-4 of the largest magnitude, in float32 (test/data/golden/README.md).
"""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from madm_core.model.condition import Condition
from madm_core.model.madm import MadmNetwork, run_branch
from madm_core.model.noise import SharedNoise
from madm_core.model.stable_diffusion import load_base
from madm_core.reference_checkpoint import ReferenceState, to_reference_name

Arrays = Mapping[str, npt.NDArray[np.generic]]
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def student(golden_network: Callable[[int], MadmNetwork]) -> MadmNetwork:
    """The reference's student at 128 pixels."""
    return golden_network(128)


@pytest.fixture(scope="module")
def teacher(student: MadmNetwork, golden_parts: ReferenceState) -> MadmNetwork:
    """The same backbone with the reference's moving averages of condition, projections and head."""
    averaged = copy.copy(student)
    averaged._modules = dict(student._modules)
    for part in ("condition", "projections", "head"):
        setattr(averaged, part, copy.deepcopy(getattr(student, part)))
    left = averaged.load_state_dict(golden_parts.teacher, strict=False)
    assert not left.unexpected_keys
    return averaged


@pytest.fixture(scope="module")
def load(golden: Path) -> Callable[[str], Arrays]:
    def read(name: str) -> Arrays:
        with np.load(golden / name) as arrays:
            return {key: arrays[key] for key in arrays.files}

    return read


def assert_close(actual: Tensor, expected: npt.NDArray[np.generic], tolerance: float = TOLERANCE) -> None:
    """Compare within a share of the largest magnitude."""
    found = actual.detach().double().numpy()
    assert found.shape == expected.shape
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert error <= tolerance, f"off by {error:.2e} of the largest magnitude"


def assert_stats(actual: Tensor, expected: npt.NDArray[np.generic]) -> None:
    """Compare [mean, std, sum|x|, min, max] of a whole tensor, of which only a part is stored."""
    values = actual.detach().double()
    found = np.array([values.mean(), values.std(correction=0), values.abs().sum(), values.min(), values.max()])
    scale = np.array([np.abs(expected[3:]).max()] * 5)
    scale[2] = expected[2]
    assert (np.abs(found - expected) <= TOLERANCE * scale).all(), f"{found} for {expected}"


def unit(image: npt.NDArray[np.generic]) -> Tensor:
    """uint8 images as (B, 3, H, W) float in [0, 1]."""
    pixels = torch.from_numpy(image.astype(np.float32)) / 255
    return pixels.expand(-1, 3, -1, -1)


def test_empty_prompt_embedding(golden_base: Path, load: Callable[[str], Arrays]) -> None:
    embedding = load_base(golden_base).encode_empty_prompt()
    assert_close(embedding, load("condition.npz")["uncond_inputs"])


def test_condition_of_student_and_teacher(
    student: MadmNetwork, teacher: MadmNetwork, load: Callable[[str], Arrays]
) -> None:
    expected = load("condition.npz")
    for network, prefix in ((student, ""), (teacher, "ema_")):
        context, time_residual = network.condition()
        assert_close(context, expected[f"{prefix}cond_prompt"])
        assert_close(time_residual, expected[f"{prefix}cond_time"])


def test_latents_are_the_scaled_posterior_mean(student: MadmNetwork, load: Callable[[str], Arrays]) -> None:
    expected = load("vae_encoder.npz")
    assert_close(student.backbone.encode(unit(expected["image_u8"]) * 2 - 1), expected["latents"])


def test_decoded_image_is_not_clipped(student: MadmNetwork, load: Callable[[str], Arrays]) -> None:
    expected = load("vae_decoder.npz")
    decoded = student.backbone.decode(torch.from_numpy(expected["latents"]))
    assert_close(decoded[:, :, ::2, ::2], expected["output"])
    assert_close(decoded[:, :, 0], expected["output_row0"])
    assert_stats(decoded, expected["stats"])
    assert decoded.abs().max() > 1


class TestNoise:
    @pytest.fixture
    def noise(self, student: MadmNetwork) -> SharedNoise:
        return SharedNoise(student.backbone.shared_noise.alphas_cumprod, (64, 64))

    @pytest.fixture
    def expected(self, load: Callable[[str], Arrays]) -> Arrays:
        return load("add_noise.npz")

    def test_shared_noise_and_schedule(self, noise: SharedNoise, expected: Arrays) -> None:
        # torch draws with the processor's vector instructions: equal to the bit with AVX2 or better, nearly without.
        exact = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
        np.testing.assert_allclose(noise.noise.numpy(), expected["shared_noise64"], rtol=0, atol=0 if exact else 5e-6)
        assert_close(noise.alphas_cumprod, expected["alphas_cumprod"], 1e-6)

    @pytest.mark.parametrize("timestep", [0, 30, 60])
    def test_one_timestep(self, noise: SharedNoise, expected: Arrays, timestep: int) -> None:
        latents = torch.from_numpy(expected["latents64_f16"].astype(np.float32))
        timesteps = torch.tensor([timestep, timestep])
        noisy = noise(latents, timesteps)
        assert_close(noisy[:, :, ::4, ::4], expected[f"t{timestep}"])
        assert_stats(noisy, expected[f"t{timestep}_stats"])
        coefficients = torch.stack(noise.coefficients(timesteps[:1])).flatten()
        assert_close(coefficients, expected[f"t{timestep}_coef_fp32"], 1e-6)

    @pytest.mark.parametrize("timestep", [0, 30, 60])
    def test_the_rounding_of_mixed_precision(self, student: MadmNetwork, expected: Arrays, timestep: int) -> None:
        noise = SharedNoise(student.backbone.shared_noise.alphas_cumprod, (64, 64))
        noise.round_to_half = True
        latents = torch.from_numpy(expected["latents64_f16"].astype(np.float32))
        timesteps = torch.tensor([timestep, timestep])
        coefficients = torch.stack(noise.coefficients(timesteps[:1])).flatten()
        assert_close(coefficients, expected[f"t{timestep}_coef_amp_emulated"], 1e-6)
        assert_close(noise(latents, timesteps)[:, :, ::4, ::4], expected[f"t{timestep}_amp_emulated"])

    def test_a_timestep_for_each_image(self, noise: SharedNoise, expected: Arrays) -> None:
        latents = torch.from_numpy(expected["latents64_f16"].astype(np.float32))
        noisy = noise(latents, torch.tensor([0, 60]))
        assert_close(noisy[:, :, ::4, ::4], expected["per_sample_t0_t60"])

    def test_other_latent_sizes_get_the_noise_resized(self, noise: SharedNoise, expected: Arrays) -> None:
        latents = torch.from_numpy(expected["latents_24x40"])
        assert_close(noise(latents, torch.tensor([30])), expected["noisy_24x40_t30_bicubic_noise"])


class TestUnet:
    @pytest.mark.parametrize(("suffix", "share"), [("", 1.0), ("_nores", 0.0)])
    def test_features_and_sample(
        self, student: MadmNetwork, load: Callable[[str], Arrays], suffix: str, share: float
    ) -> None:
        expected = load("unet.npz")
        latents, context, residual = (torch.from_numpy(expected[key]) for key in ("latents", "context", "res_time"))
        condition = Condition(context, share * residual)
        with torch.no_grad():
            features, sample = student.backbone.denoise(latents, torch.from_numpy(expected["timesteps"]), condition)
        for feature, position in zip(features, (5, 8, 11), strict=True):
            assert_close(feature, expected[f"feat{position}{suffix}"])
        assert_close(sample, expected[f"sample{suffix}"])

    def test_full_size_latents(self, student: MadmNetwork, load: Callable[[str], Arrays]) -> None:
        expected = load("unet64.npz")
        latents = torch.from_numpy(expected["latents_f16"].astype(np.float32))
        with torch.no_grad():
            (f5, f8, f11), sample = student.backbone.denoise(
                latents, torch.from_numpy(expected["timesteps"]), student.condition()
            )
        assert_close(f5[:, ::4], expected["feat5"])
        assert_close(f8[:, ::4, ::2, ::2], expected["feat8"])
        assert_close(f11[:, ::4, ::4, ::4], expected["feat11"])
        assert_close(sample[:, :, ::2, ::2], expected["sample"])
        for tensor, stats in zip((f5, f8, f11, sample), expected["stats"], strict=True):
            assert_stats(tensor, stats)


def test_projections_of_student_and_teacher(
    student: MadmNetwork, teacher: MadmNetwork, load: Callable[[str], Arrays]
) -> None:
    expected = load("projections.npz")
    inputs = [torch.from_numpy(expected[f"in{scale}"]) for scale in range(4)]
    for network, prefix in ((student, ""), (teacher, "ema_")):
        for scale, projected in enumerate(network.projections(inputs)):
            assert_close(projected, expected[f"{prefix}out{scale}"])


class TestHead:
    @pytest.fixture
    def expected(self, load: Callable[[str], Arrays]) -> Arrays:
        return load("head.npz")

    @pytest.fixture
    def features(self, expected: Arrays) -> list[Tensor]:
        return [torch.from_numpy(expected[scale]) for scale in ("s0", "s3", "s4", "s5")]

    def test_in_evaluation(
        self, student: MadmNetwork, teacher: MadmNetwork, expected: Arrays, features: list[Tensor]
    ) -> None:
        assert_close(student.head(features), expected["logits_eval"])
        assert_close(teacher.head(features), expected["ema_logits_eval"])

    def test_in_training(self, student: MadmNetwork, expected: Arrays, features: list[Tensor]) -> None:
        head = copy.deepcopy(student.head).train()
        head.dropout.p = 0.0
        assert_close(head(features), expected["logits_train"])
        statistics = {
            to_reference_name(f"head.{name}").removeprefix("sem_seg_head."): buffer
            for name, buffer in head.named_buffers()
            if "running" in name
        }
        for name, buffer in statistics.items():
            assert_close(buffer, expected[f"bn_after_train__{name.replace('.', '__')}"])


@pytest.mark.parametrize(("size", "stride"), [(128, 4), (512, 16)])
def test_inference(
    golden_network: Callable[[int], MadmNetwork], load: Callable[[str], Arrays], size: int, stride: int
) -> None:
    expected = load(f"inference_{size}.npz")
    source = expected["in_target"][None] if size == 128 else load("e2e_depth_512.npz")["in_target"]
    with torch.no_grad():
        logits = golden_network(size)(unit(source)).logits
    assert_close(logits[:, :, ::stride, ::stride], expected["logits"])
    assert_stats(logits, expected["logits_stats"])
    kept = 1 if size == 128 else 4
    best, second = logits[:, :, ::kept, ::kept].topk(2, dim=1).values.unbind(dim=1)
    clear = (best - second).numpy() > 1e-3
    labels = logits[:, :, ::kept, ::kept].argmax(dim=1).numpy()
    assert clear.mean() > 0.98
    np.testing.assert_array_equal(labels[clear], expected["pred_u8"][clear])


@pytest.mark.parametrize("size", [128, 512])
def test_source_branch_and_teacher_end_to_end(
    golden_network: Callable[[int], MadmNetwork],
    golden_parts: ReferenceState,
    load: Callable[[str], Arrays],
    size: int,
) -> None:
    """Both in training mode: normalisation by the batch's own statistics; the teacher sees noisier latents."""
    expected = load(f"e2e_depth_{size}.npz")
    network = golden_network(size)
    network.head.train()
    network.head.dropout.p = 0.0
    averaged = {part: copy.deepcopy(getattr(network, part)) for part in ("condition", "projections", "head")}
    for part, module in averaged.items():
        prefix = f"{part}."
        module.load_state_dict(
            {
                name.removeprefix(prefix): tensor
                for name, tensor in golden_parts.teacher.items()
                if name.startswith(prefix)
            },
            strict=part != "condition",  # the embedding of the empty prompt is not averaged
        )
    timestep = int(expected["it0_timestep"] if size == 128 else expected["timestep"])
    sample_stride = 1 if size == 128 else 4
    with torch.no_grad():
        source = network(unit(expected["in_source_rgb"]))
        taught = run_branch(
            network.backbone,
            averaged["condition"],
            averaged["projections"],
            averaged["head"],
            unit(expected["in_target"]),
            timestep,
        )
    logits_stride = 4 if size == 128 else 16
    for output, name in ((source, "source"), (taught, "teacher")):
        assert_close(output.sample[..., ::sample_stride, ::sample_stride], expected[f"{name}__unet_sample"])
        for feature, scale in zip(output.features, ("s0", "s3", "s4", "s5"), strict=True):
            assert_stats(feature, expected[f"{name}__{scale}_stats"])
        stride = size // 16
        assert_close(output.decoded.clamp(-1, 1)[..., ::stride, ::stride], expected[f"{name}__decoded_clipped"])
        assert_close(output.logits[..., ::logits_stride, ::logits_stride], expected[f"{name}_logits"])
