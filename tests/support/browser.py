"""The page of firmware_notes/browser in a real Chromium without a window."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_genre.model.file import read, write
from edge_genre.model.input import inputs_of
from tests.support.requirements import require_package, require_system
from tests.support.waiting import PATIENCE

_ROOT = Path(__file__).parents[2]
PAGE = _ROOT / "firmware_notes" / "browser"
BUNDLED = _ROOT / "models" / "bundled"
READY = re.compile("^Ready")


def chromium() -> str:
    """The browser; a test that cannot have it, its driver or the page's engines skips or fails."""
    require_package("playwright.sync_api")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    missing = [] if found else ["chromium"]
    if not (PAGE / "engines").is_dir():
        missing.append("the engines (npm install --prefix firmware_notes/browser)")
    require_system(missing)
    return str(found)


def site(folder: Path, models: dict[str, Path]) -> Path:
    """A copy of the page with models of its own, by their names in ``models/``."""
    for file in PAGE.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    (folder / "engines").symlink_to(PAGE / "engines")
    (folder / "models").mkdir()
    for name, model in models.items():
        shutil.copy(model, folder / "models" / name)
    return folder


class Server:
    """Serves a site by its own script; ``url`` is where."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, folder / "serve.py", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url.startswith("http://localhost:"), self.url

    def stop(self) -> None:
        """Be gone, as a network is."""
        self._process.kill()
        self._process.wait()


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """A server while the block runs."""
    server = Server(folder)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def playwright() -> Iterator[Any]:
    """Playwright, of which a process has one at a time; `launched` takes it."""
    chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        yield running


@contextmanager
def launched(driver: Any, *arguments: str) -> Iterator[Any]:
    """A browser, `Browser` of Playwright, with more command-line arguments."""
    # Containers have no namespaces for the sandbox, and the pages are our own.
    options = ["--no-sandbox", *arguments]
    browser = driver.chromium.launch(
        executable_path=chromium(), args=options, timeout=PATIENCE * 1000
    )
    try:
        yield browser
    finally:
        browser.close()


class Visit:
    """A page that was opened, and what it asked of the network and complained of."""

    def __init__(self, running: Any, url: str, **context: Any) -> None:
        self.context = running.new_context(**context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.requests: list[str] = []
        self.mistakes: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.mistakes.append(str(error)))
        self.url = url
        self.page.goto(url)

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def shows(
        self, element: str, text: str | re.Pattern[str], *, seconds: float = PATIENCE
    ) -> None:
        """Wait until an element, by its id, has a text."""
        from playwright.sync_api import expect

        expect(self.page.locator(f"#{element}")).to_have_text(text, timeout=seconds * 1000)

    def text(self, element: str) -> str:
        """What an element shows now."""
        return str(self.page.inner_text(f"#{element}"))

    def ready(self) -> None:
        """Wait until the model is loaded."""
        self.shows("status", READY)

    def choose(self, element: str, file: Path | dict[str, Any]) -> None:
        """Give a file to a file input, by its id."""
        self.page.set_input_files(f"#{element}", file)

    def classify(self, audio: Path, *, hop: float = 1.0) -> list[dict[str, Any]]:
        """Classify a file as a user does, and return the results that the page saves."""
        self.page.select_option("#hop", str(hop) if hop % 1 else str(int(hop)))
        self.choose("file", audio)
        self.shows("status", re.compile("windows, .* each$"))
        return self.saved()

    def saved(self) -> list[dict[str, Any]]:
        """What the button Save results gives."""
        with self.page.expect_download() as download:
            self.page.click("#save")
        return [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]

    def problem(self) -> str:
        """Wait for an error and return it."""
        error = self.page.locator("#error")
        error.wait_for(state="visible")
        return str(error.inner_text())


def waveform_file(name: str, folder: Path, **changes: Any) -> Path:
    """A bundled model with its front end in the graph, as ``convert --waveform`` makes it.

    ``changes`` replace what the file says of itself.
    """
    from edge_genre.convert.tflite.metadata import with_metadata
    from edge_genre.convert.verify.answer import with_self_test
    from edge_genre.convert.waveform import waveform_spec, with_front_end
    from edge_genre.model.container import split

    model = read(BUNDLED / name)
    assert model.info is not None
    assert model.info.front_end is not None
    graph, _ = split(model.content)
    joined = with_front_end(graph, model.info.front_end, output=model.info.output)
    spec = waveform_spec(model.info.front_end)
    info = replace(model.info, inputs=inputs_of(spec), output="probabilities", self_test=None)
    if model.kind == "tflite":
        joined = with_metadata(joined, info)
    path = folder / name
    write(path, joined, replace(with_self_test(joined, info), **changes))
    return path
