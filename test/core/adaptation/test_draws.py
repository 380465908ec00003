from __future__ import annotations

import torch

from madm_core.adaptation.draws import derive_seed, draw_step
from madm_core.adaptation.method import method_of

LABELS = torch.arange(11).reshape(1, 1, 1, 11).repeat(2, 1, 4, 1)


def draw(recipe="reference", step=0, batch_number=0, seed=1):
    return draw_step(method_of(recipe, {}), LABELS, step=step, max_steps=10000, seed=seed, batch_number=batch_number)


def test_draws_depend_on_seed_and_batch_alone():
    first, again = draw(batch_number=5), draw(batch_number=5)
    assert all(torch.equal(a, b) for a, b in zip(first.classes, again.classes, strict=True))
    assert (first.augmentations, first.torch_seed) == (again.augmentations, again.torch_seed)
    assert draw(batch_number=6).torch_seed != first.torch_seed
    assert draw(batch_number=5, seed=2).torch_seed != first.torch_seed


def test_the_noise_starts_at_both_ends_of_the_reference_s_range_and_ends():
    assert {draw(batch_number=number).timestep for number in range(40)} == {60, 61}
    assert {draw(step=2500, batch_number=number).timestep for number in range(40)} == {30}
    assert draw(step=5001).timestep == 0
    assert {draw("madm", batch_number=number).timestep for number in range(40)} == {60}


def test_half_of_the_classes_are_pasted():
    assert [len(classes) for classes in draw().classes] == [6, 6]


def test_seeds_fit_everywhere_and_differ():
    seeds = {derive_seed("a", number) for number in range(1000)} | {derive_seed("b", number) for number in range(1000)}
    assert len(seeds) == 2000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, 23) != derive_seed(12, 3)
