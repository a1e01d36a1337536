"""Every tool of an animator once, in a real Blender window, with the built-in engine.

    blender --factory-startup --enable-event-simulate --python drive_tools.py -- ZIP SPEECH FOLDER
"""

import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import bpy
import driving
import numpy as np
from driving import Turns, action, curves, note, open_panel, pause, press, same, session, settings, shot, wait_for

JAW = 'key_blocks["jawOpen"].value'


def jaw(of: bpy.types.Action) -> bpy.types.FCurve:
    """The curve of jawOpen."""
    return next(curve for curve in driving.curves_of(of) if curve.data_path == JAW)


def idle() -> bool:
    """Whether nothing is being made."""
    return session().generation is None


def made_by(what: str, **where) -> Turns:
    """Press a button that hands something to the engine, and wait until it has come."""
    yield from press(what, lambda: not idle(), **where)
    yield from wait_for(f"the end of {what}", idle)
    assert not session().failed, session().message
    yield from pause(0.3)


def variations() -> Turns:
    """Four takes in one go."""
    yield from open_panel("Speech")
    yield from press("facediff.generate(variations=4", lambda: not idle(), columns=(0.75,))
    yield from wait_for("progress", lambda: idle() or session().generation.job.fraction > 0.05)
    shot("11 four variations")
    yield from wait_for("four takes", idle)
    assert len(bpy.data.actions) == 4, session().message
    note(f"four variations: {session().message}")


def takes() -> Turns:
    """Switch, rename, compare."""
    yield from open_panel("Takes")
    last = action()
    x, y = yield from driving.find("facediff.duplicate_take", columns=(0.97, 1.0))  # beside the first row of the list
    x = driving.region("UI").x + 60
    yield from driving.click(x, y)
    yield from wait_for("the first take", lambda: action() is not None and action() != last, 10)
    yield from driving.click(x, y, ctrl=True)
    yield from driving.write("best")
    yield from wait_for("the new name", lambda: action().name == "best", 10)
    note("a click switched the take, Ctrl-click renamed it")
    settings().head.facediff.compared = last
    driving.away()
    yield from pause(0.3)
    shot("12 takes")
    yield from press("facediff.compare_takes", lambda: action() == last, columns=(0.75, 0.6, 0.9))
    yield from driving.key("Y")
    yield from wait_for("the take before", lambda: action().name == "best", 10)
    note("A/B changed to the other take, Y back")


def emotion() -> Turns:
    """Neutral in the beginning, angry in the end."""
    yield from open_panel("Speech")
    head = settings().head
    x, y = yield from driving.find("facediff.animate_emotion", columns=(0.18, 0.14, 0.22))
    yield from driving.click(x, y)
    yield from wait_for("the tick", lambda: head.facediff.animate_emotion, 10)
    yield from driving.click(x + 60, y)
    yield from pause(0.4)
    place = yield from driving.find("facediff.angry", columns=(0.7,))
    for frame, value in ((1, 0.0), (120, 1.0)):
        bpy.context.scene.frame_set(frame)
        head.facediff.angry = value
        yield from pause(0.2)
        yield from driving.key("I", where=place)
    curve = head.animation_data.action_slot and next(iter(curves(head.animation_data.action).values()))
    assert np.allclose(curve, [[1, 0], [120, 1]]), curve
    driving.away()
    yield from pause(0.3)
    shot("13 emotion over time")
    before = len(bpy.data.actions)
    yield from made_by("facediff.generate(", columns=(0.25,))
    assert len(bpy.data.actions) == before + 1
    bpy.context.scene.frame_set(200)
    yield from pause(0.3)
    shot("14 angry in the end")
    head.facediff.animate_emotion = False
    note("the emotion was keyed with I, and spoken")


def part() -> Turns:
    """A part made anew around a pinned key; every key outside stays."""
    yield from open_panel("Regenerate a Part")
    wanted = settings().part
    wanted.frame_start, wanted.frame_end, wanted.regions = 40, 80, {"MOUTH"}
    source, key = action(), jaw(action()).keyframe_points[59]
    key.co.y, key.select_control_point = 0.6, True
    frame = key.co.x
    yield from press("facediff.pin_keys", lambda: jaw(source).keyframe_points[59].type == "EXTREME", columns=(0.25,))
    shot("15 regenerate a part")
    before = curves(source)
    yield from made_by("facediff.regenerate")
    after, changed = curves(action()), 0
    assert action() != source and same(before, curves(source))
    handle = {name.partition(" ")[2]: values for name, values in after.items()}
    for name, values in before.items():
        new = handle[name.partition(" ")[2]]
        outside = (values[:, 0] < 40) | (values[:, 0] > 80)
        assert np.array_equal(values[outside], new[outside]), name
        changed += not np.array_equal(values, new)
    value = jaw(action()).evaluate(frame)
    assert changed > 5 and abs(value - 0.6) < 1e-4, (changed, value)
    note(f"a part: {changed} curves new from 40 to 80, all else the same, the pinned key off by {abs(value - 0.6):.1e}")


