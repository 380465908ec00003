"""ROS message classes by name, imported when they are needed: not every machine has every package."""

from __future__ import annotations

import importlib
import os
from typing import Any

from madm_core.errors import MissingDependencyError


def message_class(type_name: str, otherwise: str = "build and source it") -> Any:
    """The Python class of a message type.

    Args:
        type_name: Such as ``sensor_msgs/msg/Image``.
        otherwise: What else the user can do when the package is missing, besides installing it with apt.

    Raises:
        MissingDependencyError: Its package is not installed for this Python; the message names the apt package.
    """
    package, _, name = type_name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        distribution = os.environ.get("ROS_DISTRO", "jazzy")
        raise MissingDependencyError(
            f"messages of type {type_name} cannot be used: the Python package {package} is not installed",
            got=f"{type(error).__name__}: {error}",
            do=f"run: apt install ros-{distribution}-{package.replace('_', '-')}, or {otherwise}",
        ) from error
