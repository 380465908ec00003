# PYTHON_ARGCOMPLETE_OK
"""``street_world``: a synthetic street camera, live on topics, as a bag or as a folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from madm_core.command_line import Outcome, command_parser, run_command
from madm_core.streetworld import CONDITIONS, SENSORS
from madm_ros.ros_arguments import split_ros_arguments


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = command_parser(
        "street_world",
        "A synthetic, moving street camera with exact labels (class ids of the label set madm11).\n"
        "Topics (equal stamps): /street/{rgb,depth,thermal}/{image_raw,camera_info}, /street/events, /street/labels",
        [
            "street_world --seed 3 --rate 10                           # everything, live",
            "street_world --modality depth --size 128x256 --conditions night",
            "street_world --seed 3 --duration 20 --write-bag drive_3   # no ROS needed",
            "street_world --ros-args -r __ns:=/robot                   # topics below /robot",
        ],
    )
    options.add_argument("--seed", type=int, default=0, help="of the street, its traffic and its weather (default 0)")
    options.add_argument("--size", default="128x256", metavar="HxW", help="picture size (default 128x256)")
    options.add_argument("--rate", type=float, default=10.0, help="pictures a second (default 10)")
    options.add_argument(
        "--modality", nargs="+", choices=[*SENSORS, "infrared"], default=["rgb", "depth", "thermal", "event"],
        help="sensors (default all); infrared is another name of thermal",
    )  # fmt: skip
    options.add_argument("--conditions", choices=[*CONDITIONS, "any"], default="day", help="default day")
    options.add_argument(
        "--duration", type=float, metavar="S", help="stop after S seconds (default: until interrupted)"
    )
    options.add_argument("--field-of-view", type=float, default=75.0, metavar="DEG", help="horizontal (default 75)")
    options.add_argument("--event-steps", type=int, default=4, help="renderings a picture for events (default 4)")
    options.add_argument(
        "--supersampling", type=int, default=1, choices=[1, 2, 3, 4], help="rays a pixel and direction for the colours"
    )
    options.add_argument(
        "--events-as",
        choices=["point_cloud2", "event_packet"],
        help="default: event_camera_msgs/EventPacket where that is installed, else sensor_msgs/PointCloud2",
    )
    options.add_argument(
        "--instances", action="store_true", help="also /street/instances: numbers of vehicles and people (mono16)"
    )
    target = options.add_mutually_exclusive_group()
    target.add_argument("--write-bag", metavar="DIR", help="write an mcap bag instead of publishing (needs --duration)")
    target.add_argument("--write-folder", metavar="DIR", help="write PNGs instead of publishing (needs --duration)")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    own, for_ros = split_ros_arguments(sys.argv[1:] if arguments is None else arguments)

    def work(chosen: argparse.Namespace) -> Outcome:
        from madm_ros.street_camera import run_street

        return run_street(chosen, for_ros)

    return run_command(parser(), work, own)


if __name__ == "__main__":
    sys.exit(main())
