"""MADM: semantic segmentation for depth, thermal and event cameras without labels. This library needs no ROS.

>>> from madm_core import LabelSet
>>> LabelSet.named("madm9").names[:3]
('sky', 'building', 'person')
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from madm_core.labels import LabelSet
    from madm_core.segmenter import Segmenter

__all__ = ["LabelSet", "Segmenter", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Segmenter brings in PyTorch and diffusers, seconds of import that a command's --help should not cost.
    if name == "LabelSet":
        from madm_core.labels import LabelSet

        return LabelSet
    if name == "Segmenter":
        from madm_core.segmenter import Segmenter

        return Segmenter
    raise AttributeError(f"module 'madm_core' has no attribute '{name}'")
