"""The tutorials run as written: blocks after `<!-- run: NAME -->`, in order, in one folder a name."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"
BLOCK = re.compile(r"<!-- (run|file): (\w+)(?: (\S+))? -->\n```(\w+)\n(.*?)```", re.DOTALL)


def blocks(page: str) -> list[tuple[str, str, str, str]]:
    """(what to do, file name, language, text) of each marked block of a page."""
    found = BLOCK.findall((TUTORIALS / page).read_text(encoding="utf-8"))
    assert found, f"{page} has no marked block"
    return [(what, file, language, text) for what, _, file, language, text in found]


@pytest.mark.timeout(600)  # a dozen processes that each import torch
@pytest.mark.parametrize("page", ["demo.md", "event_recording.md"])
def test_every_marked_block_runs_as_written(page, tmp_path):
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HOME": str(tmp_path),
    }
    for what, file, language, text in blocks(page):
        if what == "file":
            (tmp_path / file).write_text(text, encoding="utf-8")
            continue
        command = ["bash", "-ec", text] if language == "bash" else [sys.executable, "-c", text]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    expected = {"demo.md": "my_report/metrics.json", "event_recording.md": "report/metrics.json"}[page]
    assert (tmp_path / expected).is_file()
