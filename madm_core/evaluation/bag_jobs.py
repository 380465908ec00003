"""One recording after the other: what a worker does, wherever it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from madm_core.errors import MadmError
from madm_core.evaluation.bag_evaluation import evaluate
from madm_core.evaluation.bag_request import BagRequest
from madm_core.evaluation.bag_scores import BagScores
from madm_core.evaluation.evaluation_result import BagFailure
from madm_core.evaluation.frame_choice import FrameChoice
from madm_core.evaluation.frame_results import FrameObserver
from madm_core.segmenter import Segmenter

logger = logging.getLogger(__name__)


class BagJob(NamedTuple):
    """A recording to score.

    Args:
        path: The bag.
        label_path: The bag with the label topic; None: the same.
        export_path: Where a bag with the predictions is written; None: nowhere.
    """

    path: str
    label_path: str | None = None
    export_path: str | None = None


class BagOutcome(NamedTuple):
    """What became of a recording: scores and pictures, or a failure."""

    scores: BagScores | None
    choice: FrameChoice | None
    failure: BagFailure | None

    @classmethod
    def failed(cls, job: BagJob, error: str = "") -> BagOutcome:
        """A recording without scores, and why; empty: it was not begun."""
        return cls(None, None, BagFailure(job.path, error))


MakeObservers = Callable[[BagJob, Segmenter], Iterable[FrameObserver]]
ShowProgress = Callable[[str, int, int | None], None]
"""Gets a recording's path, the frames scored so far, and about how many there are."""


def no_observers(job: BagJob, segmenter: Segmenter) -> tuple[FrameObserver, ...]:
    """Nobody besides the report."""
    return ()


def score_bag(
    request: BagRequest,
    job: BagJob,
    segmenter: Segmenter,
    observers: MakeObservers = no_observers,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: ShowProgress = lambda path, done, expected: None,
) -> BagOutcome:
    """Scores one recording.

    Raises:
        MadmError: It cannot be scored; :func:`try_bag` makes a failure of that.
    """
    with request.open(job.path, segmenter, job.label_path) as (scores, frames), ExitStack() as opened:
        choice = FrameChoice(len(segmenter.label_set))
        used: list[FrameObserver] = [choice, _Progress(job.path, scores, progress)]
        for observer in observers(job, segmenter):
            opened.callback(observer.close)
            used.append(observer)
        evaluate(segmenter, frames, scores, used, stop=stop)
    request.require_frames(scores, job.path)
    return BagOutcome(scores, choice, None)


def try_bag(
    request: BagRequest,
    job: BagJob,
    segmenter: Segmenter,
    observers: MakeObservers = no_observers,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: ShowProgress = lambda path, done, expected: None,
) -> BagOutcome:
    """:func:`score_bag`, with an error of the recording as the outcome. A recording is not begun after ``stop``."""
    if stop():
        return BagOutcome.failed(job)
    try:
        return score_bag(request, job, segmenter, observers, stop=stop, progress=progress)
    except MadmError as error:
        return BagOutcome.failed(job, str(error))
    except Exception as error:  # a fault of ours in one recording must not cost the results of the others
        logger.exception("%s cannot be scored", job.path)
        return BagOutcome.failed(job, f"{type(error).__name__}: {error}")


def score_bags(
    request: BagRequest,
    jobs: Sequence[BagJob],
    segmenter: Segmenter,
    observers: MakeObservers = no_observers,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: ShowProgress = lambda path, done, expected: None,
) -> list[BagOutcome]:
    """All recordings in this process. With a single one its error is raised, as there is nothing to go on with."""
    if len(jobs) == 1:
        return [score_bag(request, jobs[0], segmenter, observers, stop=stop, progress=progress)]
    return [try_bag(request, job, segmenter, observers, stop=stop, progress=progress) for job in jobs]


class _Progress:
    """An observer that counts."""

    def __init__(self, path: str, scores: BagScores, progress: ShowProgress) -> None:
        self._path, self._scores, self._progress = path, scores, progress

    def frame(self, result: object) -> None:
        self._progress(self._path, len(self._scores.frames), self._scores.expected)

    def close(self) -> None:
        """Nothing is open."""
