"""Exceptions out of callbacks: counted, and logged with their place."""

from __future__ import annotations

from madm_ros.callback_errors import CallbackErrors


def test_each_is_counted_and_the_log_gets_where_what_and_the_traceback():
    lines: list[tuple[str, str]] = []
    errors = CallbackErrors(lambda kind, text: lines.append((kind, text)))
    assert (errors.count, errors.latest) == (0, "")
    for text in ("a bug", "another"):
        try:
            raise ValueError(text)
        except ValueError as error:
            errors.note("a callback", error)
    assert errors.count == 2
    assert errors.latest == "internal error in a callback: ValueError: another"
    assert [kind for kind, _ in lines] == ["a callback"] * 2
    assert "ValueError: a bug; the node goes on\nTraceback" in lines[0][1] and "test_callback_errors.py" in lines[0][1]
