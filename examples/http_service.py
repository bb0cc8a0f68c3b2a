"""A service: who posts audio gets its genre as JSON.

    python examples/http_service.py [PORT]
    curl --data-binary @song.mp3 http://127.0.0.1:8000/

It answers this machine alone, and one request after another: a classifier is for one thread. The
answer is `SongResult.to_dict`; of audio that cannot be classified it is an error in one line.
"""

import http.server
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge_genre import AudioError, Classifier

LONGEST = 64_000_000  # bytes


class Service(http.server.HTTPServer):
    """An HTTP server that holds one classifier."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.classifier = Classifier.load()


class Handler(http.server.BaseHTTPRequestHandler):
    """Classifies what is posted."""

    server: Service
    timeout = 30  # seconds that a sender may pause

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or not 0 < int(length) <= LONGEST:
            self.answer(413, {"error": f"expected Content-Length: 1 to {LONGEST} bytes of audio"})
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "audio"
            path.write_bytes(self.rfile.read(int(length)))
            try:
                song = self.server.classifier.classify_file(path)
            except AudioError as error:
                self.answer(400, {"error": str(error).removeprefix(f"{path}: ")})
                return
        self.answer(200, song.to_dict() | {"path": self.path})

    def answer(self, status: int, values: dict[str, Any]) -> None:
        content = json.dumps(values).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main(port: str = "8000") -> None:
    """Answer until Ctrl-C."""
    with Service(int(port)) as service:
        print(f"http://127.0.0.1:{service.server_port}/", flush=True)
        service.serve_forever()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit()
