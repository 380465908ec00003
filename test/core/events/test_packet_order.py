"""Lost, late, repeated and restarted packets."""

from __future__ import annotations

import pytest

from madm_core.events.packet_order import PacketOrder

MS = 1_000_000


@pytest.mark.parametrize(
    ("packets", "verdicts"),
    [
        ([(5, 0), (6, 1), (9, 2)], [("next", 0), ("next", 0), ("next", 2)]),
        ([(5, 10), (7, 12), (6, 11), (8, 13)], [("next", 0), ("next", 1), ("old", 0), ("next", 0)]),
        ([(5, 10), (5, 10)], [("next", 0), ("old", 0)]),
        ([(5, 1000), (0, 0), (1, 1)], [("next", 0), ("restart", 0), ("next", 0)]),
        ([(500, 1000), (0, 2000), (1, 2001)], [("next", 0), ("restart", 0), ("next", 0)]),
        ([(None, 10), (None, 9), (None, 10), (None, 11)], [("next", 0), ("old", 0), ("next", 0), ("next", 0)]),
        ([(None, 1000), (None, 0)], [("next", 0), ("restart", 0)]),
        (
            [(0, 10), (0, 11), (0, 11), (0, 13), (0, 12)],
            [("next", 0), ("next", 0), ("old", 0), ("next", 0), ("old", 0)],
        ),
    ],
    ids=[
        "lost",
        "late",
        "repeated",
        "bag loop",
        "driver restart",
        "without numbers",
        "loop without numbers",
        "not counted",
    ],
)
def test_verdicts(packets, verdicts):
    order = PacketOrder()
    assert [order.judge(seq, stamp * MS) for seq, stamp in packets] == verdicts
