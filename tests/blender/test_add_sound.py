"""A sound that the panel puts on the timeline is the one that Generate speaks, and a file that is none changes nothing."""

from __future__ import annotations

import bpy
import pytest
import stage
from facediff_tree.facediff_blender import compat

pytestmark = pytest.mark.usefixtures("registered")


def test_sounds_follow_each_other_and_the_scene_is_long_enough(tmp_path):
    scene = bpy.context.scene
    stage.strip(tmp_path, 1, 1.0, "A line")
    stage.strip(tmp_path, 1, 12.0, "Another")
    scene.sequence_editor_clear()
    for name in ("A line", "Another"):
        assert bpy.ops.facediff.add_sound(filepath=str(tmp_path / f"{name}.wav")) == {"FINISHED"}
    spans = [compat.strip_span(strip) for strip in compat.all_strips(scene)]
    assert spans == [(1, 25), (25, 313)] and scene.frame_end == 312
    assert scene.facediff.strip == "Another" and scene.facediff.chosen_strip(bpy.context).name == "Another"


def test_a_file_that_is_no_sound_is_refused(tmp_path):
    scene = bpy.context.scene
    (tmp_path / "no.wav").write_text("no sound")
    for name, said in (("no.wav", "holds no sound"), ("none.wav", "There is no file")):
        with pytest.raises(RuntimeError, match=said):
            bpy.ops.facediff.add_sound(filepath=str(tmp_path / name))
    assert not list(compat.all_strips(scene)) and scene.facediff.strip == ""
