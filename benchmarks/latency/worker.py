"""The process of one model that is measured; see `edge_genre.host.process`."""

from __future__ import annotations

import sys
import time
from typing import Any

from edge_genre.benchmarks.latency.result import (
    Answer,
    BatchTime,
    Graph,
    Identity,
    Memory,
    OperatorTime,
)
from edge_genre.benchmarks.latency.streaming import Steps
from edge_genre.benchmarks.latency.subject import Job, Loading, Scored, Subject
from edge_genre.errors import EdgeGenreError
from edge_genre.host.process import Process, serve


class Worker(Process):
    """A process that measures one model; its methods are those of `Subject`.

    Parameters
    ----------
    job : what it loads

    Raises
    ------
    EdgeGenreError
        It cannot load it.
    """

    def __init__(self, job: Job) -> None:
        begin = time.monotonic()
        super().__init__("edge_genre.benchmarks.latency.worker", name=job.model)
        try:
            self.loading = Loading.from_dict(self.ask("load", **job.to_dict()))
        except EdgeGenreError:
            self.close()
            raise
        # Clocks that are monotonic are the same in all processes.
        self.start_ms = (self.loading.ready - begin) * 1e3

    def identity(self) -> Identity:
        return Identity.from_dict(self.ask("identity"))

    def result(self) -> Answer:
        return Answer.from_dict(self.ask("result"))

    def measure(self, windows: int) -> Steps:
        return Steps.from_dict(self.ask("measure", windows))

    def memory(self) -> Memory:
        return Memory.from_dict(self.ask("memory"))

    def graph(self) -> Graph:
        return Graph.from_dict(self.ask("graph"))

    def accuracy(self, data: str, labels: str | None = None) -> Scored:
        return Scored.from_dict(self.ask("accuracy", data, labels))

    def profile(self) -> tuple[OperatorTime, ...] | None:
        found = self.ask("profile")
        return None if found is None else tuple(map(OperatorTime.from_dict, found))

    def batches(self) -> tuple[BatchTime, ...] | None:
        found = self.ask("batches")
        return None if found is None else tuple(map(BatchTime.from_dict, found))


def _load(**job: Any) -> tuple[Subject, Loading]:
    def left_out(line: str, files: int = 1) -> None:
        print(f"edge-genre: {line}", file=sys.stderr)

    subject = Subject(Job.from_dict(job), left_out)
    return subject, subject.loading


if __name__ == "__main__":
    serve(_load)
