#!/usr/bin/env bash
# Makes ROS and this package known to whatever command the container is given. Not run yet: see docker/Dockerfile.
set -eo pipefail  # not -u: ROS' setup files read variables that nobody has set
source /opt/ros/jazzy/setup.bash
source /ws/install/setup.bash
exec "$@"
