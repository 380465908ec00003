#!/usr/bin/env bash
# What only an apt ROS can show: launch files, cv_bridge, LabelInfo over vision_msgs, `ros2 run` and `ros2 launch --show-args`.
# Run it after install_apt_ros.sh. Not run yet, for the same reason.
set -eo pipefail
source /opt/ros/jazzy/setup.bash
export PATH="$PWD/.venv-apt/bin:$PATH"
python -m colcon build --packages-select madm_ros
source install/setup.bash
ros2 launch madm_ros segment.launch.py --show-args
ros2 run madm_ros doctor
python -m pytest test/ros test/integration/test_node_process.py
