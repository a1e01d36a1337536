"""A hand on the mouse, an eye on the screen and a watch, for the stories that drive FaceDiff in a real Blender window.

A story is a generator of small turns; Blender gets its own turn at every `yield`. Buttons are found as a user finds them,
by moving the mouse over the sidebar; Blender itself says what lies under the mouse.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import aud
import bpy
import numpy as np

ZIP, SPEECH, FOLDER = sys.argv[sys.argv.index("--") + 1 :]
MODULE = "bl_ext.user_default.facediff_blender"
STEP = 0.03  # s between two turns of the story
WATCH_STEP = 0.005  # s between two looks at the watch
PATIENCE = 240.0  # s for any one wait
SHOWS = {  # what an open panel has on its right side
    "Speech": "facediff.seed",
    "Takes": "facediff.repeat_take",
    "Adjust": "upper",
    "Regenerate a Part": "facediff.regenerate",
    "Sync Report": "facediff.check_sync",
    "Dialogue": "facediff.generate_all",
    "Export": "facediff.export_fbx",
}
RESULT: dict[str, object] = {"blender": bpy.app.version_string, "steps": [], "shots": []}
Turns = Iterator[None]


def part(name: str):
    """A module of the installed add-on."""
    return sys.modules[f"{MODULE}.facediff_blender.{name}"]


def session():
    """What the add-on remembers outside the file."""
    return part("session").current


def settings():
    """What the user chose in the panel."""
    return bpy.context.scene.facediff


def window() -> bpy.types.Window:
    """Blender's main window."""
    return bpy.context.window_manager.windows[0]


def view() -> bpy.types.Area:
    """The 3D View."""
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.height)


def area(kind: str) -> bpy.types.Area | None:
    """The window's area of this type."""
    return next((a for a in window().screen.areas if a.type == kind), None)


def region(kind: str) -> bpy.types.Region:
    """The 3D View's region of this kind."""
    return next(r for r in view().regions if r.type == kind)


def in_view():
    """The context of the 3D View."""
    return bpy.context.temp_override(window=window(), area=view(), region=region("WINDOW"))


def note(text: str) -> None:
    """A step that worked."""
    RESULT["steps"].append(text)
    print("window test:", text, flush=True)


def pause(seconds: float) -> Turns:
    """Let Blender draw, however slow its window is."""
    end, turns = time.monotonic() + seconds, 0
    while turns < 3 or time.monotonic() < end:
        turns += 1
        yield


def wait_for(what: str, done: Callable[[], object], patience: float = PATIENCE) -> Turns:
    """Look until it has come true; an AssertionError names what never did."""
    end = time.monotonic() + patience
    while not done():
        assert time.monotonic() < end, f"never came: {what}. The panel says: {session().message}"
        yield


def shot(name: str) -> Path:
    """A picture of the whole screen as it is now."""
    path = Path(FOLDER) / f"{name}.png"
    if len(bpy.context.window_manager.windows) == 1:
        with bpy.context.temp_override(window=window(), screen=window().screen):
            bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
            bpy.ops.screen.screenshot(filepath=str(path))
    if (not path.is_file() or not _is_lit(path)) and shutil.which("import"):  # some drivers give Blender only black
        subprocess.run(["import", "-window", "root", f"png:{path}"], check=True, timeout=60)
    RESULT["shots"].append(name)
    return path


def _is_lit(path: Path) -> bool:
    image = bpy.data.images.load(str(path))
    values = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(values)
    bpy.data.images.remove(image)
    return bool(values.reshape(-1, 4)[:, :3].any())


def mouse(x: int, y: int, type: str = "MOUSEMOVE", value: str = "NOTHING", **held: bool) -> None:
    """One event of the mouse at this place of the main window."""
    window().event_simulate(type=type, value=value, x=int(x), y=int(y), **held)


def away() -> None:
    """Take the mouse out of the sidebar, so that no tooltip covers it."""
    mouse(view().x + 320, view().y + 40)


def click(x: int, y: int, **held: bool) -> Turns:
    """Move there, press and release, each in a turn of its own, for a button wakes when the mouse comes over it."""
    for type, value in (("MOUSEMOVE", "NOTHING"), ("LEFTMOUSE", "PRESS"), ("LEFTMOUSE", "RELEASE")):
        mouse(x, y, type, value, **held)
        yield from pause(0.06)


def write(text: str) -> Turns:
    """Replace the text of the field that is being edited, and press Enter."""
    x, y = region("UI").x + 60, region("UI").y + 20
    for name, letter, ctrl in (("A", "", True), *((c.upper(), c, False) for c in text), ("RET", "", False)):
        for value in ("PRESS", "RELEASE"):
            more = {"unicode": letter} if letter and value == "PRESS" else {}
            window().event_simulate(type=name, value=value, x=x, y=y, ctrl=ctrl, **more)
        yield


