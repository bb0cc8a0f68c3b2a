"""The process of one model that is measured; see `edge_genre.host.process`."""

from __future__ import annotations

import sys
import time
from typing import Any

from edge_genre.benchmarks.latency.subject import Job, Subject
from edge_genre.errors import EdgeGenreError
from edge_genre.host.process import Process, serve


class Worker(Process):
    """A process that measures one model.

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
            self.loading: dict[str, Any] = self.ask("load", **job.to_dict())
        except EdgeGenreError:
            self.close()
            raise
        # Clocks that are monotonic are the same in all processes.
        self.loading["start_ms"] = (self.loading.pop("ready") - begin) * 1e3


def _load(**job: Any) -> tuple[Subject, dict[str, Any]]:
    def left_out(line: str) -> None:
        print(f"edge-genre: {line}", file=sys.stderr)

    subject = Subject(Job(**job), left_out)
    return subject, {**subject.loading, "ready": time.monotonic()}


if __name__ == "__main__":
    serve(_load)
