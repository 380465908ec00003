# PYTHON_ARGCOMPLETE_OK
"""``replay_bag``: plays a recording onto live topics, with the messages exactly as they were recorded."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from madm_core.command_line import Outcome, command_parser, run_command
from madm_ros.ros_arguments import split_ros_arguments


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "replay_bag",
        "Plays ROS 2 bags (sqlite3 or mcap; split, zstd; .mcap files cut short up to the cut) onto live topics.\n"
        "Messages are published as the bytes that were recorded: header stamps stay. The space bar pauses.",
        [
            "replay_bag drive_1 --topics /event_camera/events --rate 0.5",
            "replay_bag drive_1 --clock --loop          # for nodes with use_sim_time:=true",
            "replay_bag events.mcap --events-as point_cloud2   # when event_camera_msgs is not installed",
            "replay_bag drive_1 --ros-args -r /camera/image:=/image   # under another name",
        ],
        answers_json=False,
    )
    options.add_argument("bag", nargs="+", help="bag directory, .mcap or .db3 file; several play as one")
    options.add_argument("--rate", type=float, default=1.0, help="bag seconds a real second (default 1)")
    options.add_argument("--loop", action="store_true", help="start again at the end, until interrupted")
    options.add_argument(
        "--clock", type=float, nargs="?", const=100.0, metavar="HZ", help="publish /clock (default 100 times a second)"
    )
    options.add_argument("--topics", nargs="+", metavar="TOPIC", help="only these")
    options.add_argument("--start", type=float, default=0.0, metavar="S", help="begin S seconds after the bag's start")
    options.add_argument("--duration", type=float, metavar="S", help="play S seconds of the bag")
    options.add_argument("--start-paused", action="store_true", help="wait for the space bar (needs a terminal)")
    options.add_argument(
        "--wait-for-subscribers",
        type=float,
        nargs="?",
        const=60.0,
        metavar="S",
        help="wait up to S seconds (default 60) for subscribers: on every topic of --topics; without it, on any topic",
    )
    options.add_argument(
        "--events-as",
        choices=["recorded", "point_cloud2"],
        help="how event messages are published (default: as recorded, or as sensor_msgs/PointCloud2 with the fields x, "
        "y, t, p when their message package is not installed)",
    )
    options.add_argument(
        "--reliability",
        choices=["reliable", "best_effort", "recorded"],
        default="reliable",
        help="offered QoS (default reliable, which best-effort subscribers accept as well)",
    )
    options.add_argument("--durability", choices=["volatile", "transient_local", "recorded"], default="recorded")
    options.add_argument("--depth", type=int, default=100, help="messages kept for slow subscribers (default 100)")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    own, for_ros = split_ros_arguments(sys.argv[1:] if arguments is None else arguments)

    def work(chosen: argparse.Namespace) -> Outcome:
        from madm_ros.bag_replay import replay

        return replay(chosen, for_ros)

    return run_command(parser(), work, own)


if __name__ == "__main__":
    sys.exit(main())
