"""What reading a safetensors file leaves in memory: a part of the growth in docs/reliability.md that is not ours.

python benchmarks/safetensors_memory.py [--tensors 100] [--reads 200]
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import tracemalloc
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def bytes_left(path: Path, reads: int) -> float:
    """Bytes of Python's memory that a read leaves behind, once its tensors are gone."""
    load_file(path)
    gc.collect()
    tracemalloc.start()
    for _ in range(reads):
        load_file(path)
    gc.collect()
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return left / reads


def main() -> int:
    """Print it; 0 either way: this tells about safetensors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tensors", type=int, default=100)
    parser.add_argument("--reads", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_file({f"weight_{i}": torch.zeros(300) for i in range(arguments.tensors)}, path)
        left = bytes_left(path, arguments.reads)
    print(f"safetensors {version('safetensors')}: {left / arguments.tensors:.1f} bytes a tensor stay after each read")
    return 0


if __name__ == "__main__":
    sys.exit(main())
