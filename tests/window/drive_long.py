"""A minute of speech on a real Blender window: how long the window stands still while the engine works.

    blender --factory-startup --enable-event-simulate --python drive_long.py -- ZIP SPEECH FOLDER

First the window is watched while only the sidebar is drawn again and again, as the progress bar asks for; then during a
job of 60 seconds of speech, up to the moment when the curves are written, which is timed by itself.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import bpy
import driving
from driving import RESULT, Turns, note, pause, session, settings, shot, wait_for

SECONDS = 60
STILL = 3.0  # s of looking at an idle window


def story() -> Turns:
    """Install, add a head, watch the idle window, generate a minute."""
    bpy.ops.extensions.package_install_files(filepath=driving.ZIP, repo="user_default", enable_on_install=True)
    yield from driving.open_tab()
    bpy.ops.facediff.add_head()
    bpy.context.scene.render.fps = 30
    driving.add_strip("A minute", driving.speech(6))
    settings().extend_range = True
    yield from driving.open_panel("Speech")
    yield from pause(1.0)

    watch, end, module = driving.Watch(), time.monotonic() + STILL, driving.part("session")
    while time.monotonic() < end:
        module._redraw()
        yield
    RESULT["idle, ms"] = watch.stop()
    note(f"idle: {RESULT['idle, ms']}")

    ticks = driving.Timed(module, "tick")
    x, y = yield from driving.find("facediff.generate(")
    yield from driving.click(x, y)
    yield from wait_for("the generation", lambda: session().generation is not None, 20)
    driving.away()
    yield from pause(0.5)  # the click's own drawing is over
    watch = driving.Watch()
    bakes = driving.Timed(module, "_apply", watch)
    yield from wait_for("the take", lambda: session().generation is None)
    assert bakes.spent, session().message
    RESULT["job, ms"] = watch.stop()
    RESULT["the add-on's own ticks, ms"] = {"number": len(ticks.spent) - 1, "longest": round(max(ticks.spent[:-1])[0], 2)}
    clock, thread = bakes.spent[0]
    RESULT["writing the curves, ms"] = {"by the clock": round(clock, 1), "of the main thread": round(thread, 1)}
    ticks.restore()
    bakes.restore()
    made = driving.curves(driving.action())
    RESULT["curves"], RESULT["frames"] = len(made), int(driving.action().frame_range[1])
    RESULT["seconds of the engine"] = session().message
    assert RESULT["frames"] >= SECONDS * 30 - 60 and len(made) >= 60
    note(f"a minute became {len(made)} curves: {RESULT['job, ms']}, written in {RESULT['writing the curves, ms']}")
    yield from pause(0.5)
    shot("31 a minute")


driving.tell(story())
