"""Drive FaceDiff in a real Blender window as a user does, with simulated mouse and keyboard, and write down what happened.

    blender --factory-startup --enable-event-simulate --python drive_window.py -- ZIP SPEECH ENGINE_PYTHON FOLDER

Installs the zip, opens the tab, clicks "Add Starter Head", adds the speech as a strip, clicks "Generate", watches the
progress, looks at the curves, undoes and redoes, generates again and presses Esc. Screenshots and `result.json` are left
in FOLDER; `test_window.py` judges them.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import aud
import bpy
import numpy as np

ZIP, SPEECH, PYTHON, FOLDER = sys.argv[sys.argv.index("--") + 1 :]
MODULE = "bl_ext.user_default.facediff_blender"
STEP = 0.05  # s between two looks
PATIENCE = 240.0  # s for any one wait
RESULT: dict[str, object] = {"blender": bpy.app.version_string, "steps": []}


def part(name: str):
    """A module of the installed add-on."""
    return sys.modules[f"{MODULE}.facediff_blender.{name}"]


def window() -> bpy.types.Window:
    """Blender's one window."""
    return bpy.context.window_manager.windows[0]


def view() -> bpy.types.Area:
    """The 3D View."""
    return next(a for a in window().screen.areas if a.type == "VIEW_3D")


def region(kind: str) -> bpy.types.Region:
    """The 3D View's region of this kind."""
    return next(r for r in view().regions if r.type == kind)


def shot(name: str) -> Path:
    """A picture of the whole window as it is now."""
    path = Path(FOLDER) / f"{name}.png"
    with bpy.context.temp_override(window=window(), screen=window().screen):
        bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
        bpy.ops.screen.screenshot(filepath=str(path))
    if not pixels_of(path).any() and shutil.which("import"):  # some software drivers give Blender only black
        subprocess.run(["import", "-window", "root", f"png:{path}"], check=True, timeout=60)
    return path


def pixels_of(path: Path) -> np.ndarray:
    """(H, W, 3) float32 of a picture, from the bottom row up."""
    image = bpy.data.images.load(str(path))
    width, height = image.size
    values = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(values)
    bpy.data.images.remove(image)
    return values.reshape(height, width, 4)[..., :3]


