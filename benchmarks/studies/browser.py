"""What a window costs in a browser: the table of ``firmware_notes/browser/README.md``.

    python -m edge_genre.benchmarks.studies.browser MODEL... [--page FILE.md]

MODEL is a file made by ``edge-genre convert --waveform``. Each is loaded in turns into the page,
from the repository's root, in Chromium without a window, and classifies the demo clip. It needs
Chromium and Playwright, and the page's engines (``npm install`` in its folder).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from edge_genre.benchmarks.markdown import table, with_part
from edge_genre.benchmarks.text import number, size
from edge_genre.demo import clip
from edge_genre.errors import EdgeGenreError
from edge_genre.host.machine import condition, doubts, this_machine

PART = "measured"  # of the page
SITE = Path("firmware_notes/browser")
_TURNS = 3
_DONE = re.compile(" each$")
_WAIT = 120_000  # milliseconds


@dataclass
class Cost:
    """What one file costs.

    Parameters
    ----------
    path : of the file
    engine : the page's name for what runs it
    load_ms : of each turn: from the file's choice until it has passed its self-test
    window_ms : of each window of all turns
    """

    path: Path
    engine: str = ""
    load_ms: list[float] = field(default_factory=list)
    window_ms: list[float] = field(default_factory=list)


@contextmanager
def page() -> Iterator[Any]:
    """The page, a Playwright ``Page``, and the browser that it is in.

    Raises
    ------
    EdgeGenreError
        Something that it needs is not installed.
    """
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        raise EdgeGenreError("Playwright is not installed: pip install playwright") from None
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None or not (SITE / "engines").is_dir():
        raise EdgeGenreError(
            f"expected Chromium, and {SITE}/engines: npm install --prefix {SITE}, and run this "
            "from the repository's root"
        )
    server = subprocess.Popen(
        [sys.executable, SITE / "serve.py", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
            opened = browser.new_page()
            opened.goto(url)
            # It looks for a model of its own first, and need not have one.
            expect(opened.locator("#status")).to_have_text(re.compile("^Ready|^$"), timeout=_WAIT)
            yield opened, f"Chromium {browser.version}"
            browser.close()
    finally:
        server.kill()
        server.wait()


def measure(opened: Any, cost: Cost) -> None:
    """Load a file into the page, classify the demo clip twice, and add what the second took."""
    from playwright.sync_api import expect

    status = opened.locator("#status")
    begin = opened.evaluate("() => performance.now()")
    opened.set_input_files("#model", cost.path)
    opened.wait_for_selector("#listen:enabled, #error:visible", timeout=_WAIT)
    cost.load_ms.append(opened.evaluate("() => performance.now()") - begin)
    if opened.is_visible("#error"):
        raise EdgeGenreError(opened.inner_text("#error"))
    found = re.search(r"kB in (.*?)\.( Its| It) ", opened.inner_text("#about"))
    cost.engine = found[1] if found else ""
    opened.select_option("#hop", "0.5")
    for _ in range(2):  # the browser compiles what runs often while it runs
        opened.set_input_files("#file", clip())
        expect(status).to_have_text(_DONE, timeout=_WAIT)
    with opened.expect_download() as download:
        opened.click("#save")
    lines = Path(download.value.path()).read_text().splitlines()
    cost.window_ms += [json.loads(line)["inference_ms"] for line in lines]


def page_part(models: Sequence[Path]) -> str:
    """Measure, and return what is generated in the page."""
    machine, before = this_machine(), condition()
    costs = [Cost(path) for path in models]
    with page() as (opened, browser):
        for cost in costs * _TURNS:
            measure(opened, cost)
    after = condition()
    rows = (
        [
            f"`{cost.path.name}`",
            cost.engine,
            size(cost.path.stat().st_size),
            number(float(np.median(cost.load_ms)) / 1e3),
            number(float(np.median(cost.window_ms))),
            number(float(np.percentile(cost.window_ms, 90))),
        ]
        for cost in costs
    )
    head = ["file", "engine", "size", "ready after, s", "a window, ms", "90 % of them, ms"]
    about = f"{machine.cpu}, {browser} without a window, one thread; medians; {after.time[:10]}."
    warnings = [f"> **Not to be trusted:** {each}." for each in doubts(machine, before, after)]
    return "\n\n".join([about, *warnings, table(head, rows, left=2)])


@click.command()
@click.argument(
    "models",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--page",
    "target",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Write the table into this page.",
)
def main(models: tuple[Path, ...], target: Path | None) -> None:
    """Measure what a window costs in a browser."""
    try:
        content = page_part(models)
        if target is None:
            click.echo(content)
        else:
            target.write_text(with_part(target.read_text(), PART, content))
    except EdgeGenreError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
