"""Several strips and heads on one timeline: who speaks what, on which frames, in which take, with which emotion."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import stage
from facediff_tree.facediff_blender import bake, keyframes, session, take_list, written

pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def log(registered, tmp_path):
    """Two heads, and A (11..34), B (41..64), C (81..104) on a timeline: A and C are Ann's, B is Bob's."""
    for name in ("Ann", "Bob"):
        bpy.ops.facediff.add_head()
        bpy.context.scene.facediff.head.name = name
    for name, frame, speaker in (("A", 11, "Ann"), ("B", 41, "Bob"), ("C", 81, "Ann")):
        stage.strip(tmp_path, frame, 1.0, name * 3).facediff.head = bpy.data.objects[speaker]
    return stage.engine(tmp_path)


def take_of(name: str) -> bpy.types.Action:
    """The current take of a head."""
    return bake.current_take(bpy.data.objects[name])


def jaw(name: str) -> list[int]:
    """The frames of the jaw's keys of a head."""
    return [int(f) for f in keyframes.read(stage.curve("jawOpen", take_of(name)), ("co",))["co"][:, 0]]


def generate_all() -> None:
    """Press Generate All, and wait."""
    assert bpy.ops.facediff.generate_all() == {"FINISHED"}
    stage.run()
    assert not session.current.failed, session.current.message


def test_every_strip_on_its_frames_and_head_and_one_take_per_head(log):
    strips_of = bpy.context.scene.sequence_editor.strips_all
    strips_of["BBB"].facediff.emotion, strips_of["BBB"].facediff.intensity = "angry", 0.5
    strips_of["CCC"].facediff.emotion = "happy"
    generate_all()
    assert len(bpy.data.actions) == 2 and session.current.message.startswith("3 of 3 done")
    assert jaw("Ann") == [*range(11, 35), *range(81, 105)] and jaw("Bob") == list(range(41, 65))
    asked = [stage.request(log, n) for n in range(3)]
    assert [a["emotion"] for a in asked] == [{"neutral": 1.0}, {"angry": 1.0}, {"happy": 1.0}]
    assert len({a["audio"] for a in asked}) == 3
    smile = stage.curve("mouthSmileLeft", take_of("Ann"))
    assert [smile.evaluate(f) for f in (11, 34, 81, 104)] == [0, 0, 1, 1]
    assert smile.evaluate((34 + 81) / 2) == pytest.approx(0.5), "between two passages straight from one to the other"
    ann = take_of("Ann")
    assert [(p.strip, p.first, p.last) for p in take_list.passages_of(ann)] == [("AAA", 11, 34), ("CCC", 81, 104)]
    assert tuple(ann.frame_range) == (11, 104) and take_list.facts_of(ann)["strip"] == "AAA + CCC"
    assert written.edited_frames(ann) == {} and take_list.of_head(bpy.data.objects["Bob"]) == [take_of("Bob")]
    rig = bpy.data.objects["Ann"].parent.animation_data
    turned = next(c for (_, path, i), c in written.curves_of(rig.action).items() if '"head"' in path and i == 0)
    assert len(turned.keyframe_points) == 48


def test_the_first_passage_is_the_same_with_and_without_the_second(log):
    generate_all()
    both = keyframes.read(stage.curve("jawOpen", take_of("Ann")))
    scene = bpy.context.scene
    scene.facediff.head, scene.facediff.strip = bpy.data.objects["Ann"], "AAA"
    alone = keyframes.read(stage.curve("jawOpen", stage.generate()))
    assert both["co"][:24].tobytes() == alone["co"].tobytes()
    frames = [81 + f - 11 for f in alone["co"][:, 0]]
    assert np.array_equal(both["co"][24:, 0], frames) and np.array_equal(both["co"][24:, 1], alone["co"][:, 1])


def test_one_progress_bar_and_undo_step_by_step(log):
    bpy.ops.ed.undo_push(message="before")
    before = stage.everything()
    bpy.ops.facediff.generate_all()
    words = set()
    while session.tick() or session.current.generation is not None:
        if session.current.generation is not None:
            words.add(session.progress()[1])
    assert words == {"1 of 3", "2 of 3", "3 of 3"}
    bpy.ops.ed.undo()
    assert jaw("Ann") == list(range(11, 35)) and jaw("Bob") == list(range(41, 65))
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    assert stage.everything() == before


def test_a_part_of_the_second_passage(log):
    generate_all()
    settings = bpy.context.scene.facediff
    settings.head = bpy.data.objects["Ann"]
    settings.part.frame_start, settings.part.frame_end = 90, 95
    first = stage.keys_of(take_of("Ann"))
    assert bpy.ops.facediff.regenerate() == {"FINISHED"}
    stage.run()
    assert stage.motion(log, 3, "base").frames == 24 and stage.request(log, 3)["seed"] == 1
    assert jaw("Ann") == [*range(11, 35), *range(81, 105)]
    now = stage.keys_of(take_of("Ann"))
    size = 8 * 24
    path = (bake.key_path("jawOpen"), 0)
    assert now[path]["co"][:size] == first[path]["co"][:size] and now != first


def test_repeat_makes_both_passages_again(log):
    generate_all()
    bpy.context.scene.facediff.head = bpy.data.objects["Ann"]
    first = take_of("Ann")
    bpy.ops.facediff.repeat_take()
    stage.run()
    assert take_of("Ann") != first and stage.keys_of(take_of("Ann")) == stage.keys_of(first)


def test_selected_strips_are_given_to_the_head(log):
    scene = bpy.context.scene
    for strip in scene.sequence_editor.strips_all:
        strip.facediff.head, strip.select = None, False
    scene.facediff.head = bpy.data.objects["Bob"]
    with pytest.raises(RuntimeError, match="Select sound strips"):
        bpy.ops.facediff.assign_speaker()
    scene.sequence_editor.strips_all["CCC"].select = True
    assert bpy.ops.facediff.assign_speaker() == {"FINISHED"}
    assert [s.facediff.head.name for s in scene.sequence_editor.strips_all if s.facediff.head] == ["Bob"]
    own = scene.facediff
    own.strip_index = scene.sequence_editor.strips_all.find("BBB")
    assert own.strip == "BBB" and own.strip_index == scene.sequence_editor.strips_all.find("BBB")


def test_a_head_that_goes_meanwhile_costs_only_its_own_strips(log):
    bpy.ops.facediff.generate_all()
    bpy.data.objects.remove(bpy.data.objects["Bob"])
    stage.run()
    assert jaw("Ann") == [*range(11, 35), *range(81, 105)]
    assert "2 of 3 done" in session.current.message and "head was deleted" in session.current.message


def test_why_generate_all_is_grey(log, tmp_path):
    def reason() -> str:
        with pytest.raises(RuntimeError) as caught:
            bpy.ops.facediff.generate_all()
        return str(caught.value)

    scene = bpy.context.scene
    stage.strip(tmp_path, 20, 1.0, "DDDD", 3).facediff.head = bpy.data.objects["Ann"]
    assert "'AAA' and 'DDDD' overlap" in reason()
    for strip in scene.sequence_editor.strips_all:
        strip.mute = True
    assert "is muted" in reason()
    for strip in scene.sequence_editor.strips_all:
        strip.facediff.head = None
    assert "has a speaker" in reason()
