"""The tutorials run as written: all marked blocks of a page, in order, in one shell, as a reader would.

``<!-- run -->`` before a block of bash: it must succeed. ``<!-- terminal -->``: it runs beside the rest until the page
ends. ``<!-- file: NAME -->``: the block is that file. Python blocks are run, too.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"
BLOCK = re.compile(r"<!-- (run|terminal|file)(?:: (\S+))? -->\n```(\w+)\n(.*?)```", re.DOTALL)
RESULTS = {
    "demo.md": "my_report/metrics.json",
    "ros_camera.md": "ws/install/setup.bash",
    "published_tasks.md": "report/metrics.json",
    "event_recording.md": "report/metrics.json",
}
# `ros2 run` and `ros2 pkg prefix` of the built workspace, for a machine that has only ROS's Python packages.
ROS2 = """#!/bin/sh
prefix=$(echo "$AMENT_PREFIX_PATH" | tr : '\\n' | grep '/madm_ros$' | head -n 1)
case "$1 $2" in
    "run madm_ros") shift 2; program=$1; shift; exec "$prefix/lib/madm_ros/$program" "$@" ;;
    "pkg prefix") echo "$prefix" ;;
    *) echo "not here: ros2 $*" >&2; exit 1 ;;
esac
"""
BEGIN = """set -em
terminals=""
close_terminals() { code=$?; for job in $terminals; do kill -INT -- -$job 2>/dev/null || true; done; wait; exit $code; }
trap close_terminals EXIT
"""


def script(page: str) -> str:
    """The page as one bash script. Job control (-m) makes each terminal a process group that Ctrl-C can reach."""
    found = BLOCK.findall((TUTORIALS / page).read_text(encoding="utf-8"))
    assert found, f"{page} has no marked block"
    parts = [BEGIN]
    for number, (mark, file, language, text) in enumerate(found):
        if mark == "file":
            parts.append(f"cat > {file} <<'END_OF_BLOCK'\n{text}END_OF_BLOCK\n")
        elif mark == "terminal":
            parts.append(f'{{ {text} }} > terminal_{number}.log 2>&1 &\nterminals="$terminals $!"\n')
        elif language == "python":
            parts.append(f"python - <<'END_OF_BLOCK'\n{text}END_OF_BLOCK\n")
        else:
            parts.append(text)
    return "".join(parts)


def prepare(page: str, folder: Path) -> dict[str, str]:
    """What the page takes for granted: the checkout or a workspace with it, and the commands on the path."""
    programs = [str(Path(sys.executable).parent), os.environ["PATH"]]
    if page != "ros_camera.md":
        for name in ("demo", "config"):
            (folder / name).symlink_to(ROOT / name)
    else:
        # A copy, because setup.py leaves an egg-info folder where it runs.
        left_out = shutil.ignore_patterns(
            ".*", "build", "install", "log", "runs", "out", "__pycache__", "test", "docs", "*.egg-info"
        )
        shutil.copytree(ROOT, folder / "ws" / "src" / "madm_ros", ignore=left_out)
        if shutil.which("ros2") is None:
            (folder / "bin").mkdir()
            (folder / "bin" / "ros2").write_text(ROS2)
            (folder / "bin" / "ros2").chmod(0o755)
            programs.insert(0, str(folder / "bin"))
    return {
        **os.environ,
        "PATH": os.pathsep.join(programs),
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }


@pytest.mark.timeout(900)  # a dozen processes that each import torch
@pytest.mark.parametrize("page", RESULTS)
def test_every_marked_block_runs_as_written(page, tmp_path):
    if page == "ros_camera.md":
        pytest.importorskip("rclpy", reason="the page needs ROS 2")
        pytest.importorskip("colcon_core", reason="the page builds with colcon: pip install '.[dev]'")
    environment = prepare(page, tmp_path)
    shell = subprocess.Popen(
        ["bash", "-c", script(page)],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        output, _ = shell.communicate(timeout=840)
    except subprocess.TimeoutExpired:
        for process in psutil.Process(shell.pid).children(recursive=True):
            process.kill()
        output, _ = shell.communicate()
    logs = "".join(f"\n{log.name}:\n{log.read_text()}" for log in tmp_path.glob("**/terminal_*.log"))
    assert shell.returncode == 0, output + logs
    assert (tmp_path / RESULTS[page]).is_file()
