"""What a user does, done in headless Blender: head, sound strip, Generate, then .blend, FBX, Alembic, pictures and a film.

Run by scripts/demo.py in the environment that holds `bpy` and the engine; every step goes through the add-on's own
operators and the real engine process. Leaves `facediff_demo.*` in the folder given with --out.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import demo_pictures
from addon_from_tree import ROOT, load_addon

SPEECH = ROOT / "engine" / "assets" / "demo" / "speech.flac"
EMOTIONS = ("neutral", "angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised")
FPS = 25
NAME = "facediff_demo"


class DemoError(Exception):
    """The demo cannot go on; the message is one sentence."""


class Progress:
    """One line per stage: it counts up while the stage runs, and keeps the seconds that it took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._told = (0.0, "")  # when a line was written last, and which
        self._out = os.fdopen(os.dup(sys.stdout.fileno()), "w")  # ours; Blender's own talk of each frame goes nowhere
        self._live = self._out.isatty()
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside under this name."""
        start = time.perf_counter()
        if self._live:
            self._write(name, "...", end="")
        yield
        self.seconds[name] = time.perf_counter() - start
        self._write(name, f"{self.seconds[name]:.1f} s")

    def update(self, name: str, fraction: float, text: str = "") -> None:
        """How far the running stage is; on a terminal ten times a second, in a log a line per tenth of the way."""
        now, (when, told) = time.perf_counter(), self._told
        key = f"{name} {fraction:.1f} {text.split(' · ')[0]}"
        if now - when > 0.1 if self._live else key != told:
            self._told = (now, key)
            self._write(name, f"[{'#' * round(20 * fraction):<20}] {fraction:4.0%} {text}", end="" if self._live else "\n")

    def _write(self, name: str, text: str, end: str = "\n") -> None:
        line = f"{name:<28} {text}"
        self.print(f"\r{line:<100}" if self._live else line, end)

    def print(self, text: str, end: str = "\n") -> None:
        """Say it on the terminal."""
        print(text, end=end, file=self._out, flush=True)


def set_up(audio: Path) -> None:
    """A new file with the head, and the sound on a strip at frame 1."""
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = FPS, 1.0
    scene.frame_start = 1
    bpy.ops.facediff.add_head()
    strip = scene.sequence_editor_create().strips.new_sound("Speech", str(audio), 1, 1)
    scene.frame_end = max(2, strip.frame_final_end - 1)


def generate(progress: Progress, emotion: str, seed: int) -> None:
    """Press Generate and wait as a user would; only that no window's timer ticks here, so we do. Raises DemoError."""
    session = sys.modules[f"{load_addon().__name__}.facediff_blender.session"]
    panels = sys.modules[f"{load_addon().__name__}.facediff_blender.panels.common"]
    settings = bpy.context.scene.facediff
    settings.emotion, settings.seed, settings.extend_range = emotion, seed, True
    if reason := sys.modules[f"{load_addon().__name__}.facediff_blender.operators.generate"].why_not(bpy.context):
        raise DemoError(reason)
    try:
        bpy.ops.facediff.generate()
    except RuntimeError as error:
        raise DemoError(str(error).removeprefix("Error: ").strip()) from error
    while session.tick() or session.current.generation is not None:
        if (running := session.current.generation) is not None:
            progress.update("Generate", running.job.fraction, panels.progress_text(running.job))
        time.sleep(0.02)
    if session.current.failed:
        raise DemoError("\n  ".join([session.current.message, *session.current.detail]))


def run(arguments: argparse.Namespace) -> None:
    """Everything, in order; ends by saying where the files are and what each stage took. Raises DemoError."""
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    target = {suffix: out / f"{NAME}{suffix}" for suffix in (".blend", ".fbx", ".abc", ".png", ".mp4")}
    progress = Progress()
    with progress.stage("Head and sound strip"):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        load_addon().register()
        os.environ.setdefault("FACEDIFF_ENGINE_PYTHON", sys.executable)
        set_up(arguments.audio.resolve())
    with progress.stage("Generate"):
        generate(progress, arguments.emotion, arguments.seed)
    with progress.stage("Light and camera"):
        demo_pictures.set_up(bpy.context.scene)
    with progress.stage("Save .blend"):
        bpy.context.scene.sequence_editor.strips[0].sound.pack()
        bpy.ops.wm.save_as_mainfile(filepath=str(target[".blend"]), compress=True)
    with progress.stage("Export FBX"):
        bpy.ops.facediff.export_fbx(filepath=str(target[".fbx"]))
    with progress.stage("Export Alembic"):
        bpy.ops.facediff.export_alembic(filepath=str(target[".abc"]))
    with progress.stage("Contact sheet"):
        demo_pictures.contact_sheet(
            bpy.context.scene, target[".png"], lambda fraction: progress.update("Contact sheet", fraction)
        )
    with progress.stage("Film"):
        demo_pictures.film(
            bpy.context.scene, target[".mp4"], arguments.film_seconds, lambda fraction: progress.update("Film", fraction)
        )
    progress.print("")
    for path in target.values():
        progress.print(f"  {path}  ({path.stat().st_size / 1e6:.2f} MB)")
    progress.print("  " + ", ".join(f"{name} {spent:.1f} s" for name, spent in progress.seconds.items()))


def main() -> int:
    """The command line. 0 when all files are there, else one sentence on stderr and 1."""
    parser = argparse.ArgumentParser(prog="demo.py", description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, default=SPEECH, help="speech to animate (default: a synthetic voice)")
    parser.add_argument("--emotion", choices=EMOTIONS, default="happy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--film-seconds", type=float, default=8.0, help="length of the film at most (default 8)")
    parser.add_argument("--out", type=Path, default=Path("out") / "demo", help="folder for the files")
    arguments = parser.parse_args()
    if not arguments.audio.is_file():
        print(f"demo: there is no file '{arguments.audio}'.", file=sys.stderr)
        return 1
    try:
        run(arguments)
    except (DemoError, OSError, RuntimeError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    finally:
        session = sys.modules.get(f"{load_addon().__name__}.facediff_blender.session")
        if session is not None:
            session.stop_engine()
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a plain exit of the bpy module can hang
