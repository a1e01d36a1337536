"""Several strips and several heads on one timeline: who speaks what, and all of it in one go."""

from itertools import pairwise
from pathlib import Path

import bpy

from .. import compat, strips
from ..generation import Generation, Speech
from . import generate
from .current import why_busy, why_no_head
from .greyed import Greyed


def rows(context: bpy.types.Context) -> list[tuple[bpy.types.Strip, bpy.types.Object]]:
    """The strips that can be heard and have a speaker, with their speakers, in the order of time."""
    scene = context.scene.facediff.scene_of_strips(context)
    found = [(strip, strip.facediff.head) for strip in strips.sound_strips(scene)]
    return [(strip, head) for strip, head in found if head is not None and not strips.why_unheard(scene, strip)]


def begin_of(strip: bpy.types.Strip) -> tuple[int, int]:
    """The frame at which it is heard first, and its channel: its place in the list."""
    return compat.strip_span(strip)[0], strip.channel


def why_not(context: bpy.types.Context) -> str:
    """One sentence on why the dialogue cannot be generated now, or ""."""
    settings = context.scene.facediff
    if reason := why_busy():
        return reason
    scene, spoken = settings.scene_of_strips(context), rows(context)
    if not spoken:
        unheard = next((s for s in strips.sound_strips(scene) if s.facediff.head is not None), None)
        if unheard is not None:
            return strips.why_unheard(scene, unheard)
        return f"No strip of the scene '{scene.name}' has a speaker: choose a head in its row."
    for strip, head in spoken:
        if not head.users_scene:
            return f"The head '{head.name}' of the strip '{strip.name}' is in no scene."
        if reason := generate.why_no_match(settings.model, head):
            return reason
    for head in {head for _, head in spoken}:
        own = [strip for strip, speaker in spoken if speaker == head]
        for before, after in pairwise(own):
            if strips.audible_span(after)[0] < strips.audible_span(before)[1]:
                return f"'{before.name}' and '{after.name}' overlap: one head cannot speak both."
    return ""


class FACEDIFF_OT_generate_all(Greyed, bpy.types.Operator):
    """Animate every speaker with its strips, one after the other; the strips of one head become one take"""

    bl_idname = "facediff.generate_all"
    bl_label = "Generate All"
    why_not = staticmethod(why_not)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take the sound of every strip and queue a generation for each; the timer does the rest."""
        settings, spoken = context.scene.facediff, rows(context)
        scene = settings.scene_of_strips(context)
        speakers = [head for _, head in spoken]

        def prepare(folder: Path) -> list[Generation]:
            made = []
            for strip, head in spoken:
                speech = Speech.of(scene, strip, folder)
                generation = generate.generation_of(context, head, strip, speech, settings.seed)
                generation.shares = speakers.count(head) > 1
                made.append(generation)
            return made

        return generate.begin(self, context, prepare)


def why_no_assignment(context: bpy.types.Context) -> str:
    """One sentence on why no strip can be given to the head now, or ""."""
    scene = context.scene.facediff.scene_of_strips(context)
    if reason := why_no_head(context):
        return reason
    selected = any(strip.select for strip in strips.sound_strips(scene))
    return "" if selected else "Select sound strips in the Video Sequencer first."


class FACEDIFF_OT_assign_speaker(Greyed, bpy.types.Operator):
    """Let the panel's head speak the strips that are selected in the Video Sequencer"""

    bl_idname = "facediff.assign_speaker"
    bl_label = "Selected Strips to This Head"
    bl_options = {"REGISTER", "UNDO"}
    why_not = staticmethod(why_no_assignment)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Put the head on every selected sound strip."""
        settings = context.scene.facediff
        head = settings.chosen_head(context)
        for strip in strips.sound_strips(settings.scene_of_strips(context)):
            if strip.select:
                strip.facediff.head = head
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_OT_generate_all, FACEDIFF_OT_assign_speaker))
