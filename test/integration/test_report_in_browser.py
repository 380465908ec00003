"""The report in a real browser: headless Chromium opens the file and a test clicks on it."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from madm_core.evaluation.bag_scores import BagScores
from madm_core.evaluation.evaluation_result import EvaluationResult, ModelFacts
from madm_core.evaluation.frame_choice import FrameChoice
from madm_core.evaluation.frame_results import FrameResult, show
from madm_core.evaluation.report import write_report
from madm_core.labels import MADM11

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Runs after the page's own script, and writes what it finds into the page, which --dump-dom then shows.
PROBE = """
<script>
window.addEventListener("load", () => {
  const note = (name, value) => document.body.setAttribute("data-" + name, value);
  const pictures = Array.from(document.querySelectorAll(".strip img"));
  note("pictures", pictures.filter((picture) => picture.naturalWidth > 0).length);
  const rows = () => Array.from(document.querySelectorAll("#class-table tbody tr"));
  const column = () => rows().map((row) => row.cells[1].dataset.value);
  const button = document.querySelectorAll("#class-table thead button")[1];
  button.click();
  note("falling", column().join(" "));
  button.click();
  note("rising", column().join(" "));
  document.querySelector("button.zoom").click();
  note("zoom", document.querySelector("dialog").open && document.querySelector("dialog img").src.length > 100);
  note("overflow", document.documentElement.scrollWidth - document.documentElement.clientWidth);
});
</script>
"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed: apt install chromium")
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """A report of two bags, the page with the probe at its end."""
    rng = np.random.default_rng(0)
    model = ModelFacts("models/street-depth", "a depth model", {"name": "depth"}, MADM11, (64, 64))
    bags, choices = [], []
    for name in ("first & last", "second"):
        scores, choice = BagScores(name, MADM11, ("native",), (64, 64)), FrameChoice(11)
        for number in range(12):
            truth = rng.integers(0, 10, (48, 64)).astype(np.uint8)  # no traffic signs
            confidence = rng.random((48, 64)).astype(np.float32)
            labels = np.where(rng.random((48, 64)) < confidence, truth, 3).astype(np.uint8)
            image = rng.random((48, 64, 3)).astype(np.float32)
            result = FrameResult(name, number * 10**8, image, truth, labels, confidence, 5.0)
            scores.add(result)
            show([choice], result)
        bags.append(scores)
        choices.append(choice)
    folder = tmp_path_factory.mktemp("report")
    write_report(EvaluationResult(model, bags, {"topic": "/depth"}, ["evaluate_bag"], choices=choices), folder)
    page = folder / "report.html"
    (folder / "probed.html").write_text(page.read_text().replace("</body>", PROBE + "</body>"))
    return folder


class Dom(HTMLParser):
    """Title, rows of each table, and the body's attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.title, self.rows, self.body = "", {}, {}
        self._open, self._table = "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._open = tag
        if tag == "table":
            self._table = dict(attrs).get("id", "")
        elif tag == "tr":
            self.rows[self._table] = self.rows.get(self._table, 0) + 1
        elif tag == "body":
            self.body = dict(attrs)

    def handle_data(self, data):
        if self._open == "title" and not self.title:  # charts have titles of their own
            self.title = data


def opened(browser: str, page: Path, profile: Path, width: int) -> tuple[Dom, list[str]]:
    """The page's elements after its scripts have run, and what it wrote to the console."""
    options = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--enable-logging=stderr", "--v=0", f"--user-data-dir={profile}",
        f"--window-size={width},900", "--dump-dom",
    ]  # fmt: skip
    done = subprocess.run([browser, *options, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return Dom(done.stdout), re.findall(r".*CONSOLE.*", done.stderr)


def test_the_page_opens_without_an_error_and_can_be_used(browser, report, tmp_path):
    dom, console = opened(browser, report / "probed.html", tmp_path, 1200)
    assert console == []
    assert dom.title == "street-depth: segmentation report"
    assert dom.rows["class-table"] == 1 + 11 and dom.rows["bag-table"] == 1 + 2
    assert dom.body["data-pictures"] == "30", "six frames, five pictures each"
    falling, rising = (dom.body[f"data-{name}"].split(" ") for name in ("falling", "rising"))
    numbers = [float(value) for value in falling if value]
    assert len(numbers) == 10 and numbers == sorted(numbers, reverse=True)
    assert rising == [str(value) for value in sorted(numbers)] + [""], "what is not defined stays last"
    assert dom.body["data-zoom"] == "true" and int(dom.body["data-overflow"]) == 0


def test_a_phone_needs_no_sideways_scrolling_and_an_error_would_be_seen(browser, report, tmp_path):
    text = (report / "probed.html").read_text().replace("</body>", "<script>nowhere.at.all()</script></body>")
    (report / "spoilt.html").write_text(text)
    dom, console = opened(browser, report / "spoilt.html", tmp_path, 500)
    assert int(dom.body["data-overflow"]) == 0
    assert len(console) == 1 and "nowhere is not defined" in console[0]
