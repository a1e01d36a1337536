"""The list of takes: derived from the actions, switched, copied, deleted, compared and repeated, and undone exactly."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import stage
from facediff_tree.engine.face.starter_head import load_starter_head
from facediff_tree.facediff_blender import bake, heads, session, take_list, written
from facediff_tree.facediff_blender.panels import takes as panel

pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def log(registered, tmp_path):
    """A head, a strip, and the engine that acts; the folder of its requests."""
    bpy.ops.facediff.add_head()
    stage.strip(tmp_path)
    return stage.engine(tmp_path)


def names() -> list[str]:
    """The takes of the head, the oldest first."""
    return [action.name for action in take_list.of_head(stage.head())]


def jaw_at(frame: int) -> float:
    """The jaw as Blender itself evaluates it."""
    bpy.context.scene.frame_set(frame)
    shown = stage.head().evaluated_get(bpy.context.evaluated_depsgraph_get())
    return shown.data.shape_keys.key_blocks["jawOpen"].value


def test_four_variations_in_one_go(log):
    bpy.context.scene.facediff.seed = 5
    stage.generate(variations=4)
    assert [stage.request(log, n)["seed"] for n in range(4)] == [5, 6, 7, 8]
    assert len({stage.request(log, n)["audio"] for n in range(4)}) == 1, "one sound for all"
    takes = take_list.of_head(stage.head())
    assert [take_list.facts_of(t)["seed"] for t in takes] == [5, 6, 7, 8]
    assert len({stage.keys_of(t)[(bake.key_path("jawOpen"), 0)]["co"] for t in takes}) == 4
    assert session.current.message == "4 of 4 done in 1.0 s." and session.current.batch is None


def test_one_progress_bar_for_all_variations(log):
    bpy.ops.facediff.generate(variations=3)
    seen = [session.progress()]
    while session.tick() or session.current.generation is not None:
        if session.current.generation is not None:
            seen.append(session.progress())
    shares, words = zip(*seen)
    assert list(shares) == sorted(shares) and max(shares) >= 2 / 3 and {"1 of 3", "2 of 3", "3 of 3"} <= set(words)


def test_cancel_ends_those_that_wait_too(log):
    bpy.ops.facediff.generate(variations=4)
    session.tick()
    assert bpy.ops.facediff.cancel() == {"FINISHED"}
    stage.run()
    assert len(names()) < 4 and session.current.batch is None and bpy.ops.facediff.generate.poll()


def test_every_fact_is_on_the_action_and_survives_the_file(log, tmp_path):
    settings = bpy.context.scene.facediff
    settings.emotion, settings.intensity, settings.seed = "happy", 0.5, 3
    take = stage.generate()
    name, before = take.name, stage.keys_of(take)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    take = bpy.data.actions[name]
    facts, (passage,) = take_list.facts_of(take), take_list.passages_of(take)
    assert (facts["emotion"], facts["seed"], facts["model"], facts["strip"]) == ("happy", 3, "starter", "Speech")
    assert facts["intensity"] == 0.5 and facts["seconds"] == pytest.approx(2.0) and facts["created"][:2] == "20"
    assert (passage.first, passage.last, passage.start, passage.rate) == (11, 58, 11.0, 24.0)
    assert passage.options() == {"seed": 3, "device": "cpu", "steps": 8, "mouth_variation": 0.3}
    assert passage.model == "starter" and panel.model_name("//models/mead/") == "mead"
    assert passage.felt.emotion == {"happy": 1.0} and passage.felt.intensity == 0.5 and len(passage.sound) == 64
    assert names() == [name] and stage.keys_of(take) == before and written.edited_frames(take) == {}
    assert any("Emotion: happy, seed 3" in line for line in panel.lines_on(take))


def test_repeat_gives_identical_curves_whatever_was_chosen_since(log):
    settings = bpy.context.scene.facediff
    settings.emotion, settings.intensity, settings.seed = "happy", 0.25, 3
    first = stage.generate()
    settings.emotion, settings.intensity, settings.seed = "sad", 1.0, 99
    assert bpy.ops.facediff.repeat_take() == {"FINISHED"}
    stage.run()
    second = bake.current_take(stage.head())
    assert second != first and stage.keys_of(second) == stage.keys_of(first)
    asked = stage.request(log, 1)
    assert asked["steps"] == 8 and asked["mouth_variation"] == 0.3 and asked["device"] == "cpu"


def test_a_model_beside_the_file_is_found_again_where_the_file_goes(log, tmp_path):
    for place in ("one", "two"):
        (tmp_path / place / "mead").mkdir(parents=True)
        (tmp_path / place / "mead" / "config.json").write_text("{}")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "one" / "a.blend"))
    bpy.context.scene.facediff.model = "//mead"
    stage.generate()
    assert stage.request(log, 0)["model"] == str(tmp_path / "one" / "mead")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "two" / "a.blend"), relative_remap=False)
    bpy.context.scene.facediff.model = ""
    bpy.ops.facediff.repeat_take()
    stage.run()
    assert stage.request(log, 1)["model"] == str(tmp_path / "two" / "mead")


def test_a_strip_that_sounds_different_cannot_be_repeated(log):
    take = stage.generate()
    bpy.context.scene.sequence_editor.strips[0].volume = 0.5
    with pytest.raises(RuntimeError, match="sounds different by now"):
        bpy.ops.facediff.repeat_take()
    assert bake.current_take(stage.head()) == take and session.current.batch is None
    bpy.context.scene.sequence_editor.strips.remove(bpy.context.scene.sequence_editor.strips[0])
    with pytest.raises(RuntimeError, match="'Speech' that the take speaks is gone"):
        bpy.ops.facediff.repeat_take()


def test_switching_moves_shape_keys_and_bones(log):
    stage.generate(variations=2)
    first, second = take_list.of_head(stage.head())
    rig = heads.rig_of(stage.head())
    assert jaw_at(20) == pytest.approx(stage.curve("jawOpen", second).evaluate(20))
    bpy.ops.ed.undo_push(message="before")
    before = stage.everything()
    assert bpy.ops.facediff.switch_take(name=first.name) == {"FINISHED"}
    assert rig.animation_data.action == bake.current_take(stage.head()) == first
    assert rig.animation_data.action_slot.target_id_type == "OBJECT"
    assert jaw_at(20) == pytest.approx(stage.curve("jawOpen", first).evaluate(20))
    bpy.context.scene.frame_set(before["scene"][2])
    bpy.ops.ed.undo_push(message="switched")
    bpy.ops.ed.undo()
    assert stage.everything() == before
    own = stage.head().facediff
    own.take_index = bpy.data.actions.find(names()[0])
    assert bake.current_take(stage.head()).name == names()[0] and own.take_index == bpy.data.actions.find(names()[0])
    own.take_index = 99
    assert bake.current_take(stage.head()).name == names()[0]


def test_duplicate_rename_and_delete(log):
    take = stage.generate()
    keys = stage.keys_of(take)
    bpy.ops.ed.undo_push(message="one")
    before = stage.everything()
    bpy.ops.facediff.duplicate_take()
    copy = bake.current_take(stage.head())
    assert copy != take and stage.keys_of(copy) == keys and len(names()) == 2
    assert take_list.passages_of(copy) == take_list.passages_of(take)
    copy.name = "The quiet one"
    assert names()[-1] == "The quiet one"
    stage.curve("jawOpen", copy).keyframe_points[3].co.y = 0.9
    assert stage.keys_of(take) == keys
    bpy.ops.ed.undo_push(message="two")
    two = stage.everything()
    bpy.ops.facediff.delete_take()
    bpy.ops.ed.undo_push(message="deleted")
    assert len(names()) == 1 and bake.current_take(stage.head()).name == names()[0]
    bpy.ops.ed.undo()
    assert stage.everything() == two
    bpy.ops.ed.undo()
    assert stage.everything() == before


def test_deleting_the_last_take_puts_the_head_to_rest(log):
    stage.generate()
    assert jaw_at(20) > 0
    bpy.ops.facediff.delete_take()
    assert names() == [] and jaw_at(20) == 0.0
    assert all(abs(a) < 1e-6 for b in heads.rig_of(stage.head()).pose.bones for a in b.rotation_euler)
    with pytest.raises(RuntimeError, match="has no take yet"):
        bpy.ops.facediff.delete_take()


def test_a_take_that_another_head_plays_is_not_deleted(log):
    take = stage.generate()
    other = heads.add_head(load_starter_head(), bpy.context.scene)
    data = other.data.shape_keys.animation_data_create()
    data.action = take
    data.action_slot = take.slots[0]
    with pytest.raises(RuntimeError, match="choose another take there first"):
        bpy.ops.facediff.delete_take()
    assert len(bpy.data.actions) == 1


def test_compare_changes_to_the_other_and_back(log):
    stage.generate(variations=2)
    first, second = take_list.of_head(stage.head())
    with pytest.raises(RuntimeError, match="Choose the take to compare with"):
        bpy.ops.facediff.compare_takes()
    own = stage.head().facediff
    own.compared = first
    shown = []
    for _ in range(4):
        shown.append((bake.current_take(stage.head()).name, round(jaw_at(20), 5)))
        bpy.ops.facediff.compare_takes()
    assert shown[0] == shown[2] != shown[1] == shown[3]
    assert {name for name, _ in shown} == {first.name, second.name}
    bpy.data.actions.remove(own.compared)
    assert not bpy.ops.facediff.compare_takes.poll()


def test_each_head_lists_its_own_and_appended_takes_that_fit(log, tmp_path):
    take = stage.generate()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "takes.blend"))
    name = take.name
    bpy.ops.facediff.add_head()
    other = bpy.context.scene.facediff.head
    assert take_list.of_head(other) == [] and not stage.head().facediff.take_index >= 0
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.facediff.add_head()
    with bpy.data.libraries.load(str(tmp_path / "takes.blend")) as (_, into):
        into.actions = [name]
    assert names() == [name], "an appended take of no head of this file is offered where it fits"
    assert bpy.ops.facediff.switch_take(name=name) == {"FINISHED"}
    assert jaw_at(20) == pytest.approx(stage.curve("jawOpen").evaluate(20))


def test_a_user_action_on_the_rig_survives_a_take_without_bones(log):
    take = stage.generate()
    rig = heads.rig_of(stage.head())
    bare = take.copy()
    bare.slots.remove(next(s for s in bare.slots if s.target_id_type == "OBJECT"))
    take_list.switch(stage.head(), bare)
    assert rig.animation_data.action is None
    rig.keyframe_insert("location", frame=1)
    own = rig.animation_data.action
    take_list.switch(stage.head(), take)
    take_list.switch(stage.head(), bare)
    rig.animation_data.action = own
    take_list.switch(stage.head(), bare)
    assert rig.animation_data.action == own


def test_the_memory_of_what_was_written_is_exact_and_small(log):
    take = stage.generate()
    memory = written.stored(take)
    for name, curve in written.curves_of(take).items():
        now = np.array([k.co for k in curve.keyframe_points], np.float32)
        assert memory[name][0].tobytes() == now.tobytes()
    raw = 4 * 2 * sum(len(c.keyframe_points) for c in written.curves_of(take).values())
    assert len(take[written.PROPERTY]) < raw
