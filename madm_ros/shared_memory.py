"""Whether this process got the shared memory that large messages need with Fast DDS."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Where Fast DDS is told its profile, up to ROS 2 Jazzy and from Kilted on."""
FOLDER = Path("/dev/shm")
NEEDED_MIB = 64
"""Size of the segment in ``config/fastdds_shared_memory.xml``: each process that sends takes one."""
REMEDY = "in a container: docker run --shm-size 1g, or --ipc host; else remove stale /dev/shm/fastrtps_*"
_DEFAULT_SEGMENT = 1 << 20
"""Fast DDS's own segment has 512 KiB and some administration."""


def free_mib() -> float | None:
    """MiB free in ``/dev/shm``; None where there is none."""
    return shutil.disk_usage(FOLDER).free / 2**20 if FOLDER.is_dir() else None


def missing_shared_memory(maps: Path = Path("/proc/self/maps")) -> str:
    """Say, once the process has a node, that Fast DDS found no room for the segment of its profile.

    Fast DDS itself says "SHM Transport is not supported in the current platform" and goes on with its default segment,
    through which large best-effort messages do not get.

    Args:
        maps: The memory mappings of this process (Linux, proc(5)).

    Returns:
        What is wrong and what to do. Empty when all is well, without a profile, and when there is room: then somebody
        chose a profile without shared memory, or another middleware.
    """
    free = free_mib()
    if free is None or free >= NEEDED_MIB or not any(map(os.environ.get, PROFILE_VARIABLES)) or not maps.is_file():
        return ""
    if any(_segment_size(line) > _DEFAULT_SEGMENT for line in maps.read_text().splitlines()):
        return ""
    return (
        "Fast DDS got no shared memory for large messages: most images above 512 KB are lost under best effort; "
        f"got {free:.0f} MiB free in {FOLDER}; expected {NEEDED_MIB} MiB for each process; {REMEDY}"
    )


def _segment_size(mapping: str) -> int:
    """Bytes of a line of proc(5)'s maps if it is a segment of Fast DDS, else 0."""
    if f"{FOLDER}/fastrtps_" not in mapping:
        return 0
    start, stop = (int(address, 16) for address in mapping.split()[0].split("-"))
    return stop - start
