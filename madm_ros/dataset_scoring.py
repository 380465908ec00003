"""The work of ``evaluate_dataset``: scores a labelled data set on one process or many, and writes the report."""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object

from madm_core import process_group
from madm_core.command_line import SUCCESS, Outcome
from madm_core.data.frames import Frames
from madm_core.errors import DataError
from madm_core.evaluation.dataset_evaluation import blocks_of, score_blocks, sequences_in_order
from madm_core.evaluation.evaluation_result import BagFailure, EvaluationResult, ModelFacts, ReportSection
from madm_core.evaluation.frame_choice import FrameChoice
from madm_core.evaluation.frame_results import protocols_named
from madm_core.evaluation.metrics import scores
from madm_core.evaluation.published_sets import PUBLISHED, SOURCE, open_test_set
from madm_core.evaluation.report import write_report
from madm_core.interruption import AFTER_FRAME, Interrupted, Interruption
from madm_core.model.precision import choose_device
from madm_core.progress import progress_bar
from madm_core.segmenter import Segmenter
from madm_core.terminal import shows_progress
from madm_ros.evaluation_outcome import report_outcome


def evaluate(chosen: argparse.Namespace, words: list[str]) -> Outcome:
    """Scores what the options of ``evaluate_dataset`` name; ``words`` are the command line, for the report."""
    started = time.monotonic()
    state = PartialState(cpu=choose_device(chosen.device).type == "cpu", timeout=process_group.TIMEOUT)
    shared_out = state.num_processes > 1 and state.device.type != "cpu"
    device = str(state.device) if shared_out else chosen.device
    segmenter = Segmenter.from_pretrained(
        chosen.model, device=device, precision=chosen.precision, resize=chosen.resize, base=chosen.base
    )
    with state.main_process_first():  # it draws DSEC's events, the others find them in the cache
        frames = open_test_set(
            chosen.data[0],
            chosen.data[1:],
            label_set=segmenter.label_set,
            modality=segmenter.modality,
            cache=Path(chosen.cache).expanduser(),
            progress=state.is_main_process and shows_progress(),
        )
    numbered = list(enumerate(blocks_of(frames)))
    own = numbered[state.process_index :: state.num_processes]
    protocols = protocols_named(chosen.protocol)
    segmenter.warm_up()
    choice = FrameChoice(len(segmenter.label_set))
    frames_of_own = sum(len(block.indices) for _, block in own)
    # Until the report is written: a launcher's signal may come as late as that.
    with Interruption(AFTER_FRAME, relayed=state.num_processes > 1) as stop:
        with progress_bar("frames", frames_of_own) if state.is_main_process else nullcontext() as bar:
            count = bar.update if bar is not None else _count_nothing
            parts = score_blocks(segmenter, frames, own, protocols, [choice], progress=count, stop=stop)
        interrupted, choices = stop.requested, [choice]
        if state.num_processes > 1:
            parts, choices = gather_object(parts), gather_object(choices)
            interrupted = any(gather_object([interrupted]))
        if not state.is_main_process:
            return Outcome()  # a code of its own would have the launcher end the process that writes the report
        sequences, not_begun = sequences_in_order(parts, [block for _, block in numbered])
        result = EvaluationResult(
            ModelFacts.of(segmenter, chosen.model),
            sequences,
            {
                "data": frames.name,
                "frames": len(frames),
                "expected_frames": frames.expected_count,
                "processes": state.num_processes,
            },
            ["evaluate_dataset", *words],
            failures=[BagFailure(name, "") for name in not_begun],
            choices=choices,
            has_times=False,
            seconds=time.monotonic() - started,
        )
        if not result.scored:
            if interrupted:
                raise Interrupted
            raise DataError(
                f"no frame of {frames.name} could be scored", got=sequences[0].warnings[0], do="run check_data on it"
            )
        result.sections.append(_comparison(chosen.data[0], frames, result))
        write_report(result, chosen.output, chosen.palette)
    _print(result)
    return report_outcome(result, chosen.output, SUCCESS)


def _count_nothing() -> None:
    """One process shows how far they are."""


def _comparison(kind: str, frames: Frames, result: EvaluationResult) -> ReportSection:
    """The authors' figure beside the model's, and whether they may be compared."""
    published = PUBLISHED.get(kind)
    total = result.total()
    warnings = []
    expected = frames.expected_count
    if expected is not None and len(frames) != expected:
        warnings.append(f"the data set has {len(frames)} frames, the published one {expected}")
    if result.scored != len(frames):
        warnings.append(f"{result.scored} of {len(frames)} frames were scored")
    rows = [("frames", f"{result.scored} scored, {len(frames)} found, {expected or 'no number'} published")]
    data: dict[str, Any] = {"frames_found": len(frames), "frames_published": expected, "mean_iou": {}}
    for protocol in result.protocols:
        found = scores(total.matrix(protocol))
        rows += [
            (f"this model, protocol {protocol}, mIoU %", f"{100 * found.mean_iou:.2f}"),
            (
                f"this model, protocol {protocol}, mIoU % as the authors average",
                f"{100 * found.mean_iou_reference:.2f}",
            ),
        ]
        data["mean_iou"][protocol] = {"ours": found.mean_iou, "reference": found.mean_iou_reference}
    if published is not None:
        stated = "not stated there" if published.mean_iou is None else f"{published.mean_iou:.2f}"
        rows.append((f"paper, {published.task}, protocol paper, mIoU %", stated))
        if published.released is not None:
            rows.append(("their released checkpoint, mIoU %", f"{published.released:.2f}"))
        rows.append(("source", SOURCE))
        data |= {
            "task": published.task, "protocol": "paper", "paper_mean_iou_percent": published.mean_iou,
            "released_mean_iou_percent": published.released, "source": SOURCE,
        }  # fmt: skip
        if "paper" not in result.protocols:
            warnings.append("the authors' figure is of the protocol paper: run with --protocol both")
    data["warnings"] = warnings
    text = "The figures cannot be compared: " + "; ".join(warnings) + "." if warnings else ""
    return ReportSection("published", "Published figure", text, rows, data)


def _print(result: EvaluationResult) -> None:
    section = result.sections[-1]
    print(f"{result.model.description}\n{result.source['data']}" + ("; INTERRUPTED" if result.interrupted else ""))
    total = result.total()
    for protocol in result.protocols:
        found = scores(total.matrix(protocol))
        print(f"\nprotocol {protocol}\n  {'class':<16}{'IoU %':>8}{'pixels':>14}")
        for name, iou, pixels in zip(result.label_set.names, found.iou, found.pixels, strict=True):
            print(f"  {name:<16}{'-' if pixels == 0 else f'{100 * iou:.2f}':>8}{pixels:>14}")
    print()
    for name, value in section.rows:
        print(f"{name}: {value}")
    for warning in section.data["warnings"]:
        print(f"WARNING: {warning}")
    for bag in result.bags:
        for warning in bag.warnings:
            print(f"WARNING: {warning}")
