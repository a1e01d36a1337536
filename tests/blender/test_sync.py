"""The sync report of a take: figures kept on it, markers at missed closures, and the way from there to a new part."""

from __future__ import annotations

import bpy
import pytest
import stage
from facediff_tree.facediff_blender import bake, session, sync_check, take_list

pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def log(registered, tmp_path):
    """A take from frame 11 to 58 whose jaw is shut at the m (0.5 s, frames 23 to 25) and open at the p (1 s, 35 to 37)."""
    bpy.ops.facediff.add_head()
    stage.strip(tmp_path)
    log = stage.engine(tmp_path)
    stage.generate()
    jaw = stage.curve("jawOpen")
    for point in jaw.keyframe_points:
        point.co.y = 0.0 if 23 <= point.co.x <= 25 else 0.4
    jaw.update()
    return log


def markers() -> list[tuple[str, int]]:
    """The timeline's markers."""
    return sorted((m.name, m.frame) for m in bpy.context.scene.timeline_markers)


def check() -> None:
    """Press Check Sync, and wait."""
    assert bpy.ops.facediff.check_sync() == {"FINISHED"}
    stage.run()
    assert not session.current.failed, session.current.message


def test_missed_closures_are_marked_and_the_report_stays_with_the_take(log, tmp_path):
    bpy.context.scene.timeline_markers.new("my own", frame=36)
    check()
    assert markers() == [("Lips open: p", 36), ("my own", 36)]
    assert session.current.message == "Done in 0.5 s. 1 of 2 closures of the lips (p, b, m) are reached."
    asked = stage.request(log, 1)
    assert asked["type"] == "check" and asked["device"] == "auto"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    take = bake.current_take(stage.head())
    figures, (spot,), digest = sync_check.report_of(take)
    assert figures == {"recall": 0.5, "bilabials": 2.0} and sync_check.is_current(take, digest)
    assert (spot.phone, spot.frame, spot.first, spot.last) == ("p", 36, 31, 41)


def test_from_a_missed_closure_to_a_new_part_in_one_click(log):
    check()
    take = bake.current_take(stage.head())
    _, (spot,), _ = sync_check.report_of(take)
    bpy.ops.facediff.go_to_missed(frame=spot.frame, first=spot.first, last=spot.last)
    part = bpy.context.scene.facediff.part
    assert (part.range, part.frame_start, part.frame_end, part.regions) == ("FIELDS", 31, 41, {"MOUTH"})
    assert bpy.context.scene.frame_current == 36
    for point in stage.curve("jawOpen").keyframe_points:
        if 31 <= point.co.x <= 41:
            point.co.y = 0.0
    _, _, digest = sync_check.report_of(take)
    assert not sync_check.is_current(take, digest), "the panel says that the take was changed since"
    check()
    assert markers() == [] and sync_check.report_of(take)[1] == []


def test_undo_brings_back_markers_and_report(log):
    bpy.ops.ed.undo_push(message="before")
    before = stage.everything()
    check()
    after = stage.everything()
    assert after != before
    bpy.ops.ed.undo()
    assert stage.everything() == before
    bpy.ops.ed.redo()
    assert stage.everything() == after
    bpy.ops.ed.undo_push(message="checked")
    assert bpy.ops.facediff.clear_sync_markers() == {"FINISHED"} and markers() == []
    bpy.ops.ed.undo_push(message="cleared")
    bpy.ops.ed.undo()
    assert stage.everything() == after
    bpy.ops.facediff.clear_sync_markers()
    with pytest.raises(RuntimeError, match="No missed closure is marked"):
        bpy.ops.facediff.clear_sync_markers()


def test_every_strip_of_a_dialogue_is_checked(log, tmp_path):
    stage.strip(tmp_path, 101, 2.0, "Later")
    scene = bpy.context.scene
    for strip in scene.sequence_editor.strips_all:
        strip.facediff.head = stage.head()
    bpy.ops.facediff.generate_all()
    stage.run()
    for point in stage.curve("jawOpen").keyframe_points:
        point.co.y = 0.4
    check()
    assert markers() == [("Lips open: m", f) for f in (24, 114)] + [("Lips open: p", f) for f in (36, 126)]
    figures, missed, _ = sync_check.report_of(bake.current_take(stage.head()))
    assert figures["recall"] == 0.0 and [m.frame for m in missed] == [24, 36, 114, 126]


def test_why_it_is_grey(log):
    bpy.context.scene.sequence_editor.strips[0].mute = True
    with pytest.raises(RuntimeError, match="is muted"):
        bpy.ops.facediff.check_sync()
    bpy.ops.facediff.delete_take()
    with pytest.raises(RuntimeError, match="has no take yet"):
        bpy.ops.facediff.check_sync()


def test_a_take_deleted_meanwhile_changes_nothing(log):
    bpy.ops.facediff.check_sync()
    bpy.ops.facediff.delete_take()
    stage.run()
    assert "deleted" in session.current.message and markers() == [] and take_list.of_head(stage.head()) == []
