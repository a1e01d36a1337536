"""Track as the user presses it: which part of which film, what the mask hides, and the take. Stand-ins for the engine."""

from __future__ import annotations

import json
import os
import sys
import wave
from pathlib import Path

import bpy
import film
import numpy as np
import pytest
import stage
from facediff_tree.engine.face.arkit import ARKIT_52
from facediff_tree.engine.motion import FaceMotion
from facediff_tree.facediff_blender import (
    bake,
    footage,
    heads,
    mask_frames,
    preferences,
    session,
    strips,
    take_list,
    tracking,
)
from facediff_tree.facediff_blender.engine_client import EngineClient, Limits
from facediff_tree.facediff_blender.jobs import Jobs
from facediff_tree.facediff_blender.panels import takes as takes_panel

ENGINE = Path(__file__).resolve().parent / "motion_engine.py"


pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def strip(tmp_path):
    """A film of 50 numbered frames at 25 fps, from frame 11 on in a scene of 24 fps."""
    path = film.numbered(tmp_path / "actor.avi")
    return bpy.context.scene.sequence_editor_create().strips.new_movie("Actor", str(path), 1, 11)


def engine(folder: Path, frames: int = 50, steps: int = 2) -> None:
    """Let the session talk to a stand-in that answers with a jaw that opens steadily, at 25 frames per second."""
    weights = np.zeros((frames, 52), np.float32)
    weights[:, ARKIT_52.index("jawOpen")] = np.arange(frames) / 100
    path = folder / "motion.npz"
    FaceMotion(25.0, ARKIT_52, weights, meta={"steps": 8, "device": "cpu"}).save(path)
    preferences.get(bpy.context).engine_python = sys.executable
    command = [sys.executable, str(ENGINE), str(path), str(steps)]
    client = EngineClient(sys.executable, preferences.ROOT, limits=Limits(stop_grace=0.1), command=command)
    session.current.jobs = Jobs(client)


def track() -> dict:
    """Press Track, wait, and return what the engine was asked."""
    assert bpy.ops.facediff.track() == {"FINISHED"}
    scratch = session.current.client.scratch
    stage.run()
    assert not session.current.failed, session.current.message
    notes = sorted(scratch.glob("*.request"), key=os.path.getmtime)
    return json.loads(notes[-1].read_text())


def jaw() -> dict[int, float]:
    """The keys of the jaw's curve in the current take."""
    return {int(key.co.x): key.co.y for key in stage.curve("jawOpen").keyframe_points}


def set_end(strip: bpy.types.Strip, first: int, after_last: int) -> None:
    """Move the strip's handles."""
    if hasattr(strip, "left_handle"):
        strip.left_handle, strip.right_handle = first, after_last
    else:
        strip.frame_final_start, strip.frame_final_end = first, after_last


def shown(frame: int, folder: Path) -> int:
    """The number of the film's frame that Blender itself shows at a frame of the scene."""
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = 64, 36, 100
    render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGB"
    bpy.context.scene.view_settings.view_transform = "Standard"
    render.filepath = str(folder / "shown.png")
    bpy.context.scene.frame_set(frame)
    bpy.ops.render.render(write_still=True)
    return round(float(grey(folder / "shown.png").mean()) / 5)


def grey(path: Path) -> np.ndarray:
    """A picture's red, (H, W) 0..255, top row first."""
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(pixels)
    found = pixels.reshape(image.size[1], image.size[0], 4)[::-1, :, 0] * 255
    bpy.data.images.remove(image)
    return found


def agrees(made: footage.Footage, frames: tuple[int, ...], folder: Path) -> None:
    """The seconds that the footage gives these frames are those of the film's frames that Blender shows there."""
    for frame in frames:
        number = made.film.fps * (made.start + made.timing.second(frame))
        assert abs(shown(frame, folder) - number) <= 0.51, frame


