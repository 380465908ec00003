"""Build description; colcon (ament_python) and pip both read it."""

import re
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "madm_ros"
HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "madm_core" / "__init__.py").read_text()).group(1)
# Installed below share/madm_ros, where `ros2 launch` and madm_core.shipped_files look for them.
SHARED = ("launch", "config", "demo/madm-street-base", "demo/models")
COMMANDS = sorted(path.stem for path in (HERE / "madm_ros" / "commands").glob("*.py") if path.stem != "__init__")


def shared_files() -> list[tuple[str, list[str]]]:
    """(Folder below the prefix, its files) of everything that is installed beside the Python packages."""
    files = [path for folder in SHARED for path in Path(folder).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    folders = sorted({path.parent for path in files})
    return [
        (f"share/{PACKAGE}/{folder.as_posix()}", sorted(str(path) for path in set(files) if path.parent == folder))
        for folder in folders
    ]


setup(
    name=PACKAGE,
    version=VERSION,
    description="Semantic segmentation for depth, thermal and event cameras without labels: MADM for ROS 2",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    maintainer="madm_ros maintainers",
    maintainer_email="maintainers@users.noreply.github.com",
    packages=find_packages(include=["madm_core*", "madm_ros*"]),
    package_data={"madm_core": ["py.typed", "evaluation/page/*"], "madm_ros": ["preview/page/*"]},
    python_requires=">=3.10",
    install_requires=[
        "setuptools",
        "torch>=2.6",
        "diffusers>=0.35",
        "transformers>=4.50",
        "accelerate>=1.6",
        "huggingface_hub>=0.30",
        "peft>=0.15",
        "safetensors>=0.5",
        "numpy>=1.26",
        "opencv-python-headless>=4.9",
        "argcomplete>=3.1",
        "jinja2>=3.1",
        "packaging>=23",
        "pillow>=10",
        "pyyaml>=6",
        "rosbags>=0.10.9",
        "mcap>=1.2",
        "numba>=0.60",
        "torchmetrics>=1.6",
        "tensorboard>=2.16",
        "tqdm>=4.66",
        "typing_extensions>=4.9",
    ],
    extras_require={
        # ROS 2 Jazzy without an apt installation: for CI, the demo and laptops.
        "ros": [
            "ros-jazzy-rclpy==7.1.6",
            "ros-jazzy-rmw-fastrtps-cpp==8.4.3",
            "ros-jazzy-common-interfaces==5.3.6",
            "ros-jazzy-lifecycle-msgs==2.0.3",
            "ros-jazzy-rosgraph-msgs==2.0.3",
            "ros-jazzy-ament-index-python==1.8.1",
        ],
        "streetworld": ["trimesh>=4.6", "embreex>=2.17.7", "scipy>=1.11"],
        "dsec": ["h5py>=3.10", "hdf5plugin>=5"],
        "aedat4": ["aedat>=2.3"],
        "export": ["onnx>=1.16", "onnxruntime>=1.18"],
        "openvino": ["openvino>=2024.4"],
        "ray": ["ray>=2.30"],
        "viz": ["rerun-sdk>=0.23"],
        "docs": ["matplotlib>=3.8", "mkdocs>=1.6", "mkdocs-material>=9.5", "mkdocstrings[python]>=0.27"],
        # colcon test looks for an extra of this name that holds pytest.
        # kornia: what the colour jitter is held against.
        "test": [
            "hypothesis>=6.100",
            "kornia>=0.8",
            "psutil>=5.9",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
        ],
        "dev": [
            "colcon-common-extensions==0.3.0",
            "colcon-ros==0.5.0",
            "coverage>=7.10",
            "mypy>=1.15",
            "ruff>=0.11",
            "types-PyYAML",
            "types-tqdm",
        ],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *shared_files(),
    ],
    entry_points={"console_scripts": [f"{name} = {PACKAGE}.commands.{name}:main" for name in COMMANDS]},
    zip_safe=False,
)
