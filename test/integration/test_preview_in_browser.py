"""The preview page in a real browser: headless Chromium, steered over its debugging pipe, looks at a node at work."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from madm_core.labels import LabelSet
from madm_ros.image_conversion import array_to_message
from madm_ros.preview.composition import PreviewFrame
from madm_ros.preview.feed import PreviewFeed
from madm_ros.preview.server import PreviewServer

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Chromium reads commands from descriptor 3 and answers on 4.
WITH_PIPES = "import os, sys; r, w = map(int, sys.argv[1:3]); os.dup2(r, 103); os.dup2(w, 104); os.dup2(103, 3); \
os.dup2(104, 4); os.closerange(5, 105); os.execv(sys.argv[3], sys.argv[3:])"

PICTURE = """(() => {
  const image = document.getElementById("stream"), canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
  if (!canvas.width) return "";
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/png");
})()"""


class Browser:
    """One page in Chromium."""

    def __init__(self, program: str, profile: Path) -> None:
        commands, answers = os.pipe(), os.pipe()
        options = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-c", WITH_PIPES, str(commands[0]), str(answers[1]), program, *options],
            pass_fds=(commands[0], answers[1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands[0])
        os.close(answers[1])
        self.to, self.back, self.rest = os.fdopen(commands[1], "wb", 0), os.fdopen(answers[0], "rb", 0), b""
        self.number, self.session, self.complaints = 0, "", []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol; complaints in the console are kept."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            command["sessionId"] = self.session
        self.to.write(json.dumps(command).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                part = self.back.read(1 << 16)
                assert part, "the browser ended"
                self.rest += part
            line, self.rest = self.rest.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            if answer.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
                self.complaints.append(json.dumps(answer["params"])[:400])

    def open(self, url: str, width: int, height: int, dark: bool = False) -> None:
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", features=[scheme])
        self("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.protocol === 'http:'")

    def run(self, script: str) -> Any:
        done = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def text(self, name: str) -> str:
        return self.run(f'(document.getElementById("{name}") || {{}}).textContent || ""')

    def wait(self, script: str, timeout_s: float = 60.0) -> Any:
        """Until a script's value is true."""
        end = time.monotonic() + timeout_s
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"never true: {script}; the page says {self.run('document.body.innerText')}"
            time.sleep(0.05)
        return value

    def screenshot(self) -> np.ndarray:
        data = base64.b64decode(self("Page.captureScreenshot", format="png")["data"])
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)

    def close(self) -> None:
        self.to.close()  # Chromium ends when its pipe does
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.back.close()


