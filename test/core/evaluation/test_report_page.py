"""The report of made-up scores: complete, well-formed and safe against what names contain."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from madm_core.errors import DataError
from madm_core.evaluation.bag_scores import BagScores
from madm_core.evaluation.evaluation_result import BagFailure, EvaluationResult, ModelFacts, ReportSection
from madm_core.evaluation.frame_choice import FrameChoice
from madm_core.evaluation.frame_results import FrameResult, show
from madm_core.evaluation.report import write_report
from madm_core.evaluation.report_charts import histogram, iou_over_time, reliability, risk_coverage
from madm_core.evaluation.svg_plot import css_color
from madm_core.labels import LabelSet
from madm_core.palettes import in_palette

NASTY = 'drive"><script>alert(1)</script>&'
LABELS = LabelSet("three", ("road", "sky", "<i>person"), ((128, 64, 128), (70, 130, 180), (220, 20, 60)))


def scored(name: str, frames: int, seed: int, size=(24, 32)) -> tuple[BagScores, FrameChoice]:
    rng = np.random.default_rng(seed)
    scores, choice = BagScores(name, LABELS, ("native",), (8, 8)), FrameChoice(3)
    for number in range(frames):
        truth = rng.integers(0, 2, size).astype(np.uint8)  # nobody on the road
        truth[:2] = 255
        confidence = rng.random(size).astype(np.float32)
        labels = np.where(rng.random(size) < confidence, truth % 3, 2).astype(np.uint8)
        image = rng.random((*size, 3)).astype(np.float32)
        result = FrameResult(name, 10**9 * (5 + number), image, truth, labels, confidence, 10.0 + number)
        scores.add(result)
        show([choice], result)
    return scores, choice


def result_of(*parts: tuple[BagScores, FrameChoice], failures=(), sections=()) -> EvaluationResult:
    model = ModelFacts("models/depth", "a depth model", {"name": "depth"}, LABELS, (8, 8), {"summary": NASTY}, {})
    return EvaluationResult(
        model, [scores for scores, _ in parts], {"topic": "/depth"}, ["evaluate_bag", NASTY], list(failures),
        [choice for _, choice in parts], list(sections), seconds=1.0,
    )  # fmt: skip


class Page(HTMLParser):
    """Counts elements and checks that they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_page_is_complete_self_contained_and_escaped(tmp_path):
    section = ReportSection("live", "Live <b>", "words", [("drops", "3")], {"drops": 3}, {"age (ms)": np.arange(9.0)})
    result = result_of(
        scored(NASTY, 30, 0), scored("second", 20, 1), failures=[BagFailure("third", "broken <i>")], sections=[section]
    )
    metrics = write_report(result, tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text()
    page = Page(text)
    assert len(page.of("script")) == 1 and "alert(1)</script>" not in text and "broken <i>" not in text
    assert all(image["src"].startswith("data:image/") for image in page.of("img") if "src" in image)
    assert len([image for image in page.of("img") if "src" in image]) == 6 * 5, "six frames, five pictures each"
    assert "http" not in text.replace("http-equiv", "")
    assert "1 of 3 bags could not be scored" in text and "over bags" in text
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics
    assert metrics["sections"] == {"live": {"drops": 3}}
    assert metrics["protocols"]["native"]["classes"]["<i>person"]["iou"] is None, "it is not in the ground truth"
    assert len(text) < 500_000


def test_the_palette_changes_colours_of_the_page_and_no_number(tmp_path):
    result = result_of(scored("drive", 5, 0))
    metrics = write_report(result, tmp_path / "own")
    assert write_report(result, tmp_path / "palette", "color_blind") == metrics
    own, palette = ((tmp_path / name / "report.html").read_text() for name in ("own", "palette"))
    painted = in_palette(LABELS, "color_blind")
    changed = [pair for pair in zip(LABELS.colors, painted.colors, strict=True) if pair[0] != pair[1]]
    assert changed
    for before, after in changed:
        assert own.count(css_color(before)) == palette.count(css_color(after)) > 0
        assert css_color(before) not in palette and css_color(after) not in own
    assert len(Page(own).of("img")) == len(Page(palette).of("img"))


def test_an_interrupted_evaluation_says_so(tmp_path):
    part = scored("drive", 5, 0)
    part[0].interrupted, part[0].expected = True, 12
    metrics = write_report(result_of(part), tmp_path)
    assert metrics["interrupted"] and metrics["bags"][0]["status"] == "interrupted"
    assert "interrupted after 5 of 12 frames" in (tmp_path / "report.html").read_text()


def test_no_frames_at_all_make_a_page_too(tmp_path):
    part = scored("drive", 0, 0)
    part[0].interrupted = True
    metrics = write_report(result_of(part), tmp_path)
    assert metrics["protocols"]["native"]["mean_iou"] is None and metrics["latency_ms"] is None
    Page((tmp_path / "report.html").read_text())


def test_a_folder_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="Choose another --output"):
        write_report(result_of(scored("drive", 1, 0)), tmp_path / "file" / "out")


def test_charts_are_well_formed_svg_for_much_little_and_no_data():
    many, few = scored("many", 60, 0)[0], scored("few", 1, 1)[0]
    none = BagScores("none", LABELS, ("native",), (8, 8))
    charts = [iou_over_time(bags, "native") for bags in ([many], [many, few], [few], [none], [none, many])]
    charts.append(iou_over_time([many], "native", has_times=False))
    for bag in (many, few, none):
        charts += [histogram(bag.frames.milliseconds, "latency"), reliability(bag.calibration.to_dict())]
        charts.append(risk_coverage(bag.risk_coverage))
    charts.append(histogram(np.full(5, 7.0), "all equal"))
    for chart in charts:
        ElementTree.fromstring(str(chart))
    assert "not measured" in histogram(none.frames.milliseconds, "latency")
    assert "no confidence" in reliability(none.calibration.to_dict())
    assert iou_over_time([many], "native").count('class="dot"') == 1