def in_sequencer(strip: bpy.types.Strip, operation) -> None:
    """Run an operator that wants a sequencer to look at."""
    window, scene = bpy.context.window_manager.windows[0], bpy.context.scene
    area = window.screen.areas[0]
    area.type = "SEQUENCE_EDITOR"
    if hasattr(bpy.context.workspace, "sequencer_scene"):
        bpy.context.workspace.sequencer_scene = scene
    strip.select, scene.sequence_editor.active_strip = True, strip
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region, scene=scene):
        assert operation() == {"FINISHED"}


def test_a_strip_shows_frame_after_frame_whatever_the_scene_s_rate(strip, tmp_path):
    made = footage.of_strip(bpy.context.scene, strip)
    assert (made.film.fps, made.film.frames, made.film.size) == (25.0, 50, (64, 36))
    assert (made.start, made.seconds, made.timing) == (0.0, 2.0, strips.Timing(11.0, 25.0))
    agrees(made, (11, 30, 60), tmp_path)


def test_a_cut_strip_gives_its_part_alone(strip, tmp_path):
    set_end(strip, 21, 41)
    made = footage.of_strip(bpy.context.scene, strip)
    assert (made.start, made.seconds, made.timing) == (pytest.approx(0.4), pytest.approx(0.8), strips.Timing(21.0, 25.0))
    agrees(made, (21, 40), tmp_path)
    name = "content_trim_start" if hasattr(strip, "content_trim_start") else "animation_offset_start"
    setattr(strip, name, 5)
    made = footage.of_strip(bpy.context.scene, strip)
    agrees(made, (compat_first(strip), 30), tmp_path)
    assert made.film.fps * made.start == pytest.approx(shown(compat_first(strip), tmp_path))


def compat_first(strip: bpy.types.Strip) -> int:
    """The first frame that the strip shows."""
    return strips.audible_span(strip)[0]


def test_a_slower_strip_is_followed_in_the_film_s_own_time(strip, tmp_path):
    in_sequencer(strip, lambda: bpy.ops.sequencer.retiming_segment_speed_set(speed=50.0))
    made = footage.of_strip(bpy.context.scene, strip)
    assert made.timing.rate == pytest.approx(50.0, rel=0.03) and made.seconds == pytest.approx(2.0, abs=0.05)
    agrees(made, (11, 40, 80, 108), tmp_path)
    in_sequencer(strip, lambda: bpy.ops.sequencer.retiming_key_add(timeline_frame=40))
    with pytest.raises(strips.StripError, match="changes on the way"):
        footage.of_strip(bpy.context.scene, strip)


def test_a_take_follows_the_part_that_the_strip_shows(strip, tmp_path):
    bpy.ops.facediff.add_head()
    set_end(strip, 21, 41)
    engine(tmp_path, frames=20)
    video = bpy.context.scene.facediff_video
    video.hidden, video.seed = "mouth", 7
    bpy.ops.ed.undo_push(message="before")
    asked = track()
    assert (asked["type"], asked["video"], asked["audio"]) == ("track", str(tmp_path / "actor.avi"), None)
    assert (asked["start"], asked["end"]) == (pytest.approx(0.4), pytest.approx(1.2))
    assert (asked["occlusion"], asked["seed"], asked["model"], asked["masks_fps"]) == ("mouth", 7, "starter", None)
    keys = jaw()
    assert list(keys) == list(range(21, 41)) and keys[21] == 0 and keys[40] == pytest.approx(0.19)
    take = bake.current_take(stage.head())
    assert take.name.startswith("FaceDiff Actor tracked 7")
    (passage,) = take_list.passages_of(take)
    assert (passage.strip, passage.seed, passage.steps, tracking.occlusion_of(passage).kind) == ("Actor", 7, 8, "mouth")
    assert "Follows a video, hidden: mouth, seed 7" in takes_panel.lines_on(take)
    assert not [name for name in os.listdir(bpy.app.tempdir) if name.startswith("facediff-")]
    bpy.ops.ed.undo()
    assert len(bpy.data.actions) == 0 and heads.is_head(stage.head())
    bpy.ops.ed.redo()
    assert len(jaw()) == 20


