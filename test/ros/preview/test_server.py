"""The preview's web server without a browser: answers, refusals, viewers good and bad, and the end."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from madm_core.errors import ConfigError
from madm_core.labels import MADM9
from madm_ros.preview import loopback_server
from madm_ros.preview import server as server_module
from madm_ros.preview.composition import PreviewFrame
from madm_ros.preview.feed import PreviewFeed
from madm_ros.preview.server import PreviewServer


def frame(label: int = 0, height: int = 8, width: int = 8) -> PreviewFrame:
    image = np.random.default_rng(label).random((height, width, 3), np.float32)
    labels = np.full((height, width), label, np.uint8)
    return PreviewFrame(image, labels, np.ones((height, width), np.float32), MADM9, 0.5)


class Page:
    """A server, and what a test does to it."""

    def __init__(self, status: Callable[[], dict[str, object]]) -> None:
        self.feed = PreviewFeed()
        self.warnings: list[str] = []
        self.server = PreviewServer(0, self.feed, status, lambda kind, text: self.warnings.append(text))
        self.server.start()

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=10)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, dict(answer.headers), body

    @contextmanager
    def stream(self, query: str = "") -> Iterator[Stream]:
        with socket.create_connection(("127.0.0.1", self.server.server_port), timeout=10) as connection:
            connection.sendall(f"GET /stream.mjpg{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            stream = Stream(connection)
            yield stream
            stream.file.close()


class Stream:
    """Pictures as they come."""

    def __init__(self, connection: socket.socket) -> None:
        self.file = connection.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = self.head()

    def head(self) -> dict[str, str]:
        pairs = {}
        while line := self.file.readline().decode().strip():
            if not line.startswith("--"):
                name, _, value = line.partition(": ")
                pairs[name] = value
        return pairs

    def picture(self) -> bytes:
        head = self.head()
        data = self.file.read(int(head["Content-Length"]))
        assert head["Content-Type"] == "image/jpeg" and data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9")
        assert self.file.readline() == b"\r\n"
        return data


def until(done: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 10
    while not done():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.01)


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page(lambda: {"node": "/<script>alert(1)</script>", "rate": 1.5})
    yield made
    assert made.server.stop(), "threads are left behind"


def test_the_page_and_its_parts_are_all_there_is(page):
    for path, kind in (("/", "text/html"), ("/preview.css", "text/css"), ("/preview.js", "text/javascript")):
        status, headers, body = page.get(path)
        assert (status, headers["Content-Type"].split(";")[0], len(body)) == (200, kind, int(headers["Content-Length"]))
    assert page.get("/preview.svg")[0] == 200
    for path in ("/preview.html", "/../server.py", "/etc/passwd", "/favicon.ico", "/%2e%2e/server.py"):
        assert page.get(path)[0] == 404
    assert page.get("/", method="POST")[0] == 501
    assert page.warnings == []


def test_the_page_asks_for_nothing_elsewhere_and_writes_texts_as_text(page):
    parts = {path: page.get(path)[2].decode() for path in ("/", "/preview.css", "/preview.js")}
    for text in parts.values():
        assert "//" not in text.replace("http://www.w3.org", "").replace("// ", "")
    for way_to_markup in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way_to_markup not in parts["/preview.js"]
    assert not re.search(r"<style|<script>|\sstyle=|\son\w+=", parts["/"])


def test_headers_keep_it_to_itself(page):
    for path, method in (("/", "GET"), ("/status.json", "GET"), ("/nothing", "GET"), ("/", "POST")):
        headers = page.get(path, method)[1]
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
        assert headers["Cache-Control"] == "no-store"
        assert "Python" not in headers["Server"]


def test_the_state_is_json_with_the_number_of_viewers(page):
    status, headers, body = page.get("/status.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body) == {"node": "/<script>alert(1)</script>", "rate": 1.5, "viewers": 0}


@pytest.mark.parametrize("host", ["localhost", "localhost:9999", "127.0.0.1:8088", "[::1]:8088", "LOCALHOST"])
def test_local_names_are_answered_through_any_forwarded_port(page, host):
    assert page.get("/status.json", Host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8088", "127.0.0.1.evil.example", "localhost.evil.example", "[", "", "192.168.0.7"],
)
def test_names_that_are_pointed_at_this_machine_are_refused(page, host):
    for path in ("/", "/status.json", "/stream.mjpg"):
        status, _, body = page.get(path, Host=host)
        assert status == 403 and b"localhost" in body


def test_other_pages_get_neither_pictures_nor_state(page):
    for site in ("cross-site", "same-site"):
        for path in ("/status.json", "/stream.mjpg", "/preview.js"):
            assert page.get(path, Sec_Fetch_Site=site)[0] == 403
    assert page.get("/status.json", Sec_Fetch_Site="same-origin")[0] == 200
    assert page.get("/", Sec_Fetch_Site="cross-site")[0] == 200  # a link to the page is fine


def test_it_listens_on_loopback_only(page):
    assert page.server.socket.getsockname()[0] == "127.0.0.1"
    assert page.server.url == f"http://127.0.0.1:{page.server.server_port}/"


def test_pictures_come_as_they_change_and_the_viewer_is_counted(page):
    with page.stream("?layout=column") as stream:
        assert stream.headers["Content-Type"].startswith("multipart/x-mixed-replace; boundary=")
        pictures = [stream.picture()]
        for label in (1, 2):
            page.feed.show(frame(label))
            pictures.append(stream.picture())
        assert len(set(pictures)) == 3
        assert json.loads(page.get("/status.json")[2])["viewers"] == page.server.streams == 1
    page.feed.show(frame(3))
    until(lambda: page.server.streams == 0 or page.feed.show(frame(3)), "noticing that the viewer is gone")


def test_a_wrong_layout_is_refused(page):
    assert page.get("/stream.mjpg?layout=circle")[0] == 400


def test_no_more_than_ten_pictures_a_second(page):
    with page.stream() as stream:
        ended = threading.Event()
        giver = threading.Thread(
            target=lambda: [page.feed.show(frame(n % 9)) for n in range(10**6) if not ended.wait(0.005)]
        )
        giver.start()
        stream.picture()
        began = time.monotonic()
        for _ in range(10):
            stream.picture()
        took_s = time.monotonic() - began
        ended.set()
        giver.join()
    assert took_s > 0.8


def test_a_browser_that_does_not_read_holds_up_neither_the_giver_nor_others(page):
    large = [frame(label, 480, 640) for label in range(2)]
    with page.stream() as stuck, page.stream() as other:
        other.picture()
        began = time.monotonic()
        for number in range(40):
            page.feed.show(large[number % 2])
            if number % 4 == 0:
                other.picture()
        assert time.monotonic() - began < 30
        assert stuck.status == 200  # and is read no further


def test_too_many_viewers_are_told_so(page, monkeypatch):
    monkeypatch.setattr(server_module, "_MAX_STREAMS", 2)
    with page.stream() as one, page.stream() as two:
        one.picture(), two.picture()
        status, _, body = page.get("/stream.mjpg")
        assert status == 503 and b"2 browsers" in body
        assert page.get("/status.json")[0] == 200


def test_too_many_connections_are_hung_up_on_and_the_rest_goes_on(page, monkeypatch):
    monkeypatch.setattr(loopback_server, "MAX_CONNECTIONS", 3)
    silent = [socket.create_connection(("127.0.0.1", page.server.server_port), timeout=10) for _ in range(3)]
    until(lambda: len(page.server._connections) == 3, "taking the silent ones")
    with pytest.raises(OSError):
        page.get("/status.json")
    for connection in silent:
        connection.close()
    until(lambda: not page.server._connections, "letting the silent ones go")
    assert page.get("/status.json")[0] == 200


@pytest.mark.parametrize(
    "rubbish", [b"\x00\xff\xfe\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"x" * 70000, b"\r\n"]
)
def test_rubbish_ends_its_connection_and_nothing_else(page, rubbish):
    with socket.create_connection(("127.0.0.1", page.server.server_port), timeout=10) as connection:
        connection.sendall(rubbish)
        connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            connection.recv(65536)
    assert page.get("/status.json")[0] == 200


def test_an_error_of_our_own_is_warned_about_and_the_server_goes_on():
    broken = Page(lambda: {"rate": 1 / 0})
    with pytest.raises(http.client.HTTPException):
        broken.get("/status.json")
    until(lambda: broken.warnings, "the warning")
    assert "ZeroDivisionError" in broken.warnings[0]
    assert broken.get("/")[0] == 200
    assert broken.server.stop()


def test_a_port_in_use_says_what_to_do(page):
    with pytest.raises(ConfigError) as refused:
        PreviewServer(page.server.server_port, page.feed, dict, print)
    text = str(refused.value)
    assert f"port {page.server.server_port} of 127.0.0.1: Address already in use" in text
    assert "expected a free port" in text and "preview_port" in text


def test_the_end_hangs_up_on_viewers_and_ends_all_threads():
    before = set(threading.enumerate())
    ending = Page(dict)
    with ending.stream() as stream, socket.create_connection(("127.0.0.1", ending.server.server_port)) as silent:
        stream.picture()
        until(lambda: len(ending.server._connections) == 2, "taking both")
        began = time.monotonic()
        assert ending.server.stop()
        assert time.monotonic() - began < 3
        assert silent.recv(100) == b""
    assert set(threading.enumerate()) <= before
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", ending.server.server_port), timeout=1)


def test_the_same_port_can_be_had_again_at_once():
    first = Page(dict)
    with first.stream() as stream:
        stream.picture()
        port = first.server.server_port
        assert first.server.stop()
    again = PreviewServer(port, PreviewFeed(), dict, print)
    again.start()
    assert again.server_port == port and again.stop()
