"""What a terminal shows: live views and tables, of which a narrow one cuts nothing."""

import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from edge_genre.audio import microphone
from edge_genre.cli import devices
from edge_genre.listening.playing import NowPlaying
from edge_genre.model.bundled import bundled_models
from edge_genre.outputs import Event
from edge_genre.outputs.history import History
from edge_genre.results import WindowResult
from tests.support import models_on_the_fly as small
from tests.support.command_line import run, terminal


def test_live_view(folder: Path, model: Path) -> None:
    shown = terminal("listen", "--input", folder / "a.wav", "-m", model, "--seconds", 3)
    assert "listening ..." in shown
    assert "━" in shown
    assert any(f"{label}  for 0:0" in shown for label in small.LABELS)
    assert re.search(r"level +\|+\.* -\d+ dBFS", shown)
    assert re.search(r"played \w+ 0:0", shown)
    assert re.search(r"cost +\d+\.\d ms a window, .*CPU \d+\.\d%", shown)


@pytest.mark.parametrize("columns", [60, 120])
def test_tables_on_a_terminal(folder: Path, model: Path, columns: int) -> None:
    """With a progress bar, and with names that can be read."""
    shown = terminal("classify", folder, "-m", model, columns=columns)
    table = shown[shown.index("┏") :]
    assert all(len(line) <= columns for line in table.splitlines())
    first_column = "".join(line.split("│")[1].strip() for line in table.splitlines() if "│" in line)
    for name in ("a.wav", "more/b.flac", "quiet.wav"):
        assert str(folder / name) in first_column
    assert "3/3" in shown


COLUMNS = 80
MODEL = "a-model-whose-name-is-longer-than-its-column-2026-11-28-dynamic"


def cells(table: str) -> list[str]:
    """What each column of a table says, its lines joined, without spaces."""
    assert all(len(line) <= COLUMNS for line in table.splitlines())
    rows = [line.split("│")[1:-1] for line in table.splitlines() if line.startswith("│")]
    return ["".join(column).replace(" ", "") for column in zip(*rows, strict=True)]


def test_history_cuts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "plays.db"
    history = History(path, model=MODEL)
    result = WindowResult(
        start=0.0,
        end=3.0,
        labels=("International",),
        probabilities={"International": 0.9, "Pop": 0.1},
        level_dbfs=-20.0,
        front_end_ms=1.0,
        inference_ms=1.0,
    )
    time = datetime(2026, 11, 28, 12, tzinfo=UTC)
    history.write(Event(time, result, NowPlaying().update(result)))
    history.close()
    started, length, genre, probability, model = cells(terminal("history", path, columns=COLUMNS))
    assert started == f"{time.astimezone() - timedelta(seconds=3):%Y-%m-%d%H:%M:%S}"
    assert (length, genre, probability, model) == ("0:00:03", "International", "90%", MODEL)


def test_models_cut_nothing() -> None:
    shown = cells(terminal("models", columns=COLUMNS))
    assert shown[1] == "".join(path.name for path in bundled_models())


def test_devices_cut_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card with a name without a space, and all the rates that there are."""
    name = "USB_PnP_Sound_Device_with_a_very_long_name:Audio(hw:1,0)"
    device = microphone.Device(12, name, "JACK Audio Connection Kit", 128, 44_100, True)
    rates = (48_000, 44_100, 32_000, 22_050, 16_000, 96_000, 11_025, 8_000)
    monkeypatch.setattr(microphone, "devices", lambda: [device])
    monkeypatch.setattr(microphone, "supported_rates", lambda _: rates)
    screen = Console(width=COLUMNS, file=io.StringIO())
    monkeypatch.setattr(devices, "console", lambda: screen)
    run("devices")
    mark, index, *rest = cells(screen.file.getvalue())
    assert (mark, index) == ("*", "12")
    assert rest == [name, "JACKAudioConnectionKit", "128", ",".join(map(str, rates))]
