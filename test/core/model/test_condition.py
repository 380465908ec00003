"""The learned condition; its numbers are tested in test_golden_parity.py."""

import pytest
import torch

from madm_core.model.condition import PromptCondition


@pytest.fixture
def condition() -> PromptCondition:
    return PromptCondition(torch.full((1, 77, 4), 2.0), 6, torch.Generator().manual_seed(0))


def test_gates_blend(condition: PromptCondition) -> None:
    with torch.no_grad():
        condition.prompt.fill_(10.0)
        condition.prompt_gate.fill_(0.5)
        condition.unconditional_gate.fill_(-1.0)
        condition.time.fill_(3.0)
        condition.time_gate.copy_(torch.tensor([0.0, 1.0, -1.0, 50.0, -50.0, 0.0]))
    context, residual = condition()
    expected = 10 * torch.tensor(0.5).tanh() + 2 * torch.tensor(-1.0).tanh()
    torch.testing.assert_close(context, expected.expand(1, 77, 4))
    bounded = 3 * torch.tensor(1.0).tanh().item()
    torch.testing.assert_close(residual.flatten(), torch.tensor([0, bounded, -bounded, 3.0, -3.0, 0.0]))


def test_the_empty_prompt_is_stored_but_not_trained(condition: PromptCondition) -> None:
    assert "unconditional" in condition.state_dict()
    assert "unconditional" not in dict(condition.named_parameters())
    assert len(list(condition.parameters())) == 5


def test_a_generator_leaves_the_global_one_alone() -> None:
    before = torch.get_rng_state()
    first, second = (PromptCondition(torch.zeros(1, 77, 4), 6, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
