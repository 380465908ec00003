"""Fixtures that every test may use."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# One thread a process, set before torch is imported: tests start several processes that share few cores, and labels are
# compared to the pixel between processes, where another number of threads may round a tie differently.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The one test of two threads shall not spin while it waits for a core that others use.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Before any context is made: tests must neither hear nor disturb other nodes of this machine or network. Not only where
# nothing is set: pytest-xdist's processes inherit what the one before them has chosen, and would hear each other.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
# Started in the background of a script, tests would hand on to processes that Ctrl-C is to be ignored; they test it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def signals_come_back():
    """For what leaves SIGINT and SIGTERM ignored, because its process is about to end."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def golden() -> Path:
    """Numbers that the reference implementation produced (test/data/golden/README.md)."""
    return REPOSITORY / "test" / "data" / "golden"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings that lie beside a developer's checkout and are not part of the repository."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real recordings are not here: they lie beside a developer's checkout, in ../shared/data")
    return folder


@pytest.fixture(scope="session")
def message_packages_environment() -> dict[str, str]:
    """An environment for processes that use the message packages of test/interfaces, which PyPI does not have."""
    build = Path(__file__).parent / "interfaces" / "build_interfaces.py"
    result = subprocess.run([sys.executable, str(build)], capture_output=True, text=True, timeout=120)
    if result.returncode:
        pytest.skip(f"event_camera_msgs is not installed, and {result.stdout.strip() or result.stderr.strip()[-300:]}")
    folders = [folder for folder in (result.stdout.strip(), os.environ.get("PYTHONPATH")) if folder]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}


@pytest.fixture
def process_group_timeout(monkeypatch):
    """How long the first of two processes would wait for the other one, once ``work`` brings them together."""
    import torch
    from accelerate.state import AcceleratorState

    class Begun(Exception):
        """Processes would have been brought together."""

    def begin(**options):
        raise Begun(options)

    def timeout(work):
        with pytest.raises(Begun) as begun:
            work()
        return begun.value.args[0]["timeout"]

    launcher = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for name, value in {**launcher, "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.distributed, "init_process_group", begin)
    AcceleratorState._reset_state(reset_partial_state=True)  # accelerate keeps one state a process
    yield timeout
    AcceleratorState._reset_state(reset_partial_state=True)
