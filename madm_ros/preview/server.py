"""The preview's web server: this machine only, a few viewers, and nothing that a viewer does reaches the node."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from madm_core.errors import ConfigError
from madm_ros.preview.composition import LAYOUTS
from madm_ros.preview.feed import PreviewFeed
from madm_ros.preview.loopback_server import LOOPBACK, LoopbackServer

_LOCAL_NAMES = (LOOPBACK, "localhost", "::1")
"""What the Host header may say. Through a forwarded port it is localhost too; a page that points a name of its own at
this address (DNS rebinding) says that name, and is refused."""

_MAX_STREAMS = 8
_PICTURES_PER_S = 10.0
"""More than this nobody needs to see, and each one takes the node's processor some milliseconds."""

_KERNEL_BUFFER = 128 * 1024
"""Bytes on their way to a viewer: with more, one on a slow line would see old pictures."""

_BOUNDARY = "madm-picture"

_PAGES = {
    "/": ("preview.html", "text/html; charset=utf-8"),
    "/preview.css": ("preview.css", "text/css; charset=utf-8"),
    "/preview.js": ("preview.js", "text/javascript; charset=utf-8"),
    "/preview.svg": ("preview.svg", "image/svg+xml"),
}

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""With every answer: nothing from elsewhere, in no other page, kept nowhere."""


class PreviewServer(LoopbackServer):
    """Serves the page at ``http://127.0.0.1:<port>/`` from threads of its own until it is stopped.

    Args:
        port: TCP port; 0 lets the system choose one.
        feed: The pictures.
        status: Makes what the page says in words and numbers, ready for JSON; called in a viewer's thread.
        warn: Takes (kind, text) of an internal error.

    Raises:
        ConfigError: The port cannot be had.
    """

    def __init__(
        self,
        port: int,
        feed: PreviewFeed,
        status: Callable[[], Mapping[str, object]],
        warn: Callable[[str, str], object],
    ) -> None:
        self.feed = feed
        self.status = status
        self.streams = 0
        """Browsers that pictures are being sent to."""
        folder = files("madm_ros.preview") / "page"
        self.pages = {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in _PAGES.items()}
        try:
            super().__init__(port, _Handler, warn)
        except OSError as error:
            raise ConfigError(
                "the preview page cannot be served",
                got=f"port {port} of {LOOPBACK}: {error.strerror or error}",
                expected="a free port that this user may open",
                do="give another --preview PORT (preview_port), or 0 to go without; "
                f"'ss -tlnp sport = :{port}' shows who has this one",
            ) from error
        self._thread = threading.Thread(target=self.serve_forever, args=(0.25,), name="preview-server", daemon=True)

    @property
    def url(self) -> str:
        """Where the page is, for a browser on this machine."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Hang up on everybody and end all threads. Returns whether they ended in time."""
        self.feed.close()
        if self._thread.ident is not None:
            self.shutdown()
            self._thread.join(timeout_s)
        self.server_close()
        return self.hang_up(timeout_s) and not self._thread.is_alive()


class _Handler(BaseHTTPRequestHandler):
    server: PreviewServer
    timeout = 10.0  # for what a browser sends, and for how long it may take for one picture
    server_version, sys_version = "madm_ros", ""

    def do_GET(self) -> None:
        """The page, its parts, the state as JSON, or pictures without end."""
        address = urlsplit(self.path)
        if not _is_local(self.headers.get("Host")):
            self._refuse(HTTPStatus.FORBIDDEN, "this page answers to localhost and 127.0.0.1 only")
        elif address.path != "/" and self.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            self._refuse(HTTPStatus.FORBIDDEN, "this is for the preview page itself, not for others")
        elif address.path in self.server.pages:
            self._send(*self.server.pages[address.path])
        elif address.path == "/status.json":
            status = {**self.server.status(), "viewers": self.server.streams}
            self._send(json.dumps(status, allow_nan=False).encode(), "application/json")
        elif address.path == "/stream.mjpg":
            layout = parse_qs(address.query).get("layout", ["row"])[0]
            if layout in LAYOUTS:
                self._stream(layout)
            else:
                self._refuse(HTTPStatus.BAD_REQUEST, f"layout is {' or '.join(LAYOUTS)}")
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is only the page /")

    def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._begin(status, {"Content-Type": kind, "Content-Length": str(len(body))})
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses (bad requests, other methods than GET), in the same words as what we refuse."""
        self._refuse(HTTPStatus(code), message or "this cannot be answered")

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._send(f"{status.value} {status.phrase}: {why}\n".encode(), "text/plain; charset=utf-8", status)

    def _begin(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, **_HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()

    def _stream(self, layout: Any) -> None:
        with self.server.lock:
            full = self.server.streams >= _MAX_STREAMS
            self.server.streams += not full
        if full:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"{_MAX_STREAMS} browsers are looking already")
            return
        try:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BUFFER)
            self._begin(HTTPStatus.OK, {"Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY}"})
            self.wfile.write(f"--{_BOUNDARY}\r\n".encode())
            shown = -1
            while (picture := self.server.feed.jpeg(layout, after=shown)) is not None:
                began = time.monotonic()
                shown, data = picture
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                # The next boundary goes out at once: Chromium shows a picture when it sees what follows it.
                self.wfile.write(head + data + f"\r\n--{_BOUNDARY}\r\n".encode())
                self.server.stopping.wait(max(0.0, began + 1 / _PICTURES_PER_S - time.monotonic()))
        finally:
            with self.server.lock:
                self.server.streams -= 1

    def log_message(self, format: str, *args: Any) -> None:
        """The node's log is for the node."""


def _is_local(host: str | None) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in _LOCAL_NAMES
    except ValueError:
        return False
