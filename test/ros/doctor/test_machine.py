import importlib.metadata

import pytest

from madm_ros.doctor import machine


@pytest.fixture
def distribution(monkeypatch):
    """Lets a test say what the package asks for and what is installed."""

    def pretend(
        requires: list[str], installed: dict[str, str], extras: tuple[str, ...] = ()
    ) -> dict[str, machine.Finding]:
        def version(name: str) -> str:
            if name not in installed:
                raise importlib.metadata.PackageNotFoundError(name)
            return installed[name]

        class Metadata:
            def get_all(self, key: str) -> list[str]:
                return list(extras)

        monkeypatch.setattr(importlib.metadata, "requires", lambda name: requires)
        monkeypatch.setattr(importlib.metadata, "version", version)
        monkeypatch.setattr(importlib.metadata, "metadata", lambda name: Metadata())
        return {finding.subject: finding for finding in machine.check_packages()}

    return pretend


def test_missing_old_and_good_packages(distribution):
    found = distribution(["torch>=2.6", "numpy>=1.26", "tqdm"], {"torch": "2.13.0+cpu", "numpy": "1.24.0"})
    assert found["torch"].level == "ok" and found["torch"].text == "2.13.0+cpu"
    assert found["numpy"].level == "error" and found["numpy"].text == "1.24.0, but >=1.26 is needed"
    assert found["tqdm"].level == "error" and "pip install 'tqdm'" in found["tqdm"].do


def test_an_extra_that_is_missing_is_only_a_note(distribution):
    requires = ['h5py>=3; extra == "dsec"', 'hdf5plugin; extra == "dsec"', 'pytest; extra == "test"']
    found = distribution(requires, {"h5py": "3.16.0"}, ("dsec", "test"))
    assert set(found) == {"extra dsec"}
    assert found["extra dsec"].level == "note" and found["extra dsec"].text == "hdf5plugin not installed"
    old = distribution(requires, {"h5py": "2.10", "hdf5plugin": "4.0"}, ("dsec",))["extra dsec"]
    assert old.level == "note" and old.text == "h5py 2.10, but >=3 is needed"


def test_a_package_that_only_some_machines_need(distribution):
    requires = ['tomli; python_version < "3.0"', 'typing_extensions; python_version > "3.0"', 'h5py; extra == "dsec"']
    found = distribution(requires, {"h5py": "3.16.0"}, ("dsec",))
    assert set(found) == {"typing_extensions", "extra dsec"}
    assert found["typing_extensions"].level == "error" and found["extra dsec"].text == "h5py 3.16.0"


def test_a_source_tree_that_is_not_installed(monkeypatch):
    def missing(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    (found,) = machine.check_packages()
    assert found.level == "warning" and "pip install" in found.do


def test_a_little_disk_is_warned_about(monkeypatch):
    usage = machine.shutil.disk_usage("/")
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: usage._replace(free=2**30))
    found = {finding.subject: finding for finding in machine.check_machine()}
    assert found["disk"].level == "warning" and found["disk"].text.startswith("1 GiB")


def test_a_cuda_build_without_a_device_is_worth_a_warning(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    found = {finding.subject: finding for finding in machine.check_compute()}
    assert found["CUDA"].level == "warning" and "sees no device" in found["CUDA"].text
    monkeypatch.setattr(torch.version, "cuda", None)
    found = {finding.subject: finding for finding in machine.check_compute()}
    assert found["CUDA"].level == "note" and found["CPU"].level == "ok"
