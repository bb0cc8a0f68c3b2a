"""Our front end beside librosa's: the report, and one window of it."""

import json
from itertools import islice

from edge_genre.benchmarks.studies import front_ends
from edge_genre.benchmarks.studies.front_ends import Errors, Other, Report, StartUp
from edge_genre.host.machine import this_machine


def made_up() -> Report:
    tasks = ("FFT of 130 frames (R)", f"FFT of {front_ends.HOP} frames", "log-mel, 3 s")
    tasks += ("log-mel, 30 s", "librosa: log-mel, 3 s", "librosa: five channels, 3 s")
    errors = Errors(75, 0, 1, 2, dict.fromkeys(front_ends.LIMITS, 1e-4))
    return Report(
        machine=this_machine(),
        date="2026-01-02",
        seconds=dict.fromkeys(tasks, 0.002),
        errors={"synthetic": errors},
        peers={"one": Other("log-mel", "", 0.5), "another": Other("40 bands", "fixed point", None)},
        start_up=StartUp(0.1, 0.25, 30.0, 43.0),
    )


def test_a_report_survives_json() -> None:
    report = made_up()
    assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    assert report.to_dict()["errors"]["synthetic"]["other beats"] == 1


def test_the_page_has_every_figure() -> None:
    text = front_ends.page(made_up())
    assert "| log-mel, 30 s | 2.000 | 1.00 | 10.0 |" in text
    assert "| largest difference from librosa | 75 synthetic windows | goal |" in text
    assert "| MFCC | 1.0e-04 | 0.0005 |" in text
    assert "| windows with other tuning | 2 | 0 |" in text
    assert "| another | 40 bands | something else | fixed point |" in text
    assert text.endswith("2.50 times `import numpy`, 43 MB.")


def test_errors_are_counted_for_each_feature() -> None:
    found = front_ends.errors(islice(front_ends.synthetic_windows(), 2))
    assert found.windows == 2
    assert found.largest.keys() == front_ends.LIMITS.keys()
    assert 0 < max(found.largest.values()) < 0.1
