"""Many recordings on a cluster of machines with Ray (extra ``ray``)."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

from madm_core.errors import DeviceError, MissingDependencyError
from madm_core.evaluation.bag_jobs import BagJob, BagOutcome, MakeObservers, ShowProgress, try_bag
from madm_core.evaluation.bag_request import BagRequest
from madm_core.segmenter import Segmenter


def score_bags_with_ray(
    request: BagRequest,
    jobs: Sequence[BagJob],
    address: str,
    observers: MakeObservers,
    *,
    workers: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: ShowProgress = lambda path, done, expected: None,
) -> list[BagOutcome]:
    """Scores recordings as tasks of a Ray cluster, one task a recording.

    Paths of models, bases, bags and labels must be the same on all machines, as on a shared file system, and madm_ros
    must be installed there. A task takes one processor, and a GPU where the device is one.

    Args:
        request: What to score.
        jobs: The recordings.
        address: ``HOST:PORT``, ``ray://HOST:PORT``, ``auto`` (the cluster that runs on this machine) or ``local``
            (starts one here).
        observers: Makes the observers in the worker: must be picklable.
        workers: With ``local``: its number of processors.
        stop: When it says True, tasks that have not begun are given up, and what is finished is kept.
        progress: See :class:`ShowProgress`; told when a recording is finished.

    Returns:
        An outcome for each job, in their order.

    Raises:
        MissingDependencyError: Ray is not installed.
        DeviceError: No cluster answers at the address.
    """
    # Nothing is sent to anybody; must be said before the import.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Workers use the environment that they are started in.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError("--ray needs Ray", got=error, do='run: pip install "madm_ros[ray]"') from error
    options: dict[str, Any] = {"include_dashboard": False, "num_cpus": workers} if address == "local" else {}
    try:
        ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise DeviceError(
            f"no Ray cluster answers at {address!r}", got=str(error).partition("\n")[0],
            do="start one with `ray start --head`, or say --ray local",
        ) from error  # fmt: skip
    try:
        gpus = 1 if request.device.startswith("cuda") else 0
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=1)(_task)
        pending = {task.remote(request, job, observers): number for number, job in enumerate(jobs)}
        outcomes: dict[int, BagOutcome] = {}
        while pending and not stop():
            finished, _ = ray.wait(list(pending), timeout=0.2)
            for reference in finished:
                number = pending.pop(reference)
                outcomes[number] = _outcome(ray, reference, jobs[number])
                scores = outcomes[number].scores
                if scores is not None:
                    progress(jobs[number].path, len(scores.frames), scores.expected)
        for reference, number in pending.items():
            ray.cancel(reference, force=False)
            outcomes[number] = BagOutcome.failed(jobs[number])
        return [outcomes[number] for number in range(len(jobs))]
    finally:
        ray.shutdown()


def _outcome(ray: Any, reference: Any, job: BagJob) -> BagOutcome:
    try:
        outcome: BagOutcome = ray.get(reference)
    except ray.exceptions.RayError as error:  # a machine was lost, or the model cannot be loaded there
        words = str(error).strip().rpartition("\n")[2] or type(error).__name__
        return BagOutcome.failed(job, words)
    return outcome


@functools.lru_cache(maxsize=1)
def _segmenter(model: str, device: str, precision: str, resize: str, base: str | None) -> Segmenter:
    """The model, loaded once in each of Ray's processes, which serve one task after the other."""
    request = BagRequest(model=model, topic="", device=device, precision=precision, resize=resize, base=base)
    return request.load_segmenter()


def _task(request: BagRequest, job: BagJob, observers: MakeObservers) -> BagOutcome:
    segmenter = _segmenter(request.model, request.device, request.precision, request.resize, request.base)
    return try_bag(request, job, segmenter, observers)