def drag(start: tuple[int, int], end: tuple[int, int], steps: int = 8) -> Turns:
    """Press at the start, move to the end in so many steps, release."""
    mouse(*start)
    yield from pause(0.06)
    mouse(*start, "LEFTMOUSE", "PRESS")
    yield from pause(0.06)
    for n in range(1, steps + 1):
        mouse(*(a + (b - a) * n / steps for a, b in zip(start, end, strict=True)))
        yield from pause(0.03)
    mouse(*end, "LEFTMOUSE", "RELEASE")
    yield from pause(0.1)


def key(name: str, where: tuple[int, int] | None = None, **held: bool) -> Turns:
    """Press a key with the mouse in the 3D View, or where it is said."""
    middle = region("WINDOW")
    x, y = where or (middle.x + middle.width // 3, middle.y + middle.height // 2)
    mouse(x, y)
    yield from pause(0.06)
    for value in ("PRESS", "RELEASE"):
        mouse(x, y, name, value, **held)
        yield from pause(0.06)


def under_mouse() -> str:
    """What the button under the mouse does, as Blender says it: "bpy.ops.facediff.generate(...)", "seed", or ""."""
    wm = bpy.context.window_manager
    with bpy.context.temp_override(window=window(), area=view(), region=region("UI")):
        for ask in (bpy.ops.ui.copy_python_command_button, bpy.ops.ui.copy_data_path_button):
            if ask.poll():
                wm.clipboard = ""
                ask()
                return wm.clipboard
    return ""


def find(what: str, columns: tuple[float, ...] = (0.5, 0.25, 0.8), start: int = 6) -> Iterator[None]:
    """The window's (x, y) of the sidebar's button that does this: part of its Python command or of its data path."""
    sidebar = region("UI")
    for column in columns:
        x = sidebar.x + int(column * (sidebar.width - 30))
        for y in range(sidebar.y + sidebar.height - start, sidebar.y + 4, -9):
            mouse(x, y)
            yield
            yield
            if what in under_mouse():
                return x, y - 5
    raise AssertionError(f"not in the sidebar: {what}")


def press(what: str, happened: Callable[[], object], **where) -> Turns:
    """Find the button and click it; an AssertionError when nothing comes of it."""
    x, y = yield from find(what, **where)
    yield from click(x, y)
    away()
    yield from wait_for(f"what {what} does", happened, 20)


def header(number: int) -> tuple[int, int]:
    """Where the header of the panel with this number is while all panels are closed."""
    sidebar, row = region("UI"), bpy.context.preferences.system.ui_scale * 27.5
    return sidebar.x + 60, int(sidebar.y + sidebar.height - 17 - number * row)


def open_panel(title: str) -> Turns:
    """Close all panels but this one, as Ctrl with a click on its header does. Panels open and close in a movement, and on
    a busy computer a click may come too early: look whether the panel is open, and do it again, slower."""
    classes = [cls for module in part("panels")._modules() for cls in vars(module).values() if isinstance(cls, type)]
    panels = [cls for cls in dict.fromkeys(classes) if issubclass(cls, bpy.types.Panel) and cls.is_registered]
    titles = [cls.bl_label for cls in panels if not hasattr(cls, "bl_parent_id")]
    for patience in (0.4, 0.8, 1.6, 3.2):
        with bpy.context.temp_override(window=window(), area=view(), region=region("UI")):
            bpy.ops.view2d.scroll_up(deltay=100_000)
        for number, held in ((0, {"ctrl": True}), (0, {}), (titles.index(title), {})):
            yield from click(*header(number), **held)
            yield from pause(patience)
        try:
            yield from find(SHOWS[title], columns=(0.75,))
        except AssertionError:
            continue
        away()
        return
    raise AssertionError(f"the panel does not open: {title}")


def action() -> bpy.types.Action | None:
    """The current take's action, or None."""
    head = settings().head
    keys = head.data.shape_keys if head is not None else None
    return keys.animation_data.action if keys is not None and keys.animation_data is not None else None


def curves_of(of: bpy.types.Action) -> list[bpy.types.FCurve]:
    """Every curve of the action."""
    bags = (bag for layer in of.layers for strip in layer.strips for bag in strip.channelbags)
    return [curve for bag in bags for curve in bag.fcurves]


def curves(of: bpy.types.Action) -> dict[str, np.ndarray]:
    """Every key of the action, (N, 2) frame and value, by slot and path: for exact comparison."""
    found = {}
    for bag in (bag for layer in of.layers for strip in layer.strips for bag in strip.channelbags):
        for curve in bag.fcurves:
            values = np.empty(2 * len(curve.keyframe_points), np.float32)
            curve.keyframe_points.foreach_get("co", values)
            found[f"{bag.slot_handle} {curve.data_path} {curve.array_index}"] = values.reshape(-1, 2)
    return found


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Whether two actions have the same keys to the last bit."""
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def speech(times: int) -> str:
    """The file of the demo speech so many times over."""
    path = str(Path(FOLDER) / f"speech {times}.wav")
    sound = aud.Sound.file(SPEECH)
    rate, channels = sound.specs
    sound.loop(times - 1).write(path, int(rate), channels, aud.FORMAT_S16, aud.CONTAINER_WAV, aud.CODEC_PCM)
    return path


def add_strip(name: str, file: str, frame: int = 1, channel: int = 1) -> bpy.types.Strip:
    """Put a sound on the scene's sequencer."""
    scene = bpy.context.scene
    if hasattr(bpy.context.workspace, "sequencer_scene"):
        bpy.context.workspace.sequencer_scene = scene
    editor = scene.sequence_editor_create()
    strip = editor.strips.new_sound(name, file, channel, frame)
    editor.active_strip = strip
    bpy.ops.ed.undo_push(message="Strip")
    return strip


def open_tab() -> Turns:
    """Without the cube, with the tab FaceDiff open."""
    if "Cube" in bpy.data.objects:
        bpy.data.objects.remove(bpy.data.objects["Cube"])
    view().spaces.active.show_region_ui = True
    yield from pause(0.5)
    region("UI").active_panel_category = "FaceDiff"
    view().tag_redraw()
    yield from pause(0.5)


class Watch:
    """Looks every 5 ms how long Blender was away: by the clock, and by the main thread's own computing time, which other
    programs and the drawing threads of a software driver do not stretch."""

    def __init__(self) -> None:
        """Begin to look."""
        self.gaps: list[tuple[float, float]] = []  # s by the clock, s of the main thread
        self.asleep = False  # looks no more
        self._last = (time.perf_counter(), time.thread_time())
        self._looking = self._look  # the one object that Blender knows; `self._look` is another each time
        bpy.app.timers.register(self._looking, persistent=True)

    def _look(self) -> float:
        now = (time.perf_counter(), time.thread_time())
        if not self.asleep:
            self.gaps.append((now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now
        return WATCH_STEP

    def stop(self) -> dict[str, float]:
        """End; milliseconds."""
        bpy.app.timers.unregister(self._looking)
        clock, thread = 1000 * np.array(self.gaps[2:]).T
        return {
            "looks": len(clock),
            "longest by the clock": round(float(clock.max()), 1),
            "99 of 100 by the clock": round(float(np.percentile(clock, 99)), 1),
            "longest of the main thread": round(float(thread.max()), 1),
        }


class Timed:
    """Measures every call of a function of the add-on, in place of it, until `restore`; milliseconds by the clock, and of
    the main thread, in `spent`. watch: falls asleep at the first call."""

    def __init__(self, owner: object, name: str, watch: Watch | None = None) -> None:
        """Take its place."""
        self.owner, self.name, self.inner, self.watch = owner, name, getattr(owner, name), watch
        self.spent: list[tuple[float, float]] = []
        setattr(owner, name, self)

    def __call__(self, *args, **options):
        """Call it."""
        if self.watch is not None:
            self.watch.asleep = True
        begun = (time.perf_counter(), time.thread_time())
        try:
            return self.inner(*args, **options)
        finally:
            self.spent.append((1000 * (time.perf_counter() - begun[0]), 1000 * (time.thread_time() - begun[1])))

    def restore(self) -> None:
        """Put it back."""
        setattr(self.owner, self.name, self.inner)


def tell(story: Turns) -> None:
    """Play a story; at its end, or at what went wrong, write `result.json` and quit."""

    def turn() -> float | None:
        try:
            next(story)
            return STEP
        except StopIteration:
            RESULT["ok"] = True
        except Exception:  # the window must close whatever happens, and the result must say what did
            RESULT["ok"] = False
            RESULT["error"] = traceback.format_exc()
            shot("failure")
        (Path(FOLDER) / "result.json").write_text(json.dumps(RESULT, indent=1), encoding="utf-8")
        bpy.ops.wm.quit_blender()
        return None

    if (interfaces := Path("/proc/net/dev")).is_file():
        RESULT["network"] = [line.split(":")[0].strip() for line in interfaces.read_text().splitlines()[2:]]
    bpy.context.preferences.view.show_splash = False
    bpy.context.preferences.view.use_save_prompt = False
    bpy.app.timers.register(turn, first_interval=2.0, persistent=True)
