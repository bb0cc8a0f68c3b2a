"""What several tests need, and where it comes from."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import waiting
from tests.support.requirements import lacking

# How long an example takes is the machine's business.
settings.register_profile("edge-genre", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edge-genre")

# What a script starts in its background ignores Ctrl-C, and so would the programs of tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_ROOT = Path(__file__).parent.parent


def _shared(variable: str, folder: str) -> Path:
    """A folder of real data beside the repository, or the one that the environment names."""
    path = Path(os.environ.get(variable, _ROOT.parent / "shared" / folder))
    if not path.is_dir():
        lacking(f"{variable}: no folder {path}")
    return path


@pytest.fixture(autouse=True)
def _time_begins() -> None:
    waiting.begin()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--proven",
        type=Path,
        metavar="FILE",
        help="leave out the tests that FILE names, and add those that pass",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has passed in a run before, on the same code."""
    file = config.getoption("proven")
    if not file or not file.exists():
        return
    proven = set(file.read_text().splitlines())
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in proven])
    items[:] = [item for item in items if item.nodeid not in proven]


_FIGURE = "figure"


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Print a measured figure at the end, where a reader of the tests' output sees it."""

    def write(line: str) -> None:
        record_property(_FIGURE, line)

    return write


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the figures, and keep what passed; tests may have run in other processes."""
    file = config.getoption("proven")
    if file and not hasattr(config, "workerinput"):
        passed = [found.nodeid for found in terminalreporter.getreports("passed")]
        with file.open("a") as stream:
            stream.writelines(f"{name}\n" for name in passed)
    lines = [
        f"{found.nodeid}: {value}"
        for outcome in ("passed", "failed")
        for found in terminalreporter.getreports(outcome)
        for name, value in found.user_properties
        if name == _FIGURE and found.when == "call"
    ]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The features that the bundled models were trained on."""
    return _shared("EDGE_GENRE_CORPUS", "corpus")


@pytest.fixture(scope="session")
def clips(corpus: Path) -> Path:
    """Real music: short clips with an index of genres and splits."""
    return corpus / "gtzan_clips"


@pytest.fixture(scope="session")
def reference_models() -> Path:
    """Models that others trained."""
    return _shared("EDGE_GENRE_REFERENCE_MODELS", "reference_models")
