"""A subject in a process of its own, so that its memory and its start are its own.

The process (``python -m edge_genre.benchmarks.worker``) reads a job and then requests, a line of
JSON each, and answers each with a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

from edge_genre.benchmarks.subject import Job, Subject
from edge_genre.errors import EdgeGenreError, EngineError

# BLAS in more threads than the engine would be measured beside it.
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_PATIENCE = 10.0  # seconds to end by itself


class Worker(contextlib.AbstractContextManager["Worker"]):
    """A process that measures one model, seen from the one that asks.

    Parameters
    ----------
    job : what it loads

    Raises
    ------
    EdgeGenreError
        It cannot load it.
    """

    def __init__(self, job: Job) -> None:
        self._model = job.model
        begin = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge_genre.benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **dict.fromkeys(_THREADS, "1")},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self.loading = self._exchange(job.to_dict())
        # Clocks that are monotonic are the same in all processes.
        self.loading["start_ms"] = (self.loading.pop("ready") - begin) * 1e3

    def ask(self, request: str, *arguments: Any) -> Any:
        """Call a method of the process's `Subject`, and return what it returns.

        Raises
        ------
        EdgeGenreError
            It failed, or the process died.
        """
        return self._exchange([request, *arguments])

    def _exchange(self, question: Any) -> Any:
        try:
            self._requests.write(json.dumps(question) + "\n")
            self._requests.flush()
            line = self._answers.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self._process.wait()
            raise EngineError(f"{self._model}: the process that measures it ended with code {code}")
        answer = json.loads(line)
        if "error" in answer:
            raise EdgeGenreError(answer["error"])
        return answer["answer"]

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()


def main() -> None:
    # Answers go where nothing else that this process loads will write.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(values: dict[str, Any]) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    def left_out(line: str) -> None:
        print(f"edge-genre: {line}", file=sys.stderr)

    subject: Subject | None = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if subject is None:
                subject = Subject(Job(**question), left_out)
                answer({"answer": {**subject.loading, "ready": time.monotonic()}})
                continue
            name, *arguments = question
            if name == "measure":
                answer({"answer": asdict(subject.measure(*arguments))})
            else:
                answer({"answer": getattr(subject, name)(*arguments)})
        except EdgeGenreError as error:
            answer({"error": str(error)})


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(1)  # whoever asked is gone
