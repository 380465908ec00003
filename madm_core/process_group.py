"""What all commands of several processes agree on."""

from __future__ import annotations

from datetime import timedelta

TIMEOUT = timedelta(hours=6)
"""How long processes wait for the first one, which extracts bags, draws events and validates alone. NCCL's own limit is
ten minutes."""
