"""Launch files: real launch where it is installed; without it, their Python runs against recording stand-ins."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

LAUNCH = Path(__file__).resolve().parents[2] / "launch"

_NAMES = {
    "launch": ["LaunchDescription"],
    "launch.actions": ["DeclareLaunchArgument", "IncludeLaunchDescription", "OpaqueFunction", "SetEnvironmentVariable"],
    "launch.conditions": ["IfCondition"],
    "launch.launch_description_sources": ["PythonLaunchDescriptionSource"],
    "launch.substitutions": ["LaunchConfiguration", "PathJoinSubstitution", "ThisLaunchFileDir"],
    "launch_ros": [],
    "launch_ros.actions": ["Node"],
    "launch_ros.substitutions": ["FindPackageShare"],
}


class Recorded:
    """Remembers what it was made with."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        self.positional, self.named = positional, named

    def perform(self, context: dict[str, str]) -> str:
        return context[self.positional[0]]


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for module_name, names in _NAMES.items():
        module = ModuleType(module_name)
        for entry in names:
            setattr(module, entry, type(entry, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module_name, module)
    specification = importlib.util.spec_from_file_location(name.replace(".", "_"), LAUNCH / name)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def described(module: ModuleType, **given: str) -> SimpleNamespace:
    """The description's arguments, and what its OpaqueFunction makes of the given ones."""
    actions = module.generate_launch_description().positional[0]
    arguments = {a.positional[0]: a.named for a in actions if type(a).__name__ == "DeclareLaunchArgument"}
    assert set(given) <= set(arguments)
    defaults = {
        k: v["default_value"] if isinstance(v["default_value"], str) else "/profile.xml" for k, v in arguments.items()
    }
    function = next(a.named["function"] for a in actions if type(a).__name__ == "OpaqueFunction")
    return SimpleNamespace(arguments=arguments, actions=actions, made=function({**defaults, **given}))


def of_type(actions: list, name: str) -> list:
    return [action for action in actions if type(action).__name__ == name]


def test_segment_declares_what_the_documentation_says(monkeypatch):
    launched = described(load("segment.launch.py", monkeypatch))
    assert set(launched.arguments) == {
        "model", "input", "params_file", "point_cloud_size", "namespace", "use_sim_time", "fastdds_profile", "rviz",
        "palette", "preview_port", "respawn",
    }  # fmt: skip
    assert all(argument["description"] for argument in launched.arguments.values())
    node = of_type(launched.made, "Node")[0]
    assert (node.named["package"], node.named["executable"], node.named["name"]) == (
        "madm_ros",
        "segment",
        "segmentation",
    )
    assert node.named["parameters"] == [{"use_sim_time": False}]
    assert node.named["remappings"] == []
    assert node.named["respawn"] is False
    variables = {action.positional for action in of_type(launched.made, "SetEnvironmentVariable")}
    assert variables == {
        ("FASTRTPS_DEFAULT_PROFILES_FILE", "/profile.xml"),
        ("FASTDDS_DEFAULT_PROFILES_FILE", "/profile.xml"),
    }


def test_segment_passes_arguments_on(monkeypatch):
    module = load("segment.launch.py", monkeypatch)
    given = {
        "model": "m", "input": "/cam", "params_file": "p.yaml", "namespace": "robot", "use_sim_time": "True",
        "fastdds_profile": "none", "point_cloud_size": "480x640", "palette": "color_blind", "preview_port": "8088",
        "respawn": "true",
    }  # fmt: skip
    launched = described(module, **given)
    assert of_type(launched.made, "SetEnvironmentVariable") == []
    node = launched.made[0].named
    assert node["namespace"] == "robot"
    assert node["respawn"] is True and node["respawn_delay"] > 0
    assert node["remappings"] == [("image", "/cam"), ("events", "/cam")]
    assert node["parameters"][:3] == ["p.yaml", {"use_sim_time": True}, {"model": "m"}]
    assert {"palette": "color_blind"} in node["parameters"] and {"preview_port": 8088} in node["parameters"]
    names = {name for values in node["parameters"][1:] for name in values}
    from madm_ros.node_parameters import SPECS

    assert names - {"use_sim_time"} <= set(SPECS)


@pytest.mark.parametrize("modality", ["depth", "thermal", "event"])
def test_demo_connects_street_and_node(monkeypatch, modality):
    launched = described(load("demo.launch.py", monkeypatch), modality=modality, model="m")
    street = of_type(launched.made, "Node")[0].named
    from madm_ros.commands.street_world import parser

    options = parser().parse_args(street["arguments"])
    assert options.modality == [modality]
    passed = dict(of_type(launched.made, "IncludeLaunchDescription")[0].named["launch_arguments"])
    declared = set(load("segment.launch.py", monkeypatch).ARGUMENTS)
    assert set(passed) <= declared
    topic = "/street/events" if modality == "event" else f"/street/{modality}/image_raw"
    assert (passed["input"], passed["model"]) == (topic, "m")
    assert bool(passed["point_cloud_size"]) == (modality == "event")


@pytest.mark.parametrize("name", ["segment.launch.py", "demo.launch.py"])
def test_with_the_real_launch(name):
    launch = pytest.importorskip("launch", reason="launch comes with an apt ROS 2 only")
    pytest.importorskip("launch_ros")
    specification = importlib.util.spec_from_file_location("real_launch_file", LAUNCH / name)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert isinstance(module.generate_launch_description(), launch.LaunchDescription)
