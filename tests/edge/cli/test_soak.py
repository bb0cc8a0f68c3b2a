"""Half an hour of what `make soak` does for a day."""

from collections.abc import Callable

import pytest

from tests.programs.soak import soak
from tests.support.mosquitto import missing as broker_missing
from tests.support.requirements import require_system
from tests.support.virtual_microphone import missing as sound_missing

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("output", ["json", pytest.param("csv", marks=pytest.mark.slow)])
def test_half_an_hour(
    output: str, report: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_system([package for package in sound_missing() if package == "libportaudio2"])
    require_system(broker_missing())
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    found = soak(0.5, output)
    report(found.summary())
    found.check()
    # One that listens, PortAudio's, the history's and MQTT's; no idle ones of BLAS.
    assert found.looks[-1].threads == 4
