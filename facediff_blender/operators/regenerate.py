"""Make a part of the current take anew, and pin keys that must stay."""

from pathlib import Path

import bpy

from .. import keyframes, parts, preferences, strips, take_list, tracking, written
from ..generation import Speech
from ..recipe import Passage
from ..references import Reference
from ..regeneration import Regeneration, feeling_on, speaks
from . import generate
from .current import chosen, why_busy, why_no_take
from .greyed import Greyed


def wanted_frames(context: bpy.types.Context) -> tuple[int, int] | None:
    """The first and last frame that the panel asks for; None when no key is selected or there is no preview range."""
    part, scene = context.scene.facediff.part, context.scene
    if part.range == "PREVIEW":
        return (scene.frame_preview_start, scene.frame_preview_end) if scene.use_preview_range else None
    if part.range == "KEYS":
        return parts.selected_range(chosen(context)[1])
    return part.frame_start, part.frame_end


def wanted_names(context: bpy.types.Context) -> list[str]:
    """The channels and joints of the current take that the panel asks for."""
    part = context.scene.facediff.part
    head, action = chosen(context)
    channels, joints = parts.names_in(head, action)
    names = parts.in_regions((*channels, *joints), part.regions)
    for limit, by_keys in ((part.selected_curves, False), (part.range == "KEYS", True)):
        if limit:
            selected = parts.selected_names(head, action, by_keys)
            names = [name for name in names if name in selected]
    return names


def why_not(context: bpy.types.Context) -> str:
    """One sentence on why no part can be made anew now, or ""."""
    if problem := why_busy() or why_no_take(context):
        return problem
    part = context.scene.facediff.part
    frames = wanted_frames(context)
    if frames is None:
        return "Select keys of the take first." if part.range == "KEYS" else "The scene has no preview range (P in the timeline)."
    head, action = chosen(context)
    if not any(parts.names_in(head, action)):
        return "Only a take of ARKit's shape keys can be made anew in part."
    if frames[1] < frames[0]:
        return f"The frames end ({frames[1]}) before they begin ({frames[0]})."
    passage = speaks(action, *frames)
    if passage is None:
        return "The take was made by an older FaceDiff, which did not note from what."
    if passage.video is not None:
        return "A take that follows a video is made anew as a whole: press Track, or edit its keys."
    if frames[1] < passage.first or frames[0] > passage.last:
        return f"Nothing is spoken from frame {frames[0]} to {frames[1]}: choose frames from {passage.first} to {passage.last}."
    if problem := why_unheard(passage):
        return problem
    if not part.regions:
        return "Choose a region of the face."
    return "" if wanted_names(context) else "No selected curve belongs to the chosen regions."


def why_unheard(passage: Passage) -> str:
    """One sentence on why the strip of a passage cannot be heard, or the video seen, any more, or ""."""
    if passage.video is not None:
        return tracking.why_not_repeatable(passage)
    scene = bpy.data.scenes.get(passage.scene)
    strip = strips.find_strip(scene, passage.strip) if scene is not None else None
    if strip is None:
        return f"The strip '{passage.strip}' that the take speaks is gone."
    return strips.why_unheard(scene, strip)


def same_speech(passage: Passage, folder: Path) -> Speech:
    """The sound of a passage's strip. Raises StripError when it sounds different by now, or cannot be read."""
    scene = bpy.data.scenes[passage.scene]
    speech = Speech.of(scene, strips.find_strip(scene, passage.strip), folder)
    if speech.digest != passage.sound:
        raise strips.StripError(f"The strip '{passage.strip}' sounds different by now: press Generate for a new take.")
    return speech


def next_seed(head: bpy.types.Object) -> int:
    """A seed that no take of the head was made with yet."""
    return 1 + max((p.seed for take in take_list.of_head(head) for p in take_list.passages_of(take)), default=-1)


class FACEDIFF_OT_regenerate(Greyed, bpy.types.Operator):
    """Let the model make these frames and regions anew. Keys that you edited or pinned stay, and so does all outside"""

    bl_idname = "facediff.regenerate"
    bl_label = "Regenerate Part"
    why_not = staticmethod(why_not)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Hand the sound and the take's curves to the engine; the timer does the rest."""
        return generate.begin(self, context, lambda folder: [_regeneration(context, folder)])


