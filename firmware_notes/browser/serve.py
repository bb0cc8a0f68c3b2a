"""Serve the page to this machine's browser: python serve.py [--port 8000]."""

from __future__ import annotations

import argparse
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# The same as in index.html, for the workers too, which do not inherit the page's.
_POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data:"


class Handler(SimpleHTTPRequestHandler):
    """Files of one folder, with the types that browsers insist on whatever the system says."""

    extensions_map = {  # noqa: RUF012 - the base class declares it so
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".svg": "image/svg+xml",
    }

    def end_headers(self) -> None:
        """Add what a site should send as well."""
        self.send_header("Content-Security-Policy", _POLICY + "; media-src blob:")
        self.send_header("Cache-Control", "no-cache")  # ask whether a file has changed
        super().end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing of what went well."""


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Serve the page on this machine.")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    folder = Path(__file__).parent
    handler = partial(Handler, directory=str(folder))
    # Not to the network: browsers give the microphone to localhost and https:// only.
    server = ThreadingHTTPServer(("localhost", parser.parse_args().port), handler)
    print(f"http://localhost:{server.server_port}/", flush=True)  # noqa: T201
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
