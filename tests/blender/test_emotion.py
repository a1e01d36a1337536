"""Emotion over time: keyed, driven and constant emotions of the head, a strip's own, and that they reach the engine."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import stage
from facediff_tree.facediff_blender import bake, compat, emotions, take_list, written
from facediff_tree.facediff_blender.strips import Timing

pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def log(registered, tmp_path):
    """A head whose emotions count, a strip from frame 11 to 59, and the engine that acts."""
    bpy.ops.facediff.add_head()
    stage.head().facediff.animate_emotion = True
    stage.strip(tmp_path)
    return stage.engine(tmp_path)


def key_happy() -> bpy.types.FCurve:
    """Happy from 0 at frame 11 to 1 at frame 59, LINEAR."""
    own = stage.head().facediff
    for frame, value in ((11, 0.0), (59, 1.0)):
        own.happy = value
        own.keyframe_insert("happy", frame=frame)
    (curve,) = compat.curves_of(stage.head()).values()
    for point in curve.keyframe_points:
        point.interpolation = "LINEAR"
    return curve


def test_keyed_emotions_are_sampled_per_scene_frame(log):
    key_happy()
    stage.head().facediff.sad, stage.head().facediff.intensity = 0.25, 0.5
    bpy.context.scene.frame_set(3)
    take = stage.generate()
    asked, sent = stage.request(log, 0), stage.motion(log, 0, "emotion")
    assert asked["emotion"] == {} and sent.fps == 24.0 and sent.channels == emotions.NAMES
    seconds = np.arange(sent.frames) / 24
    assert sent.frames == 49 and np.abs(sent.channel("happy") - 0.5 * np.clip(seconds / 2, 0, 1)).max() < 1e-6
    assert np.abs(sent.channel("sad") - 0.125).max() < 1e-6 and not sent.channel("angry").any()
    smile = [stage.curve("mouthSmileLeft").evaluate(f) for f in range(11, 59)]
    assert np.abs(np.array(smile) - 0.5 * np.arange(48) / 48).max() < 1e-5, "frame by frame it reaches the face"
    assert bpy.context.scene.frame_current == 3
    assert take_list.facts_of(take)["emotion"] == "changing"


def test_a_take_with_changing_emotion_is_repeated_exactly(log):
    curve = key_happy()
    first = stage.generate()
    curve.keyframe_points[1].co.y = 0.1
    stage.head().facediff.animate_emotion = False
    bpy.ops.facediff.repeat_take()
    stage.run()
    second = bake.current_take(stage.head())
    assert second != first and stage.keys_of(second) == stage.keys_of(first)
    one, two = (stage.motion(log, n, "emotion") for n in (0, 1))
    assert one.weights.tobytes() == two.weights.tobytes()


def test_constant_emotions_go_as_plain_ones(log):
    own = stage.head().facediff
    own.happy, own.surprised, own.intensity = 0.75, 0.5, 0.25
    own.keyframe_insert("happy", frame=1)
    stage.generate()
    asked = stage.request(log, 0)
    assert asked["emotion_curve"] is None and asked["emotion"] == {"happy": 0.75, "surprised": 0.5}
    assert asked["intensity"] == 0.25
    assert take_list.facts_of(bake.current_take(stage.head()))["emotion"] == "happy + surprised"
    own.happy = own.surprised = 0.0
    stage.generate()
    assert stage.request(log, 1)["emotion"] == {"happy": 0.75}, "what is keyed counts, not what the field shows"


def test_driven_emotions_are_what_blender_evaluates(log):
    """A driver that reads another object's location, which is keyed: only the dependency graph knows."""
    other = bpy.data.objects.new("Mood", None)
    bpy.context.scene.collection.objects.link(other)
    for frame, x in ((11, 0.0), (35, 1.0), (59, 0.0)):
        other.location.x = x
        other.keyframe_insert("location", index=0, frame=frame)
    driver = stage.head().driver_add("facediff.angry").driver
    variable = driver.variables.new()
    variable.name, variable.targets[0].id, variable.targets[0].data_path = "x", other, "location.x"
    driver.expression = "x * x"
    bpy.context.scene.frame_set(7, subframe=0.25)
    stage.generate()
    sent = stage.motion(log, 0, "emotion").channel("angry")
    (mood,) = compat.curves_of(other).values()
    # Blender 5 leaves a driven property alone that would change by less than 1e-4.
    assert np.abs(sent - [mood.evaluate(11 + i) ** 2 for i in range(49)]).max() < 1e-4
    scene = bpy.context.scene
    assert (scene.frame_current, scene.frame_subframe) == (7, 0.25)


def test_emotions_in_the_nla_are_what_blender_evaluates(log):
    curve = key_happy()
    data = stage.head().animation_data
    action = data.action
    data.action = None
    strip = data.nla_tracks.new().strips.new("mood", 21, action)
    if hasattr(strip, "action_slot") and strip.action_slot is None:
        strip.action_slot = action.slots[0]
    felt = emotions.of_head(stage.head(), bpy.context.scene, Timing(11.0, 24.0), 2.0)
    expected = [curve.evaluate(11 + i - 10) for i in range(49)]
    assert np.abs(felt.curve[:, emotions.NAMES.index("happy")] - expected).max() < 1e-5


def test_samples_lie_between_frames_where_the_sound_does(log):
    key_happy()
    felt = emotions.of_head(stage.head(), bpy.context.scene, Timing(11.5, 24.0), 1.0)
    assert felt.curve[0, emotions.NAMES.index("happy")] == pytest.approx(0.5 / 48)
    assert len(felt.curve) == 25


def test_emotion_keys_stay_out_of_the_take_and_outlive_it(log):
    """Blender puts the keys of a head without an action in the action of its shape keys, when there is one."""
    head = stage.head()
    head.animation_data.action = None
    head.facediff.animate_emotion = False
    take = stage.generate()
    head.facediff.keyframe_insert("sad", frame=20)
    assert head.animation_data.action == take and len(take.slots) == 3, "not ticked: Blender's own choice"
    assert written.edited_frames(take) == {} and bpy.ops.facediff.delete_take.poll()
    bpy.ops.facediff.delete_take()
    (name,) = compat.curves_of(head)
    assert name == ("facediff.sad", 0) and head.animation_data.action.name.startswith(f"{head.name} Emotion")
    assert take_list.of_head(head) == [] and len(head.animation_data.action.slots) == 1
    head.animation_data.action = None
    take = stage.generate()
    head.facediff.animate_emotion = True
    head.facediff.keyframe_insert("happy", frame=20)
    assert head.animation_data.action != take and len(take.slots) == 2


def test_a_strip_may_carry_its_own(log, tmp_path):
    key_happy()
    other = stage.strip(tmp_path, 100, name="Other", channel=2)
    other.facediff.emotion, other.facediff.intensity = "disgusted", 0.5
    settings = bpy.context.scene.facediff
    settings.strip = "Other"
    stage.generate()
    asked = stage.request(log, 0)
    assert asked["emotion"] == {"disgusted": 1.0} and asked["intensity"] == 0.5 and asked["emotion_curve"] is None
    settings.strip = "Speech"
    stage.generate()
    assert stage.request(log, 1)["emotion_curve"] is not None
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert bpy.context.scene.sequence_editor.strips_all["Other"].facediff.emotion == "disgusted"


def test_the_chosen_emotion_counts_when_the_heads_does_not(log):
    stage.head().facediff.happy = 1.0
    stage.head().facediff.animate_emotion = False
    bpy.context.scene.facediff.emotion = "fear"
    stage.generate()
    assert stage.request(log, 0)["emotion"] == {"fear": 1.0}
