import json
import re

from madm_ros.commands import doctor


def test_the_report_for_people_and_the_one_for_machines_agree(capsys):
    code = doctor.main(["--wait", "0"])
    text = capsys.readouterr().out
    assert doctor.main(["--wait", "0", "--json"]) == code == 0
    sections = json.loads(capsys.readouterr().out)["facts"]
    assert list(sections) == ["Machine", "Python packages", "Compute", "ROS 2", "Middleware", "Topics"]
    torch = next(finding for finding in sections["Python packages"] if finding["subject"] == "torch")
    assert torch["level"] == "ok" and f"torch: {torch['text']}" in text


def test_a_model_that_cannot_be_used_fails(tmp_path, capsys):
    assert doctor.main(["--wait", "0", "--model", str(tmp_path / "nothing")]) == 1
    assert re.search(r"FAIL  model: .*\n +-> ", capsys.readouterr().out)  # what is wrong, and what to do


def test_the_base_of_the_model_may_be_named(monkeypatch):
    asked = []
    monkeypatch.setattr("madm_ros.doctor.model.check_model", lambda *places: asked.append(places) or [])
    assert doctor.main(["--wait", "0", "--model", "models/depth", "--base", "bases/sd"]) == 0
    assert asked == [("models/depth", "bases/sd")]


def test_a_check_that_fails_leaves_the_others(monkeypatch, capsys):
    def broken():
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr("madm_ros.doctor.machine.check_compute", broken)
    assert doctor.main(["--wait", "0"]) == 1
    said = capsys.readouterr().out
    assert "FAIL  doctor: this check failed: RuntimeError: CUDA error" in said and "Topics" in said