def until(done: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end, f"{what}: did not happen"
        time.sleep(0.05)


@pytest.fixture
def browser(tmp_path) -> Iterator[Browser]:
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed: apt install chromium")
    opened = Browser(program, tmp_path / "profile")
    yield opened
    opened.close()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_node_at_work_can_be_watched(tiny_models, start, observer, browser):
    """From before the model is loaded to after the node has ended, wide and on a phone, light and dark."""
    port = free_port()
    node = start(
        "segment", "--model", str(tiny_models["depth"]), "--input", "/cam/depth", "--preview", str(port),
        "--ros-args", "-p", "diagnostics_period_s:=0.2", "-p", "min_mean_confidence:=0.0",  # it has learnt nothing
    )  # fmt: skip
    node.wait_for(f"preview: http://127.0.0.1:{port}/")
    url = f"http://localhost:{port}/"
    browser.open(url, 1280, 900)
    browser.wait('document.getElementById("state").textContent === "segmenting"')
    assert "waiting for the first frame on /cam/depth" in browser.text("banner")
    images = observer.node.create_publisher(Image, "/cam/depth", 10)
    observer.spin_until(lambda: images.get_subscription_count())
    pictures, number = set(), 0
    while len(pictures) < 4 or float(browser.text("rate-out") or 0) == 0 or "all well" not in browser.text("level"):
        number += 1
        assert number < 200, f"{len(pictures)} pictures; the page says {browser.run('document.body.innerText')}"
        ramp = np.roll(np.linspace(500, 20000, 96).astype(np.uint16)[None].repeat(64, 0), number * 7, axis=1)
        images.publish(array_to_message(ramp, "16UC1", Header()))
        observer.spin_for(0.1)
        pictures.add(browser.run(PICTURE))
    assert browser.run('document.getElementById("strip").className') == "row"
    assert float(browser.text("rate-in")) > 0 and float(browser.text("latency")) > 0
    assert "median; p99" in browser.text("latency-more") and browser.text("topic") == "/cam/depth"
    assert browser.run('document.querySelectorAll("#legend li").length') == 12
    assert browser.text("diagnostics").startswith("modelactiveinputok")
    assert browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    light = browser.screenshot()
    assert light.shape == (900, 1280, 3) and light[5, 5].min() > 230

    browser.open(url, 390, 844, dark=True)
    browser.wait('document.getElementById("stream").naturalHeight > document.getElementById("stream").naturalWidth')
    assert browser.run('document.getElementById("strip").className') == "column"
    assert browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert browser.screenshot()[3, 3].max() < 60
    assert browser.complaints == []

    assert node.end(signal.SIGINT) == 0, node.output
    browser.wait('document.getElementById("banner").textContent.startsWith("the node does not answer")')
    assert browser.text("level") == "no connection"


def test_names_stay_text_and_a_node_that_comes_back_is_shown_again(browser):
    """Class names and messages with markup in them; the server goes and comes back."""
    hostile = "<img src=x onerror=\"document.title='broken'\">"
    label_set = LabelSet("own", (hostile, "b & c"), ((10, 120, 200), (200, 40, 10)))
    labels = np.zeros((40, 60), np.uint8)
    labels[:, 30:] = 1
    shades = iter(range(10**6))

    def status() -> dict[str, object]:
        classes = [
            {"id": i, "name": n, "color": list(c), "share": 0.5}
            for i, n, c in zip(label_set.ids, label_set.names, label_set.colors, strict=True)
        ]
        shade = np.full((40, 60, 3), next(shades) % 10 / 10, np.float32)
        feed.show(PreviewFrame(shade, labels, np.ones((40, 60), np.float32), label_set, 0.5))
        return {
            "node": f"/{hostile}", "state": "active", "enabled": True, "reloading": False, "level": "warning",
            "diagnostics": [{"name": "input", "level": "warning", "message": hostile}], "diagnostics_age_s": 0.1,
            "problem": hostile, "model": hostile, "description": "", "topic": hostile, "rate_in_hz": 3.0,
            "rate_out_hz": 2.0, "latency_ms": {"total": [1.0, 2.0, 3.0]}, "received": 3, "published": 2,
            "dropped": {hostile: 1}, "rejected": {}, "size": [40, 60], "confidence": None, "classes": classes,
        }  # fmt: skip

    feed = PreviewFeed()
    server = PreviewServer(0, feed, status, print)
    server.start()
    port = server.server_port
    browser.open(server.url, 1000, 800)
    browser.wait('document.getElementById("legend").children.length === 2')
    assert browser.text("legend").startswith(hostile) and browser.text("banner") == hostile
    assert browser.text("diagnostics") == f"inputwarning: {hostile}"
    assert browser.run("document.title") == f"/{hostile}: segmenting"
    assert browser.run('document.querySelectorAll("#legend img, dd img, h1 img").length') == 0
    swatch = browser.run('getComputedStyle(document.querySelector("#legend i")).backgroundColor')
    assert swatch == "rgb(10, 120, 200)"
    first = browser.wait(PICTURE)
    browser.wait(f"{PICTURE} !== {json.dumps(first)}")
    for hidden, viewers in ((True, 0), (False, 1)):  # a tab in the background costs the robot nothing
        browser.run(f"""Object.defineProperty(document, "hidden", {{value: {json.dumps(hidden)}, configurable: true}});
            document.dispatchEvent(new Event("visibilitychange"))""")
        until(lambda viewers=viewers: feed.show(None) or server.streams == viewers, f"{viewers} viewers")
    assert browser.complaints == []

    assert server.stop()
    browser.wait('document.getElementById("level").textContent === "no connection"')
    feed = PreviewFeed()
    server = PreviewServer(port, feed, status, print)
    server.start()
    browser.wait('document.getElementById("level").textContent === "warning"')
    until(lambda: server.streams, "asking for pictures again")
    before = browser.run(PICTURE)
    browser.wait(f"{PICTURE} !== {json.dumps(before)}")
    assert server.stop()
