"""Many recordings on several processes of this machine; a process that dies costs the recording it worked on."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from madm_core.evaluation.bag_jobs import BagJob, BagOutcome, MakeObservers, ShowProgress, try_bag
from madm_core.evaluation.bag_request import BagRequest
from madm_core.interruption import AFTER_FRAME, Interruption


def score_bags_in_processes(
    request: BagRequest,
    jobs: Sequence[BagJob],
    workers: int,
    observers: MakeObservers,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: ShowProgress = lambda path, done, expected: None,
) -> list[BagOutcome]:
    """Scores recordings, each on one process; the results do not depend on how many there are.

    Args:
        request: What to score. Each process loads the model once.
        jobs: The recordings.
        workers: Number of processes, at least 1. They share this machine's cores.
        observers: Makes the observers in the worker: must be picklable.
        stop: When it says True the processes come to an end as after Ctrl-C.
        progress: See :class:`ShowProgress`.

    Returns:
        An outcome for each job, in their order.
    """
    context = multiprocessing.get_context("spawn")  # a forked copy of torch's threads may hang
    waiting = deque(enumerate(jobs))
    outcomes: dict[int, BagOutcome] = {}
    threads = max(1, torch.get_num_threads() // workers)
    running = [_Worker(context, request, observers, threads, waiting) for _ in range(min(workers, len(jobs)))]
    is_told = False
    try:
        while running:
            if stop() and not is_told:
                is_told = True
                outcomes.update((number, BagOutcome.failed(job)) for number, job in waiting)
                waiting.clear()
                for worker in running:
                    worker.end_early()
            # The timeout lets a request to stop be seen.
            for ready in wait([worker.connection for worker in running], timeout=0.2):
                worker = next(worker for worker in running if worker.connection is ready)
                worker.receive(outcomes, progress)
            for worker in [worker for worker in running if not worker.is_alive]:
                running.remove(worker)
                worker.process.join()
                if worker.died and waiting:
                    running.append(_Worker(context, request, observers, threads, waiting))
    finally:
        for worker in running:
            worker.process.kill()
            worker.process.join()
    return [outcomes[number] for number in range(len(jobs))]


class _Worker:
    """A process, and what it works on."""

    def __init__(
        self,
        context: Any,
        request: BagRequest,
        observers: MakeObservers,
        threads: int,
        waiting: deque[tuple[int, BagJob]],
    ) -> None:
        self._waiting = waiting
        self._current: tuple[int, BagJob] | None = None
        self.is_alive, self.died, self._is_told = True, False, False
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, request, observers, threads), daemon=True)
        self.process.start()
        theirs.close()
        self._next()

    def _next(self) -> None:
        self._current = self._waiting.popleft() if self._waiting else None
        with contextlib.suppress(OSError):  # if it died just now, receive() finds the end of the connection
            self.connection.send(None if self._current is None else self._current[1])

    def receive(self, outcomes: dict[int, BagOutcome], progress: ShowProgress) -> None:
        """One message: progress, an outcome, or that the process has ended."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            self.is_alive = False
            if self._current is not None:
                self.died = True
                number, job = self._current
                self.process.join()
                # Told to end before it could listen, it has not begun; anything else was not asked for.
                words = f"the worker process ended with code {self.process.exitcode} (out of memory?)"
                words = "" if self._is_told and self.process.exitcode == -signal.SIGTERM else words
                outcomes[number] = BagOutcome.failed(job, words)
            return
        if isinstance(message, BagOutcome):
            if self._current is not None:
                outcomes[self._current[0]] = message
            self._next()
        else:
            progress(*message)

    def end_early(self) -> None:
        """Asks the process to finish its frame and give what it has."""
        self._is_told = True
        if self.process.is_alive():
            self.process.terminate()


def _work(connection: Connection, request: BagRequest, observers: MakeObservers, threads: int) -> None:
    """What a process runs: recordings as they come, until None."""
    torch.set_num_threads(threads)
    # Ctrl-C reaches every process of the terminal: like SIGTERM it must not cut a frame, however often it comes.
    with Interruption(AFTER_FRAME) as interruption:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        segmenter = None
        while (job := connection.recv()) is not None:
            if segmenter is None:
                try:
                    segmenter = request.load_segmenter()
                except Exception as error:  # the same for every recording; say it for each
                    connection.send(BagOutcome.failed(job, str(error)))
                    continue

            def tell(path: str, done: int, expected: int | None) -> None:
                connection.send((path, done, expected))

            connection.send(try_bag(request, job, segmenter, observers, stop=interruption, progress=tell))