def buttons() -> list[tuple[int, int, int]]:
    """(x, y, height) in window pixels of the sidebar's full-width buttons, from the top: bars of one colour that are
    neither the panel's nor the header's."""
    path = shot("scratch")
    pixels = pixels_of(path)
    path.unlink()
    sidebar = region("UI")
    left, right = sidebar.x + int(0.16 * sidebar.width), sidebar.x + int(0.2 * sidebar.width)
    column = pixels[sidebar.y : sidebar.y + sidebar.height, left:right].mean(axis=(1, 2))
    found, start = [], 0
    for y in range(1, len(column) + 1):
        if y == len(column) or abs(column[y] - column[y - 1]) > 0.008:
            if 12 <= y - start <= 60:
                found.append((sidebar.x + sidebar.width // 3, sidebar.y + (start + y) // 2, y - start, float(column[start])))
            start = y
    RESULT["bars"] = found[::-1]
    return found[::-1]


def click(x: int, y: int) -> Iterator[None]:
    """Move there, press and release, each in a turn of its own, for a button wakes when the mouse comes over it."""
    for type, value in (("MOUSEMOVE", "NOTHING"), ("LEFTMOUSE", "PRESS"), ("LEFTMOUSE", "RELEASE")):
        window().event_simulate(type=type, value=value, x=x, y=y)
        yield from pause(0.1)
    window().event_simulate(type="MOUSEMOVE", value="NOTHING", x=view().x + 300, y=view().y + 650)  # no tooltip


def key(name: str, **held: bool) -> None:
    """Press a key with the mouse in the middle of the 3D View."""
    area = region("WINDOW")
    x, y = area.x + area.width // 3, area.y + area.height // 2
    window().event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
    for value in ("PRESS", "RELEASE"):
        window().event_simulate(type=name, value=value, x=x, y=y, **held)


def wait_for(what: str, done, patience: float = PATIENCE) -> Iterator[None]:
    """Look until it has come true; an AssertionError names what never did."""
    end = time.monotonic() + patience
    while not done():
        assert time.monotonic() < end, f"never came: {what}"
        yield


def pause(seconds: float) -> Iterator[None]:
    """Let Blender draw, however slow its window is."""
    end = time.monotonic() + seconds
    for turn in itertools.count():
        if turn >= 3 and time.monotonic() >= end:
            return
        yield


def note(text: str) -> None:
    """A step that worked."""
    RESULT["steps"].append(text)
    print("window test:", text, flush=True)


def take():
    """The current take's action, or None."""
    head = bpy.context.scene.facediff.head
    keys = head.data.shape_keys if head is not None else None
    return keys.animation_data.action if keys is not None and keys.animation_data is not None else None


def long_speech() -> str:
    """The speech eight times over, so that a fast computer does not finish before anybody has looked."""
    path = str(Path(FOLDER) / "long.wav")
    sound = aud.Sound.file(SPEECH)
    rate, channels = sound.specs
    sound.loop(7).write(path, int(rate), channels, aud.FORMAT_S16, aud.CONTAINER_WAV, aud.CODEC_PCM)
    return path


def click_button(what: str, tall: bool, happened) -> Iterator[None]:
    """Click the sidebar's bars, from the top, until what the button does has happened. Only Generate is a tall bar."""
    for x, y, height, _ in buttons():
        if (height > 24) == tall:
            yield from click(x, y)
            yield from pause(0.6)
            if happened():
                RESULT[what] = [x, y]
                return
    raise AssertionError(f"no click on the sidebar did it: {what}")


def story() -> Iterator[None]:
    """What the user does; every `yield` gives Blender a turn."""
    bpy.ops.extensions.package_install_files(filepath=ZIP, repo="user_default", enable_on_install=True)
    bpy.context.preferences.addons[MODULE].preferences.engine_python = PYTHON
    note("installed and enabled from the zip")
    if "Cube" in bpy.data.objects:
        bpy.data.objects.remove(bpy.data.objects["Cube"])
    view().spaces.active.show_region_ui = True
    yield from pause(1.0)
    region("UI").active_panel_category = "FaceDiff"
    view().tag_redraw()
    yield from pause(1.0)
    shot("1 tab")
    yield from click_button("add head", False, lambda: bpy.context.scene.facediff.head is not None)
    note("a click added the head")
    yield from pause(1.0)
    scene = bpy.context.scene
    scene.render.fps = 25
    if hasattr(bpy.context.workspace, "sequencer_scene"):
        bpy.context.workspace.sequencer_scene = scene
    scene.sequence_editor_create().strips.new_sound("Speech", long_speech(), 1, 1)
    scene.facediff.emotion = "happy"
    view().spaces.active.shading.color_type = "VERTEX"
    bpy.ops.ed.undo_push(message="Strip")
    yield from pause(1.0)
    shot("2 head and strip")

    session = part("session")
    yield from click_button("generate", True, lambda: session.current.generation is not None)
    note("a click began the generation")
    yield from wait_for(
        "progress", lambda: session.current.generation is None or session.current.generation.job.fraction > 0.1
    )
    assert session.current.generation is not None, session.current.message
    shot("3 progress")
    RESULT["progress"] = session.current.generation.job.fraction
    RESULT["engine"] = session.current.client.hello.engine_version
    yield from wait_for("a take", lambda: session.current.generation is None)
    assert take() is not None, session.current.message
    note(f"the take '{take().name}' is there: {session.current.message}")
    first, last = map(int, take().frame_range)
    scene.frame_start, scene.frame_end = first, last
    with bpy.context.temp_override(window=window(), area=view(), region=region("WINDOW")):
        bpy.ops.screen.area_split(direction="HORIZONTAL", factor=0.4)
    graph = min((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda area: area.y)
    graph.ui_type = "FCURVES"
    yield from pause(0.5)
    drawn = next(r for r in graph.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=window(), area=graph, region=drawn):
        bpy.ops.graph.view_all()
    with bpy.context.temp_override(window=window(), area=view(), region=region("WINDOW")):
        bpy.ops.view3d.view_selected()
    for frame in (20, 90, 150, 201):
        scene.frame_set(frame)
        yield from pause(0.3)
    shot("4 curves")
    note("the curves are in the editor")

    key("Z", ctrl=True)
    yield from wait_for("undo", lambda: take() is None, 10)
    key("Z", ctrl=True, shift=True)
    yield from wait_for("redo", lambda: take() is not None, 10)
    note("undo took the take back, redo brought it again")

    session.stop_engine()  # its start leaves time for Esc
    with bpy.context.temp_override(window=window(), area=view(), region=region("WINDOW")):
        bpy.ops.facediff.generate("INVOKE_DEFAULT")
    yield
    assert session.current.generation is not None, session.current.message
    key("ESC")
    yield from wait_for("the end after Esc", lambda: session.current.generation is None, 20)
    assert session.current.message == "Cancelled.", session.current.message
    yield from pause(0.5)
    shot("5 cancelled")
    note("Esc cancelled a generation")
    assert len(bpy.data.actions) == 1
    client = session.current.client
    bpy.ops.preferences.addon_disable(module=MODULE)
    assert session.current.jobs is None and client.pid is None
    note("disabled, and the engine is gone")


STORY = story()
LAST_LOOK = [time.monotonic()]
GAPS: list[float] = []


def look() -> float | None:
    """One turn of the story; at its end, or at what went wrong, write the result and quit."""
    now = time.monotonic()
    GAPS.append(now - LAST_LOOK[0])
    LAST_LOOK[0] = now
    try:
        next(STORY)
        return STEP
    except StopIteration:
        RESULT["ok"] = True
    except Exception:  # the window must close whatever happens, and the result must say what did
        RESULT["ok"] = False
        RESULT["error"] = traceback.format_exc()
        shot("failure")
    RESULT["median seconds between looks"] = float(np.median(GAPS))
    (Path(FOLDER) / "result.json").write_text(json.dumps(RESULT, indent=1), encoding="utf-8")
    bpy.ops.wm.quit_blender()
    return None


bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(look, first_interval=3.0, persistent=True)
