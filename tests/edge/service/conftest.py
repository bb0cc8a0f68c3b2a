"""What child processes of the doctor import and hear."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.doctor import PACKAGES
from tests.support.requirements import require_system
from tests.support.virtual_microphone import VirtualMicrophone, missing

RATE = 44_100


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules come before those that are installed, in child processes."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), PACKAGES)))
    return tmp_path


@pytest.fixture(scope="module")
def microphone() -> Iterator[VirtualMicrophone]:
    require_system(missing())
    with VirtualMicrophone(RATE) as virtual:
        yield virtual


@pytest.fixture
def hearing(microphone: VirtualMicrophone, monkeypatch: pytest.MonkeyPatch) -> VirtualMicrophone:
    """Child processes hear the virtual microphone."""
    for name, value in microphone.env.items():
        monkeypatch.setenv(name, value)
    return microphone
