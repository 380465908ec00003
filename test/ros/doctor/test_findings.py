import pytest

from madm_ros.doctor.findings import Finding, as_mapping, as_text, worst

GOOD = Finding("torch", "ok", "2.13.0")
BAD = Finding("/dev/shm", "warning", "3 MiB free", "remove stale files")
BROKEN = Finding("numpy", "error", "not installed", "run: pip install numpy")


def test_text_says_what_is_wrong_and_what_to_do():
    text = as_text({"Machine": [GOOD, BAD], "Packages": [BROKEN]})
    assert "WARN  /dev/shm: 3 MiB free\n        -> remove stale files" in text
    assert text.endswith("1 problem(s), 1 warning(s): see the lines marked FAIL and WARN")
    assert as_text({"Machine": [GOOD]}).endswith("nothing is wrong")


def test_colours_mark_what_is_wrong():
    text = as_text({"Machine": [GOOD, BAD, BROKEN]}, colour=True)
    assert "\x1b[33mWARN\x1b[0m  /dev/shm" in text and "\x1b[31mFAIL\x1b[0m  numpy" in text and "  ok    torch" in text


def test_mapping_keeps_every_field():
    assert as_mapping({"Machine": [BAD]}) == {
        "Machine": [{"subject": "/dev/shm", "level": "warning", "text": "3 MiB free", "do": "remove stale files"}]
    }


@pytest.mark.parametrize(
    ("findings", "level"), [([], "ok"), ([GOOD], "ok"), ([GOOD, BAD], "warning"), ([BROKEN, BAD], "error")]
)
def test_the_worst_level(findings, level):
    assert worst({"Machine": findings}) == level