def adjust() -> Turns:
    """The mouth's slider, Reset, Apply; fewer keys; undo."""
    yield from open_panel("Adjust")
    made = curves(action())
    x, y = yield from driving.find("mouth", columns=(0.7,))
    yield from driving.drag((x, y), (x + 40, y))
    assert action().facediff_adjust.mouth > 1.05 and not same(made, curves(action()))
    driving.away()
    yield from pause(0.3)
    shot("16 adjust")
    yield from press("facediff.reset_adjustment", lambda: same(made, curves(action())), columns=(0.25,))
    note("a dragged slider moved the curves, Reset brought them back to the last bit")
    yield from press("facediff.thin_keys", lambda: not same(made, curves(action())))
    yield from pause(0.3)
    shot("17 fewer keys")
    keys, fewer = (sum(len(values) for values in c.values()) for c in (made, curves(action())))
    yield from driving.key("Z", ctrl=True)
    yield from wait_for("undo", lambda: same(made, curves(action())), 10)
    assert fewer < keys / 4, (keys, fewer)
    note(f"{keys} keys became {fewer}, undo brought all back")


def sync() -> Turns:
    """The report, its markers, and the way from a missed closure to its part."""
    yield from open_panel("Sync Report")
    curve = jaw(action())
    for point in curve.keyframe_points:  # a mouth that hangs open, so that closures are missed
        point.co.y = max(point.co.y, 0.5)
    curve.update()
    yield from made_by("facediff.check_sync")
    assert bpy.context.scene.timeline_markers
    shot("18 sync report")
    frame = bpy.context.scene.frame_current
    yield from press("facediff.go_to_missed", lambda: bpy.context.scene.frame_current != frame)
    note(f"{len(bpy.context.scene.timeline_markers)} missed closures of an open mouth were marked; a click went to the first")


def dialogue() -> Turns:
    """Two heads, two strips each."""
    scene, first = bpy.context.scene, settings().head
    scene.cursor.location.x = 0.3
    bpy.ops.facediff.add_head()
    second = settings().head
    first.name, second.name = "Anna", "Ben"
    for _ in range(2):
        bpy.ops.facediff.add_sound(filepath=driving.speech(1))
    bpy.ops.ed.undo_push(message="Two strips")
    yield from open_panel("Dialogue")
    strips = list(scene.sequence_editor.strips_all)
    for strip, head in zip(strips, (first, second, first), strict=True):
        strip.facediff.head = head
    strips[1].facediff.emotion = "happy"
    yield from pause(0.3)
    yield from made_by("facediff.generate_all")
    first.select_set(True)
    with driving.in_view():
        bpy.ops.view3d.view_selected()
    scene.frame_set(driving.part("compat").strip_span(strips[1])[0] + 40)
    yield from pause(0.5)
    shot("19 dialogue")
    spoken = [head.data.shape_keys.animation_data.action.name for head in (first, second)]
    assert "dialogue" in spoken[0], spoken
    note(f"a dialogue of two heads: {session().message}")


def export() -> Turns:
    """FBX through the file browser, and read back."""
    bpy.context.preferences.view.filebrowser_display_type = "SCREEN"
    yield from open_panel("Export")
    x, y = yield from driving.find("facediff.export_fbx", columns=(0.2,))
    yield from driving.click(x, y)
    yield from wait_for("the file browser", lambda: driving.area("FILE_BROWSER") is not None, 20)
    yield from pause(0.5)
    browser = driving.area("FILE_BROWSER")
    browser.spaces.active.params.directory = driving.FOLDER.encode()
    browser.spaces.active.params.filename = "face.fbx"
    yield from pause(0.3)
    shot("20 export")
    buttons = next(r for r in browser.regions if r.type == "EXECUTE")
    yield from driving.click(buttons.x + buttons.width - 60, buttons.y + buttons.height // 2)
    yield from wait_for("the file", lambda: (Path(driving.FOLDER) / "face.fbx").is_file())
    yield from wait_for("the 3D View", lambda: driving.area("VIEW_3D") is not None, 20)
    yield from pause(0.5)
    shot("21 exported")
    note("exported, and read back")


def story() -> Turns:
    """One tool after the other."""
    bpy.ops.extensions.package_install_files(filepath=driving.ZIP, repo="user_default", enable_on_install=True)
    yield from driving.open_tab()
    yield from press("facediff.add_head", lambda: settings().head is not None)
    bpy.context.scene.render.fps = 25
    bpy.ops.facediff.add_sound(filepath=driving.SPEECH)
    driving.view().spaces.active.shading.color_type = "VERTEX"
    bpy.ops.ed.undo_push(message="Sound")
    failures: list[str] = []
    for tool in (variations, takes, emotion, part, adjust, sync, dialogue, export):
        try:
            yield from tool()
        except Exception as error:  # the other tools are looked at all the same
            failures.append(f"{tool.__name__}: {error}\n{traceback.format_exc()}")
            shot(f"failed {tool.__name__}")
            yield from wait_for("quiet", idle)
    assert not failures, "\n".join(failures)


driving.tell(story())
