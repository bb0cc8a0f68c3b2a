"""A day of `edge-genre listen` at full speed: what grows, what differs, what does it cost?

    python -m tests.programs.soak [--hours 24] [--output json] [--output csv]

The program is the installed one, in a process of its own, with a history and an MQTT broker. It
hears a piece of music and a pause again and again through PortAudio and ALSA. The piece is a whole
number of hops long, so that the windows of one hour are those of any other.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import click
import numpy as np
from numpy.typing import NDArray

from edge_genre import Classifier
from edge_genre.audio.file import AudioFile
from edge_genre.demo import clip
from tests.support.fed_microphone import RATE, FedMicrophone
from tests.support.mosquitto import Mosquitto

_ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(sys.executable).with_name("edge-genre"))
HOP = 0.5  # seconds, rounded to whole frames
SETTLED_HOURS = 1 / 6  # from then on nothing may grow
MOST_GROWTH = 2048  # kB
MOST_COST = 1.3  # of the CPU time of front end and inference
_EVERY = 600.0  # seconds of audio from one look at the process to the next
_PAUSE = 12.0  # seconds; longer than a label is held, so that a play ends
# The resampler computes so many samples together. Which of them are together must be the same too:
# a rounding error is enough to move an 8-bit network.
_ALIGNED = 4096
_SAME = ("label", "probability", "playing", "playing_probability", "level_dbfs")  # of CSV
_CPU_TICKS = os.sysconf("SC_CLK_TCK")


# Front end and inference of the same windows and nothing else, in a process of their own.
_ALONE = """
import itertools, os, sys, time
os.environ["OPENBLAS_NUM_THREADS"] = "1"
from edge_genre import Classifier
from edge_genre.benchmarks.latency.streaming import Loop
from tests.programs import soak
classifier = Classifier.load()
hop = classifier.round_hop(soak.HOP)
piece = soak.piece(round(hop * soak.RATE))
results = classifier.stream(Loop(piece, soak.RATE, hop=hop), hop=hop)
def take(count):
    begin = time.process_time()
    for _ in itertools.islice(results, count):
        pass
    return time.process_time() - begin
