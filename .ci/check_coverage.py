"""Shows the share of lines and branches that the tests ran, for each package, and fails where one is below the minimum.

coverage json -o build/coverage/coverage.json && python .ci/check_coverage.py build/coverage/coverage.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PACKAGES = ("madm_core", "madm_ros")
MINIMUM = 90.0


def shares(files: dict[str, dict[str, dict[str, int]]], package: str) -> dict[str, float]:
    """Percent of the lines and of the branches of a package's files that were run."""
    parts = [file["summary"] for name, file in files.items() if Path(name).parts[0] == package]

    def percent(done: str, of: str) -> float:
        return 100.0 * sum(part[done] for part in parts) / sum(part[of] for part in parts)

    return {
        "lines": percent("covered_lines", "num_statements"),
        "branches": percent("covered_branches", "num_branches"),
    }


def main() -> int:
    """Prints a line for each package; 1 when a share is below the minimum."""
    files = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["files"]
    worst = 100.0
    for package in PACKAGES:
        found = shares(files, package)
        worst = min(worst, *found.values())
        print(f"{package:10}" + "".join(f"{share:8.1f} % of {what}" for what, share in found.items()))
    if worst < MINIMUM:
        print(f"expected at least {MINIMUM:.0f} % of each; see build/coverage/html/index.html", file=sys.stderr)
    return int(worst < MINIMUM)


if __name__ == "__main__":
    sys.exit(main())
