"""An HTTP server for this machine only, whose connections are limited in number and can all be ended."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOOPBACK = "127.0.0.1"
MAX_CONNECTIONS = 32


class LoopbackServer(ThreadingHTTPServer):
    """Answers each connection in a thread of its own, of which there are at most :data:`MAX_CONNECTIONS`.

    Args:
        port: TCP port on 127.0.0.1; 0 lets the system choose one.
        handler: Answers requests.
        warn: Takes (kind, text) of an internal error.

    Raises:
        OSError: The port cannot be had.
    """

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler], warn: Callable[[str, str], object]) -> None:
        self.stopping = threading.Event()
        """Set when the end has come: whoever waits for something else should wait for this too."""
        self.lock = threading.Lock()
        self._warn = warn
        self._connections: dict[threading.Thread, socket.socket] = {}
        super().__init__((LOOPBACK, port), handler)

    def server_bind(self) -> None:
        # Not HTTPServer's: it looks the address up in the DNS, which takes seconds on a robot without a network.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, unless there are too many already."""
        thread = threading.Thread(
            target=self._answer, args=(request, client_address), name="preview-viewer", daemon=True
        )
        with self.lock:
            full = len(self._connections) >= MAX_CONNECTIONS
            if not full:
                self._connections[thread] = request
        try:
            if not full:
                thread.start()
        except RuntimeError:  # the system has no more threads
            full = True
            with self.lock:
                self._connections.pop(thread)
        if full:
            self.shutdown_request(request)

    def _answer(self, request: Any, client_address: Any) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            with self.lock:
                self._connections.pop(threading.current_thread(), None)

    def hang_up(self, timeout_s: float) -> bool:
        """Close all connections and wait for their threads. Returns whether they ended."""
        self.stopping.set()
        with self.lock:
            connections = dict(self._connections)
        for connection in connections.values():
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # gone already
        end = time.monotonic() + timeout_s
        for thread in connections:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in connections)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A viewer that vanishes or is too slow is no error; anything else is one of ours, and the node goes on."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError) and not self.stopping.is_set():
            self._warn("preview", f"internal error in the preview page ({type(error).__name__}: {error})")
