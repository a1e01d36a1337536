"""What the buttons do: install, repair, uninstall, download into a folder, check an environment."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from . import running, steps, verify
from .failures import InstallError, explain
from .locks import Lock
from .places import Layout, Record, read_record, write_record
from .steps import Work


def install(work: Work) -> Record:
    """Install the engine, or go on with an installation that was cancelled. An engine that is already there stays in
    use until the new one has passed its test. Raises InstallError, OSError or Stopped."""
    work.say("check", "Checking the folder", 0, 0)
    steps.make_folder(work.layout)
    with running.only_one(work.layout.busy) as work.held:
        running.remove(work.layout.log)
        steps.check_room(work.layout, work.lock)
        steps.get_uv(work)
        python, managed = steps.get_python(work)
        steps.fetch(work, work.lock.packages, "download")
        steps.make_environment(work, python)
        steps.install_packages(work, work.layout.building)
        report = steps.selftest(work, work.layout.building)
        work.say("finish", "Cleaning up", 0, 0)
        work.layout.record.unlink(missing_ok=True)
        steps.swap(work.layout)
        steps.clean(work.layout)
        record = _record(work.lock, report, managed, work.layout)
        write_record(work.layout, record)
    return record


def repair(work: Work) -> tuple[Record, list[str]]:
    """Put back what is missing or damaged; what that was, one sentence each. Raises InstallError, OSError or Stopped."""
    record, layout = read_record(work.layout), work.layout
    if record is None or record.lock != work.lock.digest:
        return install(work), ["The engine was not whole, or of another version; it was installed again."]
    work.say("check", "Checking Python", 0, 0)
    with running.only_one(layout.busy) as work.held:
        running.remove(layout.log)
        try:
            said = work.run(layout.python, "-I", "-c", "import ssl, ctypes, sqlite3, json, sys; print(sys.prefix)", seconds=120)
            whole = Path(said.strip().splitlines()[-1]) == layout.environment
        except (InstallError, OSError):
            whole = False
        broken = verify.damaged(layout.environment, work.lock, _verify_tick(work)) if whole else {}
        if whole and broken:
            steps.get_uv(work)
            files = tuple(p for p in work.lock.packages if p.name in broken)
            steps.fetch(work, files, "download")
            _forget(layout.environment)
            steps.install_packages(work, layout.environment, list(broken))
            steps.clean(layout)
        if whole:
            record = _record(work.lock, steps.selftest(work, layout.environment), record.managed_python, layout)
            write_record(layout, record)
    if not whole:
        running.remove(layout.pythons)
        return install(work), ["The engine's Python did not run; everything was installed again."]
    return record, [f"{name} {problem}; it was put back." for name, problem in broken.items()]


def uninstall(layout: Layout) -> list[Path]:
    """Remove all that an installation made, and nothing else; returns the strangers that were left where they are.
    Raises InstallError when the folder is not ours or is being worked in, OSError when something cannot be removed."""
    if not layout.root.exists():
        return []
    if not layout.mark.is_file():
        raise InstallError(f"{layout.root} was not made by FaceDiff, so nothing in it was removed.")
    with running.only_one(layout.busy):
        layout.record.unlink(missing_ok=True)  # from here on nothing is installed, however far this gets
        for path in layout.everything():
            if path not in (layout.busy, layout.mark):
                running.remove(path)
    layout.busy.unlink()
    layout.mark.unlink()
    left = sorted(layout.root.iterdir())
    if not left:
        layout.root.rmdir()
        if layout.root.parent.name == "FaceDiff" and not any(layout.root.parent.iterdir()):
            layout.root.parent.rmdir()
    return left


def download(work: Work, into: Path) -> int:
    """Fetch all files into a folder, for Install from Folder on a computer without a network; their bytes. Python's
    archive may be missing where it cannot be had: the other computer then needs a Python 3.11 of its own."""
    into.mkdir(parents=True, exist_ok=True)
    packages = steps.fetch(work, (work.lock.uv, *work.lock.packages), "download", into)
    try:
        packages |= steps.fetch(work, (work.lock.python,), "python", into)
    except (InstallError, OSError) as error:
        why = f"The other computer needs a Python {steps.PYTHON_VERSION} of its own, since the download failed"
        work.notes.append(f"{why}: {explain(error)}")
    return sum(path.stat().st_size for path in packages.values())


def check(python: Path, engine_root: Path, log: Path, stop: threading.Event) -> dict[str, Any]:
    """Whether an environment of the user's own can run the engine; the report of its self-test. Raises InstallError."""
    if not python.is_file():
        raise InstallError(f"There is no Python at {python}.")

    def run(*command: str | Path, **options: Any) -> str:
        return running.run(command, log, stop, **options)

    try:
        return steps.run_selftest(run, python, engine_root, log.with_suffix(".test"), 600)
    except OSError as error:
        raise InstallError(f"{python} cannot be run: {explain(error)}") from error


def _record(lock: Lock, report: dict[str, Any], managed: bool, layout: Layout) -> Record:
    devices = [dict(zip(("id", "label", "usable", "reason"), device, strict=True)) for device in report["devices"]]
    size = steps.tree_bytes(layout.root)
    return Record(lock.accelerator, lock.digest, report["python"], report["torch"], managed, size, devices)


def _verify_tick(work: Work) -> Any:
    def tick(done: int, total: int) -> None:
        work.check_stop()
        work.say("check", f"Checking {total} packages", done, total)

    return tick


def _forget(environment: Path) -> None:
    """Let uv forget packages that lost their list of files, which it could otherwise not replace."""
    folder = verify.packages_folder(environment)
    for metadata in folder.glob("*.dist-info") if folder else ():
        if not (metadata / "RECORD").is_file():
            running.remove(metadata)