def test_repeat_asks_the_same_again_and_says_when_it_cannot(strip, tmp_path):
    bpy.ops.facediff.add_head()
    engine(tmp_path)
    video = bpy.context.scene.facediff_video
    video.hidden, video.seed = "upper", 3
    first = track()
    video.hidden, video.seed = "none", 0
    assert bpy.ops.facediff.repeat_take() == {"FINISHED"}
    scratch = session.current.client.scratch
    stage.run()
    again = json.loads(max(scratch.glob("*.request"), key=os.path.getmtime).read_text())
    kept = ("id", "out", "steps", "device")
    assert {k: v for k, v in again.items() if k not in kept} == {k: v for k, v in first.items() if k not in kept}
    with pytest.raises(RuntimeError, match="made anew as a whole"):
        bpy.ops.facediff.regenerate()
    with pytest.raises(RuntimeError, match="made from sound"):
        bpy.ops.facediff.check_sync()
    set_end(strip, 11, 40)
    with pytest.raises(RuntimeError, match="shows something else by now"):
        bpy.ops.facediff.repeat_take()
    bpy.context.scene.sequence_editor.strips.remove(strip)
    with pytest.raises(RuntimeError, match="movie strip 'Actor' is gone"):
        bpy.ops.facediff.repeat_take()


def test_a_file_without_a_strip_plays_at_its_own_speed(tmp_path):
    path = film.numbered(tmp_path / "clip.avi")
    bpy.ops.facediff.add_head()
    engine(tmp_path)
    video = bpy.context.scene.facediff_video
    video.source, video.file, video.frame, video.hidden = "FILE", str(path), 101, "none"
    asked = track()
    assert (asked["video"], asked["start"], asked["end"]) == (str(path), 0.0, 2.0)
    keys = jaw()
    assert min(keys) == 101 and max(keys) == 148, "50 frames at 25 fps are 48 at 24 fps"
    assert keys[125] == pytest.approx(0.25), "a second later"
    assert bake.current_take(stage.head()).name.startswith("FaceDiff clip.avi tracked")


