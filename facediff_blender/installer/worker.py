"""The process that works in the engine's folder: `python -m facediff_blender.installer.worker COMMAND ...`.

It tells its progress as JSON lines on stdout. With --host it ends, with all that it started, when its stdin does: when
Blender cancels, quits or dies. Without --online it never uses the network.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import actions, hardware, index, locks, places
from .failures import InstallError, Stopped, explain
from .steps import Work

COMMANDS = ("look", "install", "repair", "uninstall", "download", "check")
SECONDS_TO_STOP = 3.0
SECONDS_BETWEEN = 0.1  # two lines of progress of the same stage


class Speaker:
    """Writes the lines; progress not more often than anybody can read it."""

    def __init__(self) -> None:
        self._last, self._said = 0.0, ("", "", 0, 0)

    def line(self, event: str, **fields: Any) -> None:
        """One JSON object on stdout."""
        print(json.dumps({"event": event, **fields}), flush=True)

    def progress(self, stage: str, text: str, done: int, total: int) -> None:
        """A step of a stage."""
        now, said = time.monotonic(), (stage, text, done, total)
        if stage != self._said[0] or (now - self._last >= SECONDS_BETWEEN and said != self._said):
            self._last, self._said = now, said
            self.line("progress", stage=stage, text=text, done=done, total=total)


def main() -> int:
    """The command line. Exit status 0: done, 1: failed, 2: stopped."""
    arguments = _parse()
    stop, speaker = threading.Event(), Speaker()
    if arguments.host:
        threading.Thread(target=_stop_at_eof, args=(stop,), daemon=True).start()
    try:
        speaker.line("done", **_do(arguments, speaker, stop))
    except Stopped:
        speaker.line("stopped")
        return 2
    except (InstallError, OSError, MemoryError) as error:
        speaker.line("failed", message=explain(error), detail="" if isinstance(error, InstallError) else repr(error))
        return 1
    except Exception as error:  # a fault of ours: the user still gets a sentence, and we the traceback
        speaker.line("failed", message=f"The installer has a fault: {error}", detail=traceback.format_exc())
        return 1
    return 0


def _do(arguments: argparse.Namespace, speaker: Speaker, stop: threading.Event) -> dict[str, Any]:
    layout = places.Layout(arguments.folder.absolute())
    if arguments.command == "look":
        facts = hardware.look()
        found = hardware.choices(facts)
        return {
            "choices": [asdict(choice) for choice in found],
            "recommended": hardware.recommended(found),
            "none": hardware.why_none(facts.system),
        }
    if arguments.command == "uninstall":
        return {"left": [str(path) for path in actions.uninstall(layout)]}
    if arguments.command == "check":
        return {"report": actions.check(arguments.python, arguments.root, arguments.log, stop)}
    system = arguments.system or locks.this_system()
    accelerator = arguments.accelerator or _installed(layout) or "cpu"
    if accelerator not in locks.available(system, arguments.locks):
        raise InstallError(hardware.why_none(system) or f"There is no build for {accelerator} on {system}.")
    lock = locks.read(system, accelerator, arguments.locks)
    sources = index.sources(os.environ, arguments.source, arguments.online)
    work = Work(layout, lock, sources, arguments.root, speaker.progress, stop)
    if arguments.command == "download":
        return {"size": actions.download(work, arguments.out.absolute()), "notes": work.notes}
    if arguments.command == "repair":
        record, repaired = actions.repair(work)
        return {"record": asdict(record), "repaired": repaired, "notes": work.notes}
    return {"record": asdict(actions.install(work)), "notes": work.notes}


def _installed(layout: places.Layout) -> str:
    record = places.read_record(layout)
    return record.accelerator if record else ""


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="facediff installer", description="Install the full engine of FaceDiff.")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--folder", type=Path, default=places.default_folder(), help="where the engine lies")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2], help="holds the package engine")
    parser.add_argument("--accelerator", choices=tuple(locks.LABELS), help="which build; default: the installed one, or cpu")
    parser.add_argument("--system", help="of another computer, for download: linux-x86_64, windows-x86_64, macos-arm64")
    parser.add_argument("--online", action="store_true", help="the network may be used")
    parser.add_argument("--source", type=Path, help="a folder with the files, as download makes it")
    parser.add_argument("--out", type=Path, default=Path("facediff-engine-files"), help="download: where to")
    parser.add_argument("--python", type=Path, help="check: the interpreter")
    parser.add_argument("--log", type=Path, default=Path("facediff-check.log"), help="check: what was said")
    parser.add_argument("--locks", type=Path, default=locks.FOLDER, help="other lists of files")
    parser.add_argument("--host", action="store_true", help="end when stdin does")
    return parser.parse_args()


def _stop_at_eof(stop: threading.Event) -> None:
    try:
        while os.read(sys.stdin.fileno(), 1024):
            pass
    except OSError:
        pass  # a closed stdin is an ended one
    stop.set()
    time.sleep(SECONDS_TO_STOP)
    os._exit(2)  # it waits for a server or a slow disk; what is half done is found and gone on with the next time


if __name__ == "__main__":
    sys.exit(main())