take(100)
print(take(1024) / 1024 * 1e3)
"""


@dataclass(frozen=True)
class Look:
    """What the kernel says of a process after so much audio."""

    hours: float
    resident_kb: int
    files: int
    threads: int
    cpu_seconds: float
    windows: int

    @classmethod
    def at(cls, process: int, hours: float, windows: int) -> Look:
        folder = Path(f"/proc/{process}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        spent = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
        return cls(
            hours=hours,
            resident_kb=int(status["VmRSS"].split()[0]),
            files=len(list((folder / "fd").iterdir())),
            threads=int(status["Threads"]),
            cpu_seconds=sum(map(int, spent)) / _CPU_TICKS,
            windows=windows,
        )


@dataclass
class Soak:
    """What a run has shown.

    Parameters
    ----------
    output : ``json`` or ``csv``
    looks : at the process, the first one when it had settled
    windows : all of them
    compared : windows that were compared with the first one at their place in the piece
    differing : of those, how many were not the same
    dropped, skipped : samples and windows that were lost
    plays : in the history
    seconds : that it took
    computing : time of front end and inference of a window, milliseconds, as `listen` says it of
        the windows since it had settled; 0 with CSV, which does not say it
    alone : CPU time of the same two in a loop of their own, before and after
    """

    output: str
    looks: list[Look]
    windows: int = 0
    compared: int = 0
    differing: int = 0
    dropped: int = 0
    skipped: int = 0
    plays: int = 0
    seconds: float = 0.0
    computing: float = 0.0
    alone: list[float] = field(default_factory=list)

    @property
    def cpu(self) -> float:
        """CPU time of a window and of all that `listen` does for it, milliseconds."""
        first, last = self.looks[0], self.looks[-1]
        return (last.cpu_seconds - first.cpu_seconds) / (last.windows - first.windows) * 1e3

    @property
    def cost(self) -> float:
        """The same in units of front end and inference, where they are known."""
        return self.cpu / self.computing

    @property
    def growth_kb(self) -> int:
        """By how much resident memory was ever above what it was when all had settled."""
        return max(look.resident_kb for look in self.looks) - self.looks[0].resident_kb

    def check(self) -> None:
        """Fail where something grew, was lost or differed."""
        assert self.growth_kb < MOST_GROWTH, f"memory grew by {self.growth_kb} kB"
        assert len({look.files for look in self.looks}) == 1, "files were left open, or closed"
        assert len({look.threads for look in self.looks}) == 1, "threads were left, or ended"
        assert self.compared > 0
        assert self.differing == 0, f"{self.differing} of {self.compared} windows differ"
        assert self.dropped == self.skipped == 0

    def summary(self) -> str:
        """All of it in a line."""
        first, last = self.looks[0], self.looks[-1]
        costs = [f"{self.cpu:.2f} ms of CPU a window"]
        if self.computing:
            costs.append(f"{self.cost:.2f} of what front end and inference take of it")
        alone = self.cpu / statistics.mean(self.alone)
        costs.append(f"{alone:.2f} of what the two take in a loop of their own")
        return (
            f"{last.hours:.2f} h of audio in {self.seconds:.0f} s, {self.output}: resident memory "
            f"{first.resident_kb} kB after {first.hours * 60:.0f} min, at most {self.growth_kb} kB "
            f"more later; {last.files} files, {last.threads} threads; {self.windows} windows, "
            f"{self.differing} of {self.compared} unlike the same in the first 16 min; "
            f"{self.plays} plays; {', '.join(costs)}"
        )


def soak(hours: float, output: str = "json", look: Callable[[Look], None] = lambda _: None) -> Soak:
    """Let it listen for so many hours of audio.

    Parameters
    ----------
    hours : at full speed, which is about 100 to 200 times that of life
    output : ``json`` or ``csv``
    look : is called with each `Look`
    """
    classifier = Classifier.load()
    rate = classifier.spec.sample_rate
    hop = round(classifier.round_hop(HOP) * rate)
    window = classifier.spec.window_samples
    sound = piece(hop * RATE // rate)
    period = len(sound) // (hop * RATE // rate)  # windows
    done = Soak(output, [])
    done.alone.append(_alone())
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, contextlib.ExitStack() as stack:
        history = Path(folder) / "plays.db"
        broker = Mosquitto(Path(folder), "allow_anonymous true")
        broker.start()
        stack.callback(broker.kill)
        microphone = stack.enter_context(FedMicrophone(sound, hop=hop / rate))
        outputs = ["--history", str(history), "--mqtt", f"mqtt://127.0.0.1:{broker.port}/music"]
        process = subprocess.Popen(
            [PROGRAM, "listen", f"--{output}", "--hop", str(HOP), *outputs],
            env=microphone.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        results = _results(process.stdout, output)
        seen: list[Any] = [None] * period
        computing = []
        total = int((hours * 3600 * rate - window) / hop) + 1
        # Silence and what is made of it settle in the first piece; the second is what counts.
        for number in range(total):
            # Not as far as the end of the window after: of two that are complete, `listen` would
            # leave one out, as it should.
            microphone.give((window + (number + 1) * hop) * RATE // rate - 1)
            found = next(results, None)
            if found is None:
                break
            result, same = found
            done.windows += 1
            done.dropped += int(result["dropped_samples"])
            done.skipped += int(result["skipped_windows"])
            end = float(result["end"])
            assert abs(end - (window + number * hop) / rate) < 2e-3
            place = number % period
            if number < 2 * period:
                seen[place] = same
            else:
                done.compared += 1
                done.differing += same != seen[place]
            if done.looks and output == "json":
                computing.append(result["front_end_ms"] + result["inference_ms"])
            if end >= SETTLED_HOURS * 3600 + len(done.looks) * _EVERY or number == total - 1:
                done.looks.append(Look.at(process.pid, end / 3600, done.windows))
                look(done.looks[-1])
        done.seconds = time.monotonic() - begin
        done.computing = statistics.mean(computing) if computing else 0.0
        process.terminate()
        while process.poll() is None:  # PortAudio ends a stream between two blocks
            if not microphone.full:
                microphone.give(microphone.given + microphone.block)
            time.sleep(0.02)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert done.windows == total, errors
        assert "Traceback" not in errors, errors
        with contextlib.closing(sqlite3.connect(history)) as connection:
            (whole,) = connection.execute("PRAGMA integrity_check").fetchone()
            assert whole == "ok"
            done.plays, windows = connection.execute(
                "SELECT count(*), sum(windows) FROM plays"
            ).fetchone()
        assert windows >= total - 1  # SIGTERM may come between two outputs of one window
        assert broker.word("music/availability") == "offline"
    done.alone.append(_alone())
    return done


def _alone() -> float:
    """Milliseconds of CPU time, see `_ALONE`."""
    result = subprocess.run(
        [sys.executable, "-c", _ALONE], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    return float(result.stdout)


def piece(hop: int) -> NDArray[np.float32]:
    """The demo clip and a pause, again and again."""
    with AudioFile(clip()) as file:
        assert file.rate == RATE
        music = np.concatenate(list(file.blocks()))
    sound = np.concatenate([music, np.zeros(round(_PAUSE * RATE), np.float32)])
    return np.resize(sound, math.lcm(hop, _ALIGNED))


def _results(lines: IO[str], output: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """Results line by line, each with what of it must be the same in every hour."""
    if output == "csv":
        for row in csv.DictReader(lines):
            yield row, [row[name] for name in _SAME]
        return
    for line in lines:
        row = json.loads(line)
        playing = row["playing"]
        same = [row["label"], row["probabilities"], row["level_dbfs"]]
        yield row, [*same, playing["label"], playing["probability"]]


@click.command()
@click.option(
    "--hours", type=click.FloatRange(0.5), default=24.0, show_default=True, help="Of audio."
)
@click.option(
    "--output",
    "outputs",
    type=click.Choice(["json", "csv"]),
    multiple=True,
    default=("json", "csv"),
    show_default=True,
    help="What listen prints; one run each.",
)
def main(hours: float, outputs: tuple[str, ...]) -> None:
    """Let edge-genre listen hear so many hours of audio, and print what the kernel says of it."""
    columns = "{:>8} {:>12} {:>6} {:>8} {:>8}"
    found = []
    for output in outputs:
        click.echo(columns.format("hours", "resident kB", "files", "threads", "CPU s"))

        def show(look: Look) -> None:
            values = (f"{look.hours:.2f}", look.resident_kb, look.files, look.threads)
            click.echo(columns.format(*values, f"{look.cpu_seconds:.0f}"))

        found.append(soak(hours, output, show))
        click.echo(found[-1].summary())
    for one in found:
        one.check()
        # Not in a test beside others: of what is measured one after the other, load makes anything.
        if one.computing:
            assert one.cost < MOST_COST, f"listening costs {one.cost:.2f} of what classifying does"


if __name__ == "__main__":
    main()
