"""Builds the ROS 2 type support of event_camera_msgs/msg/EventPacket where no apt package gives it.

The message is not on PyPI, but the code generators of the ROS wheels are. With a C++ compiler this takes a few
seconds, once; the tests can then send real EventPackets over DDS.

    python test/interfaces/build_event_camera_msgs.py      # prints the directory for PYTHONPATH
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

PACKAGE = "event_camera_msgs"
HERE = Path(__file__).resolve().parent
PREFIX = Path(sys.prefix)


def python_path() -> str | None:
    """The directory to put on PYTHONPATH, ``""`` when the package is installed already, None when it cannot be built here."""
    if importlib.util.find_spec(PACKAGE):
        return ""
    if not (shutil.which("gcc") and shutil.which("g++")) or not importlib.util.find_spec("rosidl_generator_py"):
        return None
    definition = HERE / "msg" / "EventPacket.msg"
    key = hashlib.sha256(definition.read_bytes() + Path(__file__).read_bytes() + sys.version.encode()).hexdigest()[:12]
    target = HERE.parent.parent / "build" / "test_interfaces" / key
    if not target.is_dir():
        working = target.with_name(f"{key}.{os.getpid()}")
        shutil.rmtree(working, ignore_errors=True)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                _generate(definition, working)
            _compile(working)
            with contextlib.suppress(OSError):  # another process was faster; its result is the same
                working.rename(target)
        finally:
            shutil.rmtree(working, ignore_errors=True)
    return str(target)


def _generate(definition: Path, target: Path) -> None:
    """Runs the generators that a colcon build would run; the ROS wheels carry them and their templates."""
    os.environ.setdefault("AMENT_PREFIX_PATH", str(PREFIX))
    from rosidl_adapter.msg import convert_msg_to_idl
    from rosidl_generator_c.cli import GenerateC
    from rosidl_generator_py.cli import GeneratePython
    from rosidl_generator_type_description.cli import HashTypeDescription
    from rosidl_typesupport_c.cli import GenerateCTypesupport
    from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport
    from rosidl_typesupport_introspection_c.cli import GenerateIntrospectionCTypesupport

    output = target / PACKAGE
    (output / "msg").mkdir(parents=True)
    convert_msg_to_idl(definition.parent.parent, PACKAGE, Path("msg") / definition.name, output / "msg")
    interface = [f"{output}:msg/EventPacket.idl"]
    dependencies = [PREFIX / "share" / name for name in ("std_msgs", "builtin_interfaces")]
    hashes = HashTypeDescription("hash").generate_type_hashes(PACKAGE, interface, dependencies, output)
    GenerateC("c").generate(PACKAGE, interface, dependencies, output, hashes)
    GenerateFastRTPSCTypesupport("fastrtps_c").generate(PACKAGE, interface, dependencies, output)
    # Its file names are those of the C generator above, hence a folder of its own.
    GenerateIntrospectionCTypesupport("introspection_c").generate(
        PACKAGE, interface, dependencies, target / "introspection" / PACKAGE
    )
    implementations = ["rosidl_typesupport_fastrtps_c", "rosidl_typesupport_introspection_c"]
    GenerateCTypesupport("c", typesupport_implementations=implementations).generate(
        PACKAGE, interface, dependencies, output
    )
    GeneratePython("py", typesupport_implementations=["rosidl_typesupport_c"]).generate(
        PACKAGE, interface, dependencies, output
    )


def _compile(target: Path) -> None:
    """Compiles what was generated into four shared libraries and the Python extension, found through their rpath alone."""
    package = target / PACKAGE
    detail = package / "msg" / "detail"
    import numpy

    includes = [
        target,
        target / "introspection",
        PREFIX / "include",  # fastcdr lies here, the ROS packages one folder deeper
        *(path for path in (PREFIX / "include").iterdir() if path.is_dir()),
        sysconfig.get_path("include"),
        numpy.get_include(),
    ]
    common = ["-shared", "-fPIC", "-O1", "-w", "-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN"]
    common += [f"-L{package}", f"-L{PREFIX / 'lib'}", *(f"-I{path}" for path in includes)]

    def build(output: str, sources: list[Path], libraries: list[str], language: str) -> None:
        subprocess.run(
            [
                "gcc" if language == "c" else "g++",
                *common,
                f"-Wl,-soname,{output}",
                "-o",
                str(package / output),
                "-x",
                language,
                *map(str, sources),
            ]
            + ["-x", "none", *(f"-l{library}" for library in libraries)],
            check=True,
        )

    std_msgs = [f"{name}__rosidl_generator_c" for name in ("std_msgs", "builtin_interfaces")]
    build(
        f"lib{PACKAGE}__rosidl_generator_c.so",
        [detail / f"event_packet__{part}.c" for part in ("functions", "description", "type_support")],
        [*std_msgs, "rosidl_runtime_c", "rcutils"],
        "c",
    )
    build(
        f"lib{PACKAGE}__rosidl_typesupport_fastrtps_c.so",
        [detail / "event_packet__type_support_c.cpp"],
        [
            f"{PACKAGE}__rosidl_generator_c",
            "std_msgs__rosidl_typesupport_fastrtps_c",
            *("rosidl_typesupport_fastrtps_c", "rosidl_typesupport_fastrtps_cpp", "fastcdr", "rmw"),
        ],
        "c++",
    )
    build(
        f"lib{PACKAGE}__rosidl_typesupport_introspection_c.so",
        [target / "introspection" / PACKAGE / "msg" / "detail" / "event_packet__type_support.c"],
        [f"{PACKAGE}__rosidl_generator_c", "std_msgs__rosidl_typesupport_introspection_c"],
        "c",
    )
    build(
        f"lib{PACKAGE}__rosidl_typesupport_c.so",
        [package / "msg" / "event_packet__type_support.cpp"],
        [
            *(f"{PACKAGE}__rosidl_typesupport_{name}_c" for name in ("fastrtps", "introspection")),
            "rosidl_typesupport_c",
        ],
        "c++",
    )
    build(
        f"{PACKAGE}_s__rosidl_typesupport_c{sysconfig.get_config_var('EXT_SUFFIX')}",
        [package / f"_{PACKAGE}_s.ep.rosidl_typesupport_c.c", package / "msg" / "_event_packet_s.c"],
        [
            *(f"{PACKAGE}__rosidl_typesupport_c", f"{PACKAGE}__rosidl_generator_c", "std_msgs__rosidl_generator_py"),
            *("rosidl_runtime_c", "rcutils"),
        ],
        "c",
    )
    (package / "__init__.py").touch()


if __name__ == "__main__":
    path = python_path()
    print("cannot be built here: a C++ compiler and the ROS wheels are needed" if path is None else path)
    sys.exit(path is None)