def test_another_sound_strip_is_heard_where_it_lies(strip, tmp_path):
    """The sound begins 10 frames after the film and clicks 10 frames later: 0.8 s into the film, whatever the scene's rate."""
    samples = np.zeros(16_000, np.int16)
    at = round(16_000 * 10 / 24)
    samples[at : at + 160] = 20_000
    with wave.open(str(tmp_path / "click.wav"), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(samples.tobytes())
    scene = bpy.context.scene
    scene.sequence_editor.strips.new_sound("Click", str(tmp_path / "click.wav"), 2, 21)
    made = tracking.with_sound(footage.of_strip(scene, strip), scene, "Click", tmp_path)
    with wave.open(str(made.sound)) as source:
        rate = source.getframerate()
        heard = np.frombuffer(source.readframes(source.getnframes()), "<i2")
    assert len(heard) == 2 * rate and np.argmax(np.abs(heard) > 10_000) / rate == pytest.approx(0.8, abs=0.005)
    bpy.ops.facediff.add_head()
    engine(tmp_path)
    scene.facediff_video.sound = "Click"
    assert Path(track()["audio"]).name == "sound.wav"
    assert take_list.passages_of(bake.current_take(stage.head()))[0].video["sound_strip"] == "Click"


def a_mask(moves: bool = True) -> bpy.types.Mask:
    """A rectangle over the middle half of the width and a quarter of it high, which from frame 1 to 11 goes right by 0.2."""
    mask = bpy.data.masks.new("Hand")
    window, scene = bpy.context.window_manager.windows[0], bpy.context.scene
    area = window.screen.areas[0]
    area.type = "IMAGE_EDITOR"
    area.spaces.active.mode, area.spaces.active.mask = "MASK", mask
    region = next(r for r in area.regions if r.type == "WINDOW")
    spline = mask.layers.new(name="Layer").splines.new()
    spline.points.add(3)
    spline.use_cyclic = True
    with bpy.context.temp_override(window=window, area=area, region=region):
        for frame, shift in ((1, 0.0), (11, 0.2)) if moves else ((1, 0.0),):
            scene.frame_set(frame)
            for point, (x, y) in zip(spline.points, ((0.25, 0.375), (0.75, 0.375), (0.75, 0.625), (0.25, 0.625))):
                point.handle_type, point.select = "FREE", True
                for name in ("co", "handle_left", "handle_right"):
                    setattr(point, name, (x + shift, y))
            if moves:
                assert bpy.ops.mask.shape_key_insert() == {"FINISHED"}
    return mask


def test_an_animated_mask_is_drawn_where_it_is_at_each_frame(tmp_path):
    """A mask's unit is the film's larger side: of 384 x 216 pixels it covers x 96..287 and y 60..155."""
    mask = a_mask()
    before = (len(bpy.data.scenes), len(bpy.data.masks), mask.frame_start, mask.frame_end)
    mask_frames.render(mask, (1920, 1080), 1, 14, tmp_path / "masks")
    pictures = sorted((tmp_path / "masks").iterdir())
    assert len(pictures) == 14 and before == (len(bpy.data.scenes), len(bpy.data.masks), mask.frame_start, mask.frame_end)
    for number, shift in ((1, 0.0), (6, 0.1), (11, 0.2), (14, 0.2)):
        inside = grey(pictures[number - 1]) > 127
        assert inside.shape == (216, 384)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        edges = np.array([columns[0], columns[-1] + 1, rows[0], rows[-1] + 1])
        assert edges == pytest.approx([96 + 384 * shift, 288 + 384 * shift, 60, 156], abs=1.01)
        assert inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()


@pytest.mark.parametrize("invert", [False, True])
def test_a_mask_is_drawn_to_the_last_pixel(invert, tmp_path):
    """Blender itself leaves the pixel at the top right as the memory was: mostly black, now and then anything."""
    for attempt in range(4):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        mask = a_mask(moves=False)
        mask.layers[0].invert = invert
        mask_frames.render(mask, (1920, 1080), 1, 3, tmp_path / f"masks{attempt}")
        for path in sorted((tmp_path / f"masks{attempt}").iterdir()):
            picture = grey(path)
            expected = np.zeros((216, 384))
            expected[60:156, 96:288] = 255
            assert np.array_equal(picture, 255 - expected if invert else expected)


def test_layers_blend_and_invert_as_in_blender(tmp_path):
    mask = a_mask(moves=False)
    mask.layers[0].invert = True
    mask.layers[0].alpha = 0.6
    mask_frames.render(mask, (360, 640), 5, 5, tmp_path / "masks")
    picture = grey(next((tmp_path / "masks").iterdir()))
    assert picture.shape == (384, 216) and picture[5, 5] == 255 and picture[192, 108] == pytest.approx(0.4 * 255, abs=1)


def test_masks_keep_time_with_the_film_or_with_the_scene(strip, tmp_path):
    a_mask()
    set_end(strip, 21, 41)
    made = footage.of_strip(bpy.context.scene, strip)
    for clock, left in (("FILE", 0.2), ("SCENE", 0.2)):
        folder = tmp_path / clock
        folder.mkdir()
        said = tracking.Occlusion("mask", mask="Hand", clock=clock).options(made, folder)
        assert (said["masks_fps"], said["masks_start"]) == (25.0, pytest.approx(0.4))
        assert said["occlusion"] == str(folder / "masks") and len(list((folder / "masks").iterdir())) == 20
        inside = grey(min((folder / "masks").iterdir())) > 127
        assert np.flatnonzero(inside.any(axis=0))[0] == pytest.approx(384 * (0.25 + left), abs=1.01)
    set_end(strip, 11, 41)
    made = footage.of_strip(bpy.context.scene, strip)
    for clock, left in (("FILE", 0.0), ("SCENE", 0.2)):  # the film's first frame is the scene's eleventh
        folder = tmp_path / f"{clock} 2"
        folder.mkdir()
        tracking.Occlusion("mask", mask="Hand", clock=clock).options(made, folder)
        inside = grey(min((folder / "masks").iterdir())) > 127
        assert np.flatnonzero(inside.any(axis=0))[0] == pytest.approx(384 * (0.25 + left), abs=1.01)


def test_a_mask_and_a_folder_reach_the_engine_with_their_time(strip, tmp_path):
    bpy.ops.facediff.add_head()
    mask = a_mask()
    engine(tmp_path)
    video = bpy.context.scene.facediff_video
    video.hidden, video.mask = "mask", mask
    asked = track()
    assert Path(asked["occlusion"]).name == "masks" and (asked["masks_fps"], asked["masks_start"]) == (25.0, 0.0)
    assert "Follows a video, hidden: Hand, seed 0" in takes_panel.lines_on(bake.current_take(stage.head()))
    (tmp_path / "pictures").mkdir()
    video.hidden, video.folder = "folder", str(tmp_path / "pictures")
    asked = track()
    assert (asked["occlusion"], asked["masks_fps"], asked["masks_start"]) == (str(tmp_path / "pictures"), 25.0, 0.0)


def test_cancel_and_a_strip_that_goes_change_nothing(strip, tmp_path):
    bpy.ops.facediff.add_head()
    engine(tmp_path, steps=400)
    bpy.ops.facediff.track()
    session.tick()
    bpy.ops.facediff.cancel()
    session.current.client.limits = Limits(cancel_grace=0.1)
    stage.run()
    assert session.current.message == "Cancelled." and len(bpy.data.actions) == 0
    engine(tmp_path, steps=50)
    bpy.ops.facediff.track()
    bpy.context.scene.sequence_editor.strips.remove(strip)
    stage.run()
    assert "The movie strip was deleted or renamed" in session.current.message and len(bpy.data.actions) == 0


def test_why_it_is_grey(tmp_path, monkeypatch):
    scene, video = bpy.context.scene, bpy.context.scene.facediff_video

    def grey_because(words: str) -> None:
        with pytest.raises(RuntimeError, match=words):
            bpy.ops.facediff.track()

    grey_because("Add a head")
    bpy.ops.facediff.add_head()
    preferences.get(bpy.context).engine_python = sys.executable
    with monkeypatch.context() as patch:
        patch.setattr(preferences, "find_python", lambda choice="": "")
        grey_because("needs the full engine: press Install Full Engine")
    grey_because("has no movie strip: add one")
    video.strip = "Nobody"
    grey_because("has no movie strip 'Nobody'")
    video.strip = ""
    path = film.numbered(tmp_path / "actor.avi", 10)
    strip = scene.sequence_editor_create().strips.new_movie("Actor", str(path), 1, 1)
    strip.mute = True
    grey_because("'Actor' is muted")
    strip.mute, strip.use_reverse_frames = False, True
    grey_because("plays backwards")
    strip.use_reverse_frames, video.sound = False, "Nobody"
    grey_because("has no sound strip 'Nobody'")
    video.sound, video.hidden = "", "mask"
    grey_because("Choose a mask")
    video.mask = bpy.data.masks.new("Empty")
    grey_because("'Empty' has no splines")
    video.hidden, video.picture = "picture", str(tmp_path / "no.png")
    grey_because("no mask picture")
    video.hidden = "folder"
    grey_because("Choose a folder")
    video.hidden, video.model = "auto", str(tmp_path)
    grey_because("holds no model")
    video.model, video.source = "", "FILE"
    grey_because("Choose a video file")
    video.file = str(tmp_path / "no.mp4")
    grey_because("is missing")
    (tmp_path / "text.mp4").write_text("hello")
    video.file = str(tmp_path / "text.mp4")
    grey_because("'text.mp4' cannot be read")
    video.source = "STRIP"
    path.unlink()
    grey_because("is missing")
