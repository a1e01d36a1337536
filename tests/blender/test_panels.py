"""The panels' draw functions, drawn on a layout that checks every call against Blender's own list of functions."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import bpy
import pytest
import stage
from facediff_tree.engine.messages import DeviceInfo, Generate, Hello, Progress
from facediff_tree.facediff_blender import bake, preferences, session
from facediff_tree.facediff_blender.jobs import Job, JobState
from facediff_tree.facediff_blender.panels import common, dialogue, takes
from facediff_tree.facediff_blender.panels.engine import device_text

FUNCTIONS = bpy.types.UILayout.bl_rna.functions


class Layout:
    """Records what is drawn; refuses functions, arguments, properties and operators that Blender does not have."""

    def __init__(self, drawn: list[str] | None = None) -> None:
        object.__setattr__(self, "drawn", [] if drawn is None else drawn)

    def __setattr__(self, name: str, value: object) -> None:
        assert name in bpy.types.UILayout.bl_rna.properties, name

    def __getattr__(self, name: str):
        known = {p.identifier for p in FUNCTIONS[name].parameters}

        def call(*args: object, **options: object) -> Layout:
            assert set(options) <= known, (name, options)
            if name == "prop":
                owner, prop = args
                assert prop in owner.bl_rna.properties, prop
                self.drawn.append(f"prop {prop}")
            elif name == "operator":
                assert args[0].split(".")[1] in dir(bpy.ops.facediff), args
                self.drawn.append(f"operator {args[0]}")
            elif "text" in options:
                self.drawn.append(str(options["text"]))
            return Layout(self.drawn) if name != "operator" else SimpleNamespace()

        return call


@pytest.fixture(autouse=True)
def registered(empty_file):
    """The add-on, enabled for the test and disabled after it."""
    addon = sys.modules["facediff_tree"]
    addon.register()
    yield
    session.current.generation = None
    addon.unregister()


def drawn() -> str:
    """Everything that the panels and the preferences draw now, joined."""
    layout = Layout()
    for panel in common.Panel.__subclasses__():
        panel.draw(SimpleNamespace(layout=layout), bpy.context)
    prefs = preferences.get(bpy.context)
    stand_in = SimpleNamespace(layout=layout, bl_rna=prefs.bl_rna)
    preferences.FaceDiffPreferences.draw(stand_in, bpy.context)
    return " ".join(layout.drawn)


def test_an_empty_scene_says_what_to_do():
    text = drawn()
    for wanted in ("operator facediff.add_head", "prop emotion", "prop intensity", "prop seed", "prop device"):
        assert wanted in text
    assert "operator facediff.add_flame_head" in text and "operator facediff.add_sound" in text
    assert "prop model" in text and "prop tolerance" not in text
    bpy.context.scene.facediff.model = "//mead"
    assert "prop vertex_result" in drawn() and "prop tolerance" in drawn()
    assert "Add a head, or choose one." in text and "chosen when the engine starts" in text


def test_a_head_a_strip_and_a_take(tmp_path):
    bpy.ops.facediff.add_head()
    assert "add one in the Video Sequencer" in drawn().replace("  ", " ")
    head = bpy.context.scene.facediff.head
    head.data.shape_keys.key_blocks["jawOpen"].keyframe_insert("value", frame=1)
    text = drawn()
    assert head.data.shape_keys.animation_data.action.name in text and "operator facediff.export_fbx" in text


def test_the_lists_of_takes_and_strips_and_the_current_takes_tools(tmp_path):
    bpy.ops.facediff.add_head()
    stage.strip(tmp_path, 200, 1.0, "Second")
    stage.strip(tmp_path, 11, 1.0, "First", 2)
    stage.engine(tmp_path)
    stage.generate(variations=2)
    text = drawn()
    for wanted in ("duplicate_take", "delete_take", "repeat_take", "compare_takes", "regenerate", "pin_keys", "generate_all"):
        assert f"operator facediff.{wanted}" in text, wanted
    assert "Frames 11 to 34, 1.0 s Model: starter Strip: First Emotion: neutral, seed 1 Made 20" in text
    assert "No strip of the scene" in text, "why Generate All is grey"
    other = bpy.data.actions.new("A walk")
    shown = SimpleNamespace(filter_name="", bitflag_filter_item=1)
    flags, order = takes.FACEDIFF_UL_takes.filter_items(shown, bpy.context, bpy.data, "actions")
    by_name = dict(zip((a.name for a in bpy.data.actions), zip(flags, order)))
    assert by_name[other.name][0] == 0 and sorted(by_name.values()) == [(0, 2), (1, 0), (1, 1)]
    assert by_name["FaceDiff First neutral 0"] == (1, 0)
    shown.filter_name = "neutral 1"
    assert sum(takes.FACEDIFF_UL_takes.filter_items(shown, bpy.context, bpy.data, "actions")[0]) == 1
    editor = bpy.context.scene.sequence_editor
    shown.filter_name = ""
    flags, order = dialogue.FACEDIFF_UL_strips.filter_items(shown, bpy.context, editor, "strips_all")
    rows = sorted(zip(order, (s.name for s in editor.strips_all)))
    assert flags == [1, 1] and [name for _, name in rows] == ["First", "Second"]
    take = bake.current_take(stage.head())
    takes.FACEDIFF_UL_takes.draw_item(None, bpy.context, Layout(), None, take, 0, None, "")
    dialogue.FACEDIFF_UL_strips.draw_item(None, bpy.context, Layout(), None, editor.strips_all[0], 0, None, "")


def test_progress_and_its_words(tmp_path):
    client = SimpleNamespace(state="ready", hello=None, cancel=lambda id: None)
    job = Job(Generate(id="1", audio="", out=""), client)
    session.current.generation = SimpleNamespace(job=job)
    job.hear(Progress("1", "sampling", 5, 10, 0.42, 3.2))
    text = drawn()
    assert "Acting · 42% · 3 s left" in text and "operator facediff.cancel" in text
    assert "operator facediff.generate " not in f"{text} "
    job.request_cancel()
    assert common.progress_text(job) == "Cancelling"
    assert set(common.STATES) | {JobState.RUNNING, JobState.DONE, JobState.FAILED, JobState.CANCELLED} == set(JobState)
    session.current.generation = None


def test_messages_are_wrapped_and_an_error_shows_the_log():
    session.current.say("The engine stopped unexpectedly because of something that takes many words.", True, "a\nb\nc")
    text = drawn()
    assert "The engine stopped unexpectedly" in text and " a b c" in text


def test_the_device_that_auto_comes_to_is_shown():
    devices = [DeviceInfo("cuda", "CUDA GPU", False, "The installed PyTorch is a CPU build."), DeviceInfo("cpu", "CPU", True)]
    client = SimpleNamespace(hello=Hello(1, "0.1.0", devices=devices, default_device="cpu"), state="ready")
    assert device_text(client, "auto") == "uses CPU"
    assert "cannot be used: The installed" in device_text(client, "cuda")
    assert device_text(client, "cpu") == "" == device_text(None, "cpu")
