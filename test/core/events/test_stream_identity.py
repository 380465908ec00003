"""One damaged message neither settles nor changes a stream; a camera that was exchanged does."""

from __future__ import annotations

import pytest

from madm_core.errors import InvalidInputError
from madm_core.events.stream_identity import CHANGE_AFTER, StreamIdentity


@pytest.mark.parametrize(("width", "height"), [(0, 480), (640, 0), (-1, 480), (2**32 - 1, 2**32 - 1), (4096, 4096)])
def test_impossible_sensors(width, height):
    with pytest.raises(InvalidInputError, match="impossible"):
        StreamIdentity().changes("mono", width, height)


def test_the_first_message_settles_and_others_are_refused():
    identity = StreamIdentity()
    assert not identity.changes("mono", 640, 480)
    identity.settle("mono", 640, 480)
    assert not identity.changes("mono", 640, 480)
    with pytest.raises(InvalidInputError, match="64x48") as size:
        identity.changes("mono", 64, 48)
    with pytest.raises(InvalidInputError, match="evt3") as encoding:
        identity.changes("evt3", 640, 480)
    assert (size.value.reason, encoding.value.reason) == ("size", "encoding")


def test_messages_in_a_row_change_the_stream_and_alternating_ones_do_not():
    identity = StreamIdentity()
    identity.settle("mono", 640, 480)
    for _ in range(3 * CHANGE_AFTER):
        with pytest.raises(InvalidInputError):
            identity.changes("mono", 1280, 720)
        assert not identity.changes("mono", 640, 480)
    for _ in range(CHANGE_AFTER - 1):
        with pytest.raises(InvalidInputError):
            identity.changes("mono", 1280, 720)
    assert identity.changes("mono", 1280, 720)
