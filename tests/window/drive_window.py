"""The first minutes with FaceDiff, as a user lives them: nothing installed but Blender, no engine, no network.

    blender --factory-startup --enable-event-simulate --python drive_window.py -- ZIP SPEECH FOLDER

Installs the zip through the preferences, opens the tab, clicks *Add Starter Head*, adds the speech as a strip, clicks
*Generate*, watches the progress, looks at the curves, undoes and redoes, scrubs, generates again and presses Esc.
Screenshots and `result.json` are left in FOLDER; `test_window.py` judges them.
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import bpy
import driving
from driving import RESULT, Turns, note, pause, session, settings, shot, view, wait_for, window

SHOWN = ("jawOpen", "mouthClose", "mouthPucker", "mouthSmileLeft", "eyeBlinkLeft", "browInnerUp")


def install() -> Turns:
    """Preferences > Get Extensions > Install from Disk, with the file browser."""
    bpy.context.preferences.view.filebrowser_display_type = "SCREEN"
    area, kind = view(), view().type
    area.type = "PREFERENCES"
    bpy.context.preferences.active_section = "EXTENSIONS"
    yield from pause(0.3)
    with bpy.context.temp_override(window=window(), area=area, region=area.regions[-1]):
        bpy.ops.extensions.package_install_files("INVOKE_DEFAULT")
    yield from wait_for("the file browser", lambda: driving.area("FILE_BROWSER") is not None, 20)
    browser = driving.area("FILE_BROWSER")
    browser.spaces.active.params.directory = str(Path(driving.ZIP).parent).encode()
    browser.spaces.active.params.filename = Path(driving.ZIP).name
    yield from pause(0.5)
    shot("01 install from disk")
    buttons = next(r for r in browser.regions if r.type == "EXECUTE")
    yield from driving.click(buttons.x + buttons.width - 60, buttons.y + buttons.height // 2)
    yield from wait_for("the add-on", lambda: driving.MODULE in bpy.context.preferences.addons, 60)
    yield from pause(0.3)
    RESULT["seconds to install"] = time.monotonic() - BEGUN[0]
    yield from wait_for("the preferences again", lambda: driving.area("PREFERENCES") is not None, 20)
    area = driving.area("PREFERENCES")
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "FaceDiff"
    with bpy.context.temp_override(window=window(), area=area):
        bpy.ops.preferences.addon_show(module=driving.MODULE)
    area.tag_redraw()
    yield from pause(0.5)
    shot("02 preferences")
    driving.area("PREFERENCES").type = kind
    yield from pause(0.3)


def show_curves() -> Turns:
    """Split the 3D View and show the take's curves below it."""
    with driving.in_view():
        bpy.ops.screen.area_split(direction="HORIZONTAL", factor=0.4)
    graph = min((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda area: area.y)
    graph.ui_type = "FCURVES"
    yield from pause(0.5)
    drawn = next(r for r in graph.regions if r.type == "WINDOW")
    graph.spaces.active.show_region_ui = graph.spaces.active.show_handles = False
    bpy.context.preferences.themes[0].graph_editor.vertex_size = 1  # a key on each frame would hide the lines
    for curve in driving.curves_of(driving.action()):
        curve.hide = not any(f'"{name}"' in curve.data_path for name in SHOWN)
    with bpy.context.temp_override(window=window(), area=graph, region=drawn):
        bpy.ops.graph.select_all(action="DESELECT")
        bpy.ops.graph.view_all()
    with driving.in_view():
        bpy.ops.view3d.view_selected()
    yield from pause(0.3)


def scrub() -> Turns:
    """Drag the playhead of the timeline with the mouse; the face must follow."""
    timeline = next(a for a in window().screen.areas if a.type == "DOPESHEET_EDITOR")
    ruler = next(r for r in timeline.regions if r.type == "WINDOW")
    y = ruler.y + ruler.height - 10
    seen: set[tuple[int, float]] = set()
    jaw = settings().head.data.shape_keys.key_blocks["jawOpen"]
    for _ in driving.drag((ruler.x + 60, y), (ruler.x + ruler.width // 2, y), steps=12):
        seen.add((bpy.context.scene.frame_current, round(jaw.value, 3)))
        yield
    RESULT["frames scrubbed"] = sorted(seen)
    assert len(seen) > 4 and len({value for _, value in seen}) > 2, seen


BEGUN = [0.0]


def story() -> Turns:
    """What the user does; every `yield` gives Blender a turn."""
    assert not any(name.startswith("FACEDIFF_ENGINE") for name in os.environ), "an engine is configured"
    BEGUN[0] = time.monotonic()
    yield from install()
    note("installed and enabled from the zip through the preferences")
    yield from driving.open_tab()
    shot("03 tab")
    yield from driving.press("facediff.add_head", lambda: settings().head is not None)
    note("a click added the head")
    scene = bpy.context.scene
    scene.render.fps = 25
    driving.add_strip("Speech", driving.SPEECH)
    settings().emotion = "happy"
    view().spaces.active.shading.color_type = "VERTEX"
    yield from pause(0.3)
    shot("04 head and strip")
    yield from driving.press("facediff.generate(", lambda: session().generation is not None or driving.action())
    note("a click began the generation")
    yield from wait_for("a take", lambda: session().generation is None)
    assert driving.action() is not None, session().message
    RESULT["seconds from nothing to curves"] = time.monotonic() - BEGUN[0]
    assert session().client.built_in and session().client.hello.engine_version
    note(f"the take '{driving.action().name}' is there: {session().message}")
    first, last = map(int, driving.action().frame_range)
    scene.frame_start, scene.frame_end = first, last
    yield from show_curves()
    scene.frame_set(90)
    yield from pause(0.3)
    shot("05 curves")

    made = driving.curves(driving.action())
    yield from driving.key("Z", ctrl=True)
    yield from wait_for("undo", lambda: driving.action() is None, 10)
    yield from driving.key("Z", ctrl=True, shift=True)
    yield from wait_for("redo", lambda: driving.action() is not None, 10)
    assert driving.same(made, driving.curves(driving.action()))
    note("undo took the take back, redo brought it again with the same keys")
    yield from scrub()
    note("the face follows the playhead")

    driving.add_strip("Long", driving.speech(8), channel=2)
    settings().strip = "Long"
    yield from driving.press("facediff.generate(", lambda: session().generation is not None)
    yield from wait_for("progress", lambda: session().generation is None or session().generation.job.fraction > 0.05)
    assert session().generation is not None, session().message
    shot("06 progress")
    RESULT["progress"] = session().generation.job.fraction
    yield from driving.key("ESC")
    yield from wait_for("the end after Esc", lambda: session().generation is None, 20)
    assert session().message == "Cancelled.", session().message
    yield from pause(0.3)
    shot("07 cancelled")
    assert len(bpy.data.actions) == 1
    note("Esc cancelled a generation, and nothing is left of it")
    client = session().client
    bpy.ops.preferences.addon_disable(module=driving.MODULE)
    assert client.pid is None
    note("disabled, and the engine is gone")


driving.tell(story())
