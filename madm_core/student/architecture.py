"""How large a student is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from transformers import SegformerConfig

from madm_core.errors import ConfigError

StudentSize = Literal["b0", "b0-half"]

STRIDE = 32
"""Sides of a student's images are multiples of it: its coarsest features have a 32nd of the resolution."""


@dataclass(frozen=True)
class StudentArchitecture:
    """A SegFormer (Xie et al., NeurIPS 2021) of four stages.

    Args:
        classes: Number of classes.
        depths: Transformer blocks of each stage.
        hidden_sizes: Channels of each stage.
        attention_heads: Heads of each stage; they divide the channels.
        decoder_channels: Channels in which the head adds up the four stages.
    """

    classes: int
    depths: tuple[int, int, int, int] = (2, 2, 2, 2)
    hidden_sizes: tuple[int, int, int, int] = (32, 64, 160, 256)
    attention_heads: tuple[int, int, int, int] = (1, 2, 5, 8)
    decoder_channels: int = 256

    def __post_init__(self) -> None:
        numbers = (self.classes, self.decoder_channels, *self.depths, *self.hidden_sizes, *self.attention_heads)
        divides = all(
            size % heads == 0 for size, heads in zip(self.hidden_sizes, self.attention_heads, strict=True) if heads > 0
        )
        if min(numbers) < 1 or not divides:
            raise ConfigError(
                "the student's architecture cannot be used",
                got=f"depths {self.depths}, hidden sizes {self.hidden_sizes}, attention heads {self.attention_heads}, "
                f"{self.decoder_channels} decoder channels, {self.classes} classes",
                expected="numbers above 0, and hidden sizes that are multiples of their heads",
            )

    @classmethod
    def of_size(cls, size: StudentSize, classes: int) -> StudentArchitecture:
        """``b0``: the smallest published SegFormer; ``b0-half``: the same with half of its channels."""
        if size == "b0":
            return cls(classes)
        return cls(classes, hidden_sizes=(16, 32, 80, 128), decoder_channels=128)

    @classmethod
    def of_config(cls, config: SegformerConfig) -> StudentArchitecture:
        """What a transformers configuration says."""
        return cls(
            config.num_labels,
            tuple(config.depths),
            tuple(config.hidden_sizes),
            tuple(config.num_attention_heads),
            config.decoder_hidden_size,
        )

    def to_config(self) -> SegformerConfig:
        """The transformers configuration."""
        return SegformerConfig(
            num_labels=self.classes,
            depths=list(self.depths),
            hidden_sizes=list(self.hidden_sizes),
            num_attention_heads=list(self.attention_heads),
            decoder_hidden_size=self.decoder_channels,
        )
