#!/usr/bin/env bash
# Makes ROS and this package known to whatever command the container is given.
set -e
source /opt/ros/jazzy/setup.bash
source /ws/install/setup.bash
exec "$@"
