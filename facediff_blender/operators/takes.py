"""Switch, duplicate, delete, compare and repeat the takes of a head."""

from pathlib import Path

import bpy

from .. import take_list, takes
from ..bake import BakeError
from ..generation import Generation
from ..references import Reference
from . import generate, regenerate, track
from .current import chosen, why_busy, why_no_take
from .greyed import Greyed
from .shortcut import classes_with_key


def why_not_deletable(context: bpy.types.Context) -> str:
    """One sentence on why the current take cannot be deleted, or ""."""
    return why_no_take(context) or take_list.why_not_deletable(*chosen(context))


def why_not_comparable(context: bpy.types.Context) -> str:
    """One sentence on why there is nothing to compare the current take with, or ""."""
    if problem := why_no_take(context):
        return problem
    head, action = chosen(context)
    other = head.facediff.compared
    if other is None or other not in take_list.of_head(head):
        return "Choose the take to compare with."
    return "Choose another take to compare with." if other == action else ""


def why_not_repeatable(context: bpy.types.Context) -> str:
    """One sentence on why the current take cannot be made again, or ""."""
    if problem := why_busy() or why_no_take(context):
        return problem
    passages = take_list.passages_of(chosen(context)[1])
    if not passages:
        return "The take was made by an older FaceDiff, which did not note from what."
    if passages[-1].part is not None:
        return regenerate.why_not_repeatable(chosen(context)[0], passages[-1])
    for passage in passages:
        if problem := regenerate.why_unheard(passage):
            return problem
    return ""


class FACEDIFF_OT_switch_take(bpy.types.Operator):
    """Let this take move the head"""

    bl_idname = "facediff.switch_take"
    bl_label = "Switch Take"
    bl_options = {"REGISTER", "UNDO"}

    name: bpy.props.StringProperty(name="Take")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Assign its curves to the shape keys and the rig."""
        head, _ = chosen(context)
        action = next((take for take in take_list.of_head(head) if take.name == self.name), None)
        if action is None:
            self.report({"ERROR"}, f"There is no take '{self.name}'.")
            return {"CANCELLED"}
        try:
            take_list.switch(head, action)
        except BakeError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class FACEDIFF_OT_duplicate_take(Greyed, bpy.types.Operator):
    """Copy the current take, to edit the copy"""

    bl_idname = "facediff.duplicate_take"
    bl_label = "Duplicate Take"
    bl_options = {"REGISTER", "UNDO"}
    why_not = staticmethod(why_no_take)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Copy the action and switch to the copy."""
        take_list.duplicate(*chosen(context))
        return {"FINISHED"}


class FACEDIFF_OT_delete_take(Greyed, bpy.types.Operator):
    """Remove the current take from the file; the one before it becomes current"""

    bl_idname = "facediff.delete_take"
    bl_label = "Delete Take"
    bl_options = {"REGISTER", "UNDO"}
    why_not = staticmethod(why_not_deletable)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove the action."""
        take_list.delete(*chosen(context))
        return {"FINISHED"}


class FACEDIFF_OT_compare_takes(Greyed, bpy.types.Operator):
    """Change to the compared take and, at the next press, back (Y in the 3D View); also while it plays"""

    bl_idname = "facediff.compare_takes"
    bl_label = "Compare Takes"
    bl_options = {"REGISTER", "UNDO_GROUPED"}
    why_not = staticmethod(why_not_comparable)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Swap the current take and the compared one."""
        head, action = chosen(context)
        other = head.facediff.compared
        take_list.switch(head, other)
        head.facediff.compared = action
        self.report({"INFO"}, other.name)
        return {"FINISHED"}


class FACEDIFF_OT_repeat_take(Greyed, bpy.types.Operator):
    """Make the current take again from what it was made from, as a new take"""

    bl_idname = "facediff.repeat_take"
    bl_label = "Repeat"
    why_not = staticmethod(why_not_repeatable)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Queue a generation per passage; the timer does the rest."""
        head, action = chosen(context)
        passages = take_list.passages_of(action)
        if passages[-1].part is not None:
            made = passages[-1]
            return generate.begin(self, context, lambda folder: [regenerate.repetition(context, head, made, folder)])

        def prepare(folder: Path) -> list[Generation]:
            if passages[-1].video is not None:
                return [track.repetition(context, head, passages[-1], folder)]
            return [repetition(context, head, p, folder, shares=len(passages) > 1) for p in passages]

        return generate.begin(self, context, prepare)


def repetition(
    context: bpy.types.Context, head: bpy.types.Object, passage: take_list.Passage, folder: Path, shares: bool
) -> Generation:
    """The generation that makes a passage again. Raises StripError when its strip sounds different by now."""
    return Generation(
        speech=regenerate.same_speech(passage, folder),
        head=Reference.to("objects", head),
        scene=Reference.to("scenes", generate.scene_of(context, head)),
        feeling=passage.felt,
        model=passage.model,
        options=passage.options(),
        vertices=takes.VertexOptions(**passage.vertices),
        shares=shares,
    )


# Y in the 3D View, which keeps its other meanings where there is nothing to compare
register, unregister = classes_with_key(
    (
        FACEDIFF_OT_switch_take,
        FACEDIFF_OT_duplicate_take,
        FACEDIFF_OT_delete_take,
        FACEDIFF_OT_compare_takes,
        FACEDIFF_OT_repeat_take,
    ),
    "facediff.compare_takes",
    "Y",
)
