#!/usr/bin/env bash
# Sets up a `ros:jazzy-ros-base` container (root, this repository as the working directory) for the tests that need apt's ROS.
# Not run yet: where this package is developed there is neither a container engine nor a network.
set -euo pipefail
apt-get update -qq
apt-get install -qq -y --no-install-recommends python3-venv ros-jazzy-launch-ros ros-jazzy-ros2launch ros-jazzy-cv-bridge \
    ros-jazzy-vision-msgs ros-jazzy-event-camera-msgs
python3 -m venv --system-site-packages .venv-apt
version=$(sed -n 's/^torch==//p' constraints.txt)
.venv-apt/bin/pip install -q "torch==$version" --index-url https://download.pytorch.org/whl/cpu
.venv-apt/bin/pip install -q -c constraints.txt "setuptools<80" -e '.[streetworld,dsec,test,dev]'
