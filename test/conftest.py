"""Fixtures that every test may use."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


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
