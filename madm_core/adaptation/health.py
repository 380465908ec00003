"""Signs of health that need no labels: is the teacher sure, and does it still see all classes?"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from madm_core.labels import IGNORE, LabelSet

_SMOOTHING = 0.98
_SEEN_SHARE = 1e-3
_COLLAPSED_CLASSES = 2
_FIRST_JUDGEMENT = 100


@dataclass
class Health:
    """Smoothed class shares of the pseudo-labels, and how far they have moved.

    Args:
        classes: Number of classes.
        steps: Adapting steps seen.
        shares: (K,) smoothed share of each class in the pseudo-labels.
        first_shares: The shares when the first judgement was made.
        warned: Whether the collapse was reported.
    """

    classes: int
    steps: int = 0
    shares: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    first_shares: npt.NDArray[np.float64] | None = None
    warned: bool = False

    def update(self, pseudo_labels: torch.Tensor, confidence: torch.Tensor) -> dict[str, float]:
        """Takes one batch of pseudo-labels.

        Args:
            pseudo_labels: (B, H, W) int64; pixels with 255 do not count.
            confidence: (B, H, W) in [0, 1].

        Returns:
            ``mean_confidence``, ``classes_seen`` (with at least 0.1 % of the pixels, smoothed over about 50 steps) and
            ``class_drift`` (half the sum of the absolute changes of the shares since step 100; 0 none, 1 complete).
        """
        labelled = pseudo_labels != IGNORE
        counts = torch.bincount(pseudo_labels[labelled], minlength=self.classes).double()
        shares = (counts / counts.sum().clamp_min(1)).cpu().numpy()
        self.shares = shares if self.steps == 0 else _SMOOTHING * self.shares + (1 - _SMOOTHING) * shares
        self.steps += 1
        if self.steps == _FIRST_JUDGEMENT:
            self.first_shares = self.shares.copy()
        drift = 0.0 if self.first_shares is None else float(np.abs(self.shares - self.first_shares).sum() / 2)
        return {
            "mean_confidence": (confidence[labelled].mean() if labelled.any() else confidence.new_zeros(())).item(),
            "classes_seen": float((self.shares >= _SEEN_SHARE).sum()),
            "class_drift": drift,
        }

    def warning(self, label_set: LabelSet) -> str | None:
        """What to say, once, when the pseudo-labels have collapsed to few classes; None otherwise."""
        seen = np.flatnonzero(self.shares >= _SEEN_SHARE)
        collapsed = self.classes > _COLLAPSED_CLASSES and len(seen) <= _COLLAPSED_CLASSES
        if self.warned or self.steps < _FIRST_JUDGEMENT or not collapsed:
            return None
        self.warned = True
        names = ", ".join(label_set.names[index] for index in seen)
        return (
            f"the pseudo-labels collapsed to {len(seen)} of {self.classes} classes ({names}). Look at the previews; "
            "a longer method.source_only_fraction, a lower learning rate or a higher method.confidence_threshold help"
        )

    def state(self) -> dict[str, object]:
        """JSON-ready form; :meth:`from_state` reads it back."""
        first = None if self.first_shares is None else self.first_shares.tolist()
        return {
            "classes": self.classes,
            "steps": self.steps,
            "shares": self.shares.tolist(),
            "first_shares": first,
            "warned": self.warned,
        }

    @classmethod
    def from_state(cls, state: dict[str, object]) -> Health:
        """Reads what :meth:`state` gave."""
        first = state["first_shares"]
        return cls(
            int(str(state["classes"])),
            int(str(state["steps"])),
            np.asarray(state["shares"], np.float64),
            None if first is None else np.asarray(first, np.float64),
            bool(state["warned"]),
        )
