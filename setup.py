"""Build description; colcon (ament_python) and pip both read it."""

import re
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "madm_ros"
HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "madm_core" / "__init__.py").read_text()).group(1)
COMMANDS = sorted(path.stem for path in (HERE / "madm_ros" / "commands").glob("*.py") if path.stem != "__init__")

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
    package_data={"madm_core": ["py.typed", "evaluation/page/*"]},
    python_requires=">=3.10",
    install_requires=[
        "setuptools",
        "torch>=2.6",
        "diffusers>=0.35",
        "transformers>=4.50",
        "accelerate>=1.6",
        "peft>=0.15",
        "safetensors>=0.5",
        "numpy>=1.26",
        "opencv-python-headless>=4.9",
        "jinja2>=3.1",
        "packaging>=23",
        "pillow>=10",
        "pyyaml>=6",
        "rosbags>=0.10.9",
        "mcap>=1.2",
        "numba>=0.60",
        "kornia>=0.8",
        "torchmetrics>=1.6",
        "tensorboard>=2.16",
        "tqdm>=4.66",
        "matplotlib>=3.8",
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
        "docs": ["mkdocs>=1.6", "mkdocs-material>=9.5", "mkdocstrings[python]>=0.27"],
        # colcon test looks for an extra of this name that holds pytest.
        "test": ["hypothesis>=6.100", "psutil>=5.9", "pytest>=8", "pytest-timeout>=2.3", "pytest-xdist>=3.6"],
        "dev": [
            "colcon-common-extensions==0.3.0",
            "colcon-ros==0.5.0",
            "mypy>=1.15",
            "ruff>=0.11",
            "types-PyYAML",
            "types-tqdm",
        ],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *(
            (f"share/{PACKAGE}/{folder}", [str(path) for path in sorted(Path(folder).iterdir()) if path.is_file()])
            for folder in ("launch", "config", "config/train")
            if (HERE / folder).is_dir()
        ),
    ],
    entry_points={"console_scripts": [f"{name} = {PACKAGE}.commands.{name}:main" for name in COMMANDS]},
    zip_safe=True,
)
