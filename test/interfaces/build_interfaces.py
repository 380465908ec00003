"""Builds the ROS 2 type support of the message packages in definitions/, where no apt package gives them.

event_camera_msgs, vision_msgs and the EventArray packages are not on PyPI, but the ROS wheels hold the code generators.
With a C++ compiler this takes some seconds, once; the tests can then send the real messages over DDS.

    python test/interfaces/build_interfaces.py      # prints the directory for PYTHONPATH
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

DEFINITIONS = Path(__file__).resolve().parent / "definitions"
PREFIX = Path(sys.prefix)
DEPENDENCIES = ("std_msgs", "builtin_interfaces")


def python_path() -> str | None:
    """The directory for PYTHONPATH, ``""`` when all packages are installed, None when they cannot be built here."""
    definitions = sorted(DEFINITIONS.glob("*/msg/*.msg"))
    packages = sorted({path.parts[-3] for path in definitions})
    wanted = [package for package in packages if not importlib.util.find_spec(package)]
    if not wanted:
        return ""
    if not (shutil.which("gcc") and shutil.which("g++")) or not importlib.util.find_spec("rosidl_generator_py"):
        return None
    key = hashlib.sha256(repr((wanted, sys.version)).encode())
    for path in (Path(__file__), *definitions):
        key.update(path.read_bytes())
    target = DEFINITIONS.parents[2] / "build" / "test_interfaces" / key.hexdigest()[:12]
    if not target.is_dir():
        working = target.with_name(f"{target.name}.{os.getpid()}")
        try:
            with contextlib.redirect_stdout(sys.stderr):
                for package in wanted:
                    messages = sorted(path.stem for path in definitions if path.parts[-3] == package)
                    _generate(package, messages, working)
                    _compile(package, messages, working)
            with contextlib.suppress(OSError):  # another process was faster; its result is the same
                working.rename(target)
        finally:
            shutil.rmtree(working, ignore_errors=True)
    return str(target)


def _generate(package: str, messages: list[str], target: Path) -> None:
    """Runs the generators that a colcon build would run; the ROS wheels carry them and their templates."""
    os.environ.setdefault("AMENT_PREFIX_PATH", str(PREFIX))
    from rosidl_adapter.msg import convert_msg_to_idl
    from rosidl_generator_c.cli import GenerateC
    from rosidl_generator_py.cli import GeneratePython
    from rosidl_generator_type_description.cli import HashTypeDescription
    from rosidl_typesupport_c.cli import GenerateCTypesupport
    from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport
    from rosidl_typesupport_introspection_c.cli import GenerateIntrospectionCTypesupport

    output = target / package
    (output / "msg").mkdir(parents=True)
    for message in messages:
        convert_msg_to_idl(DEFINITIONS / package, package, Path("msg") / f"{message}.msg", output / "msg")
    what = (package, [f"{output}:msg/{message}.idl" for message in messages])
    dependencies = [PREFIX / "share" / name for name in DEPENDENCIES]
    hashes = HashTypeDescription("hash").generate_type_hashes(*what, dependencies, output)
    GenerateC("c").generate(*what, dependencies, output, hashes)
    GenerateFastRTPSCTypesupport("fastrtps_c").generate(*what, dependencies, output)
    # Its file names are those of the C generator above, hence a folder of its own.
    GenerateIntrospectionCTypesupport("introspection_c").generate(
        *what, dependencies, target / "introspection" / package
    )
    implementations = ["rosidl_typesupport_fastrtps_c", "rosidl_typesupport_introspection_c"]
    GenerateCTypesupport("c", typesupport_implementations=implementations).generate(*what, dependencies, output)
    GeneratePython("py", typesupport_implementations=["rosidl_typesupport_c"]).generate(*what, dependencies, output)


def _compile(package: str, messages: list[str], target: Path) -> None:
    """Compiles what was generated into four libraries and the Python extension, found through their rpath alone."""
    import numpy

    output = target / package
    detail = output / "msg" / "detail"
    names = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", message).lower() for message in messages]
    includes = [
        target,
        target / "introspection",
        PREFIX / "include",  # fastcdr lies here, the ROS packages one folder deeper
        *(path for path in (PREFIX / "include").iterdir() if path.is_dir()),
        sysconfig.get_path("include"),
        numpy.get_include(),
    ]
    common = ["-shared", "-fPIC", "-O1", "-w", "-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN"]
    common += [f"-L{output}", f"-L{PREFIX / 'lib'}", *(f"-I{path}" for path in includes)]

    def build(file_name: str, sources: list[Path], libraries: list[str], compiler: str) -> None:
        inputs = [*map(str, sources), *(f"-l{library}" for library in libraries)]
        subprocess.run(
            [compiler, *common, f"-Wl,-soname,{file_name}", "-o", str(output / file_name), *inputs], check=True
        )

    build(
        f"lib{package}__rosidl_generator_c.so",
        [detail / f"{name}__{part}.c" for name in names for part in ("functions", "description", "type_support")],
        [*(f"{name}__rosidl_generator_c" for name in DEPENDENCIES), "rosidl_runtime_c", "rcutils"],
        "gcc",
    )
    build(
        f"lib{package}__rosidl_typesupport_fastrtps_c.so",
        [detail / f"{name}__type_support_c.cpp" for name in names],
        [
            f"{package}__rosidl_generator_c",
            *(f"{name}__rosidl_typesupport_fastrtps_c" for name in DEPENDENCIES),
            *("rosidl_typesupport_fastrtps_c", "rosidl_typesupport_fastrtps_cpp", "fastcdr", "rmw"),
        ],
        "g++",
    )
    build(
        f"lib{package}__rosidl_typesupport_introspection_c.so",
        [target / "introspection" / package / "msg" / "detail" / f"{name}__type_support.c" for name in names],
        [f"{package}__rosidl_generator_c", *(f"{name}__rosidl_typesupport_introspection_c" for name in DEPENDENCIES)],
        "gcc",
    )
    build(
        f"lib{package}__rosidl_typesupport_c.so",
        [output / "msg" / f"{name}__type_support.cpp" for name in names],
        [
            *(f"{package}__rosidl_typesupport_{kind}_c" for kind in ("fastrtps", "introspection")),
            "rosidl_typesupport_c",
        ],
        "g++",
    )
    build(
        f"{package}_s__rosidl_typesupport_c{sysconfig.get_config_var('EXT_SUFFIX')}",
        [output / f"_{package}_s.ep.rosidl_typesupport_c.c", *(output / "msg" / f"_{name}_s.c" for name in names)],
        [
            *(f"{package}__rosidl_typesupport_c", f"{package}__rosidl_generator_c"),
            *(f"{name}__rosidl_generator_py" for name in DEPENDENCIES),
            *("rosidl_runtime_c", "rcutils"),
        ],
        "gcc",
    )
    (output / "__init__.py").touch()


if __name__ == "__main__":
    path = python_path()
    print("they cannot be built here: a C++ compiler and the ROS wheels are needed" if path is None else path)
    sys.exit(path is None)
