"""The Hugging Face hub: the local cache first, and downloads only of what was asked for by its hub id."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from madm_core.errors import BaseModelError

logger = logging.getLogger(__name__)

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def looks_like_hub_id(name: str | Path) -> bool:
    """Whether a name can be meant as ``owner/name`` on the hub rather than as a path.

    ``models/depth`` where there is a directory ``models`` is a path with a typing mistake, not a reason to go online.
    """
    return isinstance(name, str) and _HUB_ID.fullmatch(name) is not None and not Path(name).parent.is_dir()


def cached_or_downloaded(
    hub_id: str, patterns: Sequence[str], is_complete: Callable[[Path], bool], ignored: Sequence[str] = ()
) -> Path:
    """The directory of a hub model: from the local cache if what is needed is there, else downloaded.

    Args:
        hub_id: The model.
        patterns: Files that are needed, as far as the model has them.
        is_complete: Whether a directory holds what is needed: a cache does not always know the files of the model.
        ignored: Files that are not needed although they fit the patterns.

    Raises:
        BaseModelError: As :func:`download` does.
    """
    snapshot = _cached_snapshot(hub_id, patterns, ignored)
    if snapshot is not None and is_complete(snapshot):
        logger.info("using %s from the local cache", hub_id)
        return snapshot
    return download(hub_id, patterns, ignored)


def _cached_snapshot(hub_id: str, patterns: Sequence[str], ignored: Sequence[str]) -> Path | None:
    """The directory of a hub model in the local cache; None when there is none, or files of it are known to lack."""
    try:
        # Without the patterns, a model of which only some files were ever wanted would not count as cached.
        return Path(
            snapshot_download(
                hub_id, local_files_only=True, allow_patterns=list(patterns), ignore_patterns=list(ignored)
            )
        )
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def download(hub_id: str, patterns: Sequence[str], ignored: Sequence[str] = ()) -> Path:
    """Download the files of a hub model that fit the patterns; the local directory.

    Raises:
        BaseModelError: ``HF_HUB_OFFLINE`` is set, or the hub does not give the files.
    """
    if constants.HF_HUB_OFFLINE:
        raise BaseModelError(
            f"{hub_id} is not in the local cache",
            got="HF_HUB_OFFLINE is set, so nothing is downloaded",
            do="unset HF_HUB_OFFLINE, copy the cache from another machine, or give a local directory",
        )
    logger.info("downloading %s from the Hugging Face hub (several GB for a full-size model)", hub_id)
    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(patterns), ignore_patterns=list(ignored)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()
        raise BaseModelError(
            f"cannot download {hub_id}",
            got=f"{type(error).__name__}{': ' + reason[0] if reason else ''}",
            expected="a local directory, or a model on the Hugging Face hub that this machine can reach",
            do="check the name, the network and the model's licence page, or give a local directory",
        ) from error
