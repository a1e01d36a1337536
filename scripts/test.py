"""All tests, from nothing: makes the environments, then runs tests/engine, and tests/blender in each Blender asked for.

    python3 scripts/test.py [--blender 4.5|5.0|5.2|all] [PYTEST_ARGUMENTS]

Further arguments go on to pytest; those that name files or folders choose what is run. Needs Python 3.11 and nothing
else. Every file of tests/blender has a process of its own with a time limit. The last line counts all results.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import environment
from environment import BLENDERS, MAIN, ROOT, SetupError

BPY_FILE_SECONDS = 600
ENGINE_SECONDS = 2400
NO_TESTS = 5  # pytest's exit status when a selection matched nothing


@dataclass
class Count:
    """How many tests ended how."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: Count) -> None:
        """Add another count to this one."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def main() -> int:
    """Set up, run, count; 0 when no test failed and at least one passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--blender", choices=[*BLENDERS, "all"], default="4.5", help="default: %(default)s")
    options, pytest_arguments = parser.parse_known_args()
    versions = ["4.5"] if options.blender == "4.5" else ["4.5", options.blender]
    if options.blender == "all":
        versions = list(BLENDERS)
    total, slowest = Count(), []
    try:
        pythons = _prepare(versions)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    chosen, extra = _split(pytest_arguments)
    plain = [path for path in chosen if _lane(path) != "blender"] if chosen else ["tests/engine", "tests/window"]
    plain = [path for path in plain if chosen or any((ROOT / path).glob("test_*.py"))]
    if plain:
        command: list[str | Path] = [pythons["4.5"], "-m", "pytest"]
        total.add(_run("The engine", command, plain, extra, ENGINE_SECONDS, pythons, slowest))
    for version, python in pythons.items():
        for path in _bpy_files(chosen):
            command = [python, ROOT / "scripts" / "run_bpy_tests.py"]
            name = f"Blender {version}: {path}"
            total.add(_run(name, command, [path], extra, BPY_FILE_SECONDS, pythons, slowest))
    print("\nSlowest: " + ", ".join(f"{name} {seconds:.0f} s" for seconds, name in sorted(slowest, reverse=True)[:5]))
    print(total, flush=True)
    return 0 if total.failed == 0 and total.passed else 1


def _prepare(versions: list[str]) -> dict[str, Path]:
    """The interpreter of each Blender version; one whose Python is not on this machine is left out, and said."""
    pythons = {}
    for version in versions:
        needed = BLENDERS[version].python
        if BLENDERS[version] is not MAIN and environment.find_python(needed) is None:
            print(f"Blender {version} is skipped: there is no Python {needed} on this machine.", flush=True)
            continue
        pythons[version] = environment.prepare(BLENDERS[version])
    return pythons


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What pytest was asked to run (as paths from the root, perhaps with ::name), and its other arguments."""
    chosen, extra = [], []
    for argument in arguments:
        path, colons, name = argument.partition("::")
        full = next((p for p in (Path(path).absolute(), ROOT / path) if p.exists()), None)
        if full is None or argument.startswith("-") or not full.is_relative_to(ROOT / "tests"):
            extra.append(argument)
        else:
            chosen.append(full.relative_to(ROOT).as_posix() + colons + name)
    return chosen, extra


def _lane(path: str) -> str:
    return (path.split("/") + [""])[1]


def _bpy_files(chosen: list[str]) -> list[str]:
    """The files of tests/blender to run, each in its own process."""
    everything = [p.relative_to(ROOT).as_posix() for p in sorted((ROOT / "tests" / "blender").glob("test_*.py"))]
    if not chosen:
        return everything
    wanted = [path for path in chosen if _lane(path) == "blender" and path != "tests/blender"]
    return everything if "tests/blender" in chosen else wanted


def _run(
    name: str,
    command: list[str | Path],
    paths: list[str],
    extra: list[str],
    limit: float,
    pythons: dict[str, Path],
    slowest: list[tuple[float, str]],
) -> Count:
    """One pytest process in its own user folder; a crash or a time-out counts as one failure."""
    print(f"\n=== {name}", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="facediff-test-", ignore_cleanup_errors=True) as folder:
        report = Path(folder) / "report.xml"
        variables = {
            **environment.child_environment(),
            "BLENDER_USER_RESOURCES": str(Path(folder) / "blender"),
            "FACEDIFF_ENGINE_PYTHON": str(pythons["4.5"]),
            "PYTHONUNBUFFERED": "1",
        }
        arguments = [*command, *paths, *extra, f"--junitxml={report}"]
        process = subprocess.Popen(arguments, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            print(f"{name} did not end within {limit:.0f} s.", flush=True)
            status = -1
        finally:
            _kill_group(process)
        slowest.append((time.monotonic() - started, name))
        count = _read_report(report)
    if count is None:
        if status != NO_TESTS:
            print(f"{name} ended without a result (status {status}).", flush=True)
        return Count(failed=int(status != NO_TESTS))
    if status not in (0, 1, NO_TESTS) and not count.failed:  # it crashed after its last test
        print(f"{name} ended with status {status}.", flush=True)
        count.failed += 1
    return count


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever it left behind."""
    if os.name == "posix":
        try:
            os.killpg(process.pid, 9)
        except (ProcessLookupError, PermissionError):  # nothing is left
            return
    else:
        process.kill()
    process.wait()


def _read_report(report: Path) -> Count | None:
    """The counts of a JUnit file; None when pytest did not come to write it."""
    if not report.is_file():
        return None
    count = Count()
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        count.add(Count(int(suite.get("tests", 0)) - failed - skipped, failed, skipped))
    return count


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