def _regeneration(context: bpy.types.Context, folder: Path) -> Regeneration:
    settings, part = context.scene.facediff, context.scene.facediff.part
    head, action = chosen(context)
    first, last = wanted_frames(context) or (part.frame_start, part.frame_end)
    passage, scene = speaks(action, first, last), generate.scene_of(context, head)
    edit = bpy.data.scenes[passage.scene]
    strip = strips.find_strip(edit, passage.strip)
    speech = Speech.of(edit, strip, folder)
    timing = speech.timing_in(scene)
    grid = parts.Grid.of(timing, speech.seconds)
    if part.feeling == "TAKE":
        feeling = feeling_on(passage.felt, grid, timing.start)
    else:
        on_grid = strips.Timing(grid.zero, grid.rate)
        feeling = generate.feeling_of(settings, head, strip, scene, on_grid, speech.seconds + grid.silence)
    if last < grid.zero or first > grid.last:
        raise strips.StripError(f"The strip '{strip.name}' was moved: it speaks from frame {grid.zero} to {grid.last} now.")
    return Regeneration(
        speech=speech,
        head=Reference.to("objects", head),
        scene=Reference.to("scenes", scene),
        feeling=feeling,
        model=passage.model,
        options={**passage.options(), "seed": next_seed(head), "device": preferences.get(context).device},
        source=Reference.to("actions", action),
        first=max(first, grid.zero),
        last=min(last, grid.last),
        names=wanted_names(context),
        in_place=part.in_place,
    )


def why_not_repeatable(head: bpy.types.Object, made: Passage) -> str:
    """One sentence on why this part cannot be made again, or ""."""
    source = bpy.data.actions.get(made.part.source) if made.part.source else None
    if not made.part.source:
        return "A part of the take was made anew in place, so what it was made from is gone."
    if source is None or source not in take_list.of_head(head):
        return f"The take '{made.part.source}' that it was made from is gone."
    return why_unheard(made)


def repetition(context: bpy.types.Context, head: bpy.types.Object, made: Passage, folder: Path) -> Regeneration:
    """The regeneration that makes a part again from the take that it was made from. Raises StripError when that changed."""
    source, scene = bpy.data.actions[made.part.source], generate.scene_of(context, head)
    if written.digest(source) != made.part.digest:
        raise strips.StripError(f"The take '{source.name}' that it was made from was changed since.")
    return Regeneration(
        speech=same_speech(made, folder),
        head=Reference.to("objects", head),
        scene=Reference.to("scenes", scene),
        feeling=made.felt,
        model=made.model,
        options=made.options(),
        source=Reference.to("actions", source),
        first=made.part.first,
        last=made.part.last,
        names=list(made.part.channels),
    )


class FACEDIFF_OT_pin_keys(Greyed, bpy.types.Operator):
    """Mark the selected keys of the current take as pinned (keyframe type Extreme): no regeneration moves them"""

    bl_idname = "facediff.pin_keys"
    bl_label = "Pin Selected Keys"
    bl_options = {"REGISTER", "UNDO"}
    why_not = staticmethod(why_no_take)  # which keys are selected is seen when it runs, for looking costs time

    unpin: bpy.props.BoolProperty(name="Unpin", description="Take the mark away", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Set the type of the selected keys."""
        _, action = chosen(context)
        word = keyframes.number_of("type", "KEYFRAME" if self.unpin else written.PINNED)
        count = 0
        for curve in written.curves_of(action).values():
            keys = keyframes.read(curve, ("type", "select_control_point"))
            selected = keys["select_control_point"]
            if selected.any():
                keys["type"][selected] = word
                curve.keyframe_points.foreach_set("type", keys["type"])
                count += int(selected.sum())
        if not count:
            self.report({"ERROR"}, "Select keys of the take first, in the Dope Sheet or the Graph Editor.")
            return {"CANCELLED"}
        action.update_tag()
        self.report({"INFO"}, f"{count} keys {'unpinned' if self.unpin else 'pinned'}.")
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_OT_regenerate, FACEDIFF_OT_pin_keys))
