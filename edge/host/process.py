"""An object in a process of its own, so that its memory, its start and its threads are its own.

Both sides speak in lines of JSON: a request is ``[name, arguments, keyword_arguments]``, and its
answer ``{"answer": ...}`` or ``{"error": ...}``. The first request makes the object, and the others
are its methods.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import IO, Any, Self

from edge_genre.errors import EdgeGenreError, EngineError
from edge_genre.host.child import Child

# Libraries that compute in more threads than the engine would be measured beside it.
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_PATIENCE = 10.0  # seconds to end by itself


class Process:
    """The process, seen from the one that asks.

    Parameters
    ----------
    module : that calls `serve`
    name : of what it measures, for the message when it dies
    environment : variables that it has beside this process's
    log : where its stderr goes, whose last line that message quotes; with this process's, if left
        out
    """

    def __init__(
        self,
        module: str,
        *,
        name: str,
        environment: Mapping[str, str] = ONE_THREAD,
        log: IO[str] | None = None,
    ) -> None:
        self._name, self._log = name, log
        self._child = Child(
            *("-m", module),
            environment=environment,
            group=False,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._requests, self._answers = self._child.stdin, self._child.stdout

    def ask(self, request: str, *arguments: Any, **keywords: Any) -> Any:
        """Make the object, or call one of its methods, and return what that returns.

        Raises
        ------
        EdgeGenreError
            It failed; the message is its own.
        EngineError
            The process died.
        """
        try:
            self._requests.write(json.dumps([request, arguments, keywords]) + "\n")
            self._requests.flush()
            line = self._answers.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise EngineError(f"{self._name}: {self._death()}")
        answer = json.loads(line)
        if "error" in answer:
            raise EdgeGenreError(answer["error"])
        return answer["answer"]

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        if self._child.wait(_PATIENCE) is None:
            self._child.kill()
        self._answers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _death(self) -> str:
        death = f"the process that measures it ended with code {self._child.wait()}"
        if self._log is None:
            return death
        self._log.seek(0)
        said = self._log.read().strip() or "nothing"
        return f"{death}, saying: {said.splitlines()[-1]}"


def serve(make: Callable[..., tuple[Any, Any]]) -> None:
    """Answer the requests on stdin until they end.

    Parameters
    ----------
    make : is called with the first request's arguments, and returns the object and what to answer.
        Dataclasses are answered as their fields
    """
    # Answers go where nothing else that this process loads will write.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    served: Any = None
    try:
        for line in sys.stdin:
            name, arguments, keywords = json.loads(line)
            try:
                if served is None:
                    served, answer = make(*arguments, **keywords)
                else:
                    answer = getattr(served, name)(*arguments, **keywords)
            except EdgeGenreError as error:
                answers.write(json.dumps({"error": str(error)}) + "\n")
            else:
                answers.write(json.dumps({"answer": answer}, default=asdict) + "\n")
            answers.flush()
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(1)  # whoever asked is gone
