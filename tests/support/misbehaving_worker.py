"""A worker that ends as converters do: run as a module, with the path of a job."""

import json
import os
import signal
import sys
import time
from pathlib import Path


def main(path: str) -> None:
    job = json.loads(Path(path).read_text())
    os.write(1, b"converting ...\n")
    task = job["task"]
    if task == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if task == "exit":
        os.write(1, b"RuntimeError: no such operator\n")
        sys.exit(7)
    if task == "hang":
        Path(job["arguments"]["pid"]).write_text(str(os.getpid()))
        time.sleep(600)
    values = {"error": "unsupported"} if task == "refuse" else {"answer": 42}
    Path(job["result"]).write_text(json.dumps(values))


if __name__ == "__main__":
    main(sys.argv[1])
