"""Check how well the lips of the current take follow its speech, and go where they do not."""

from pathlib import Path

import bpy

from .. import parts, preferences, strips, sync_check, take_list
from ..emotions import Feeling
from ..generation import Speech
from ..recipe import Passage
from ..references import Reference
from ..sync_check import SyncCheck
from . import generate, regenerate
from .current import chosen, why_busy, why_no_take
from .greyed import Greyed


def spoken(action: bpy.types.Action) -> list[Passage]:
    """The strips that the take speaks."""
    return [passage for passage in take_list.passages_of(action) if passage.part is None]


def why_not(context: bpy.types.Context) -> str:
    """One sentence on why the take cannot be checked now, or ""."""
    if reason := why_busy():
        return reason
    if problem := why_no_take(context):
        return problem
    head, action = chosen(context)
    passages = spoken(action)
    if not passages:
        return "The take was made by an older FaceDiff, which did not note from what."
    if any(passage.video is not None for passage in passages):
        return "Only a take that was made from sound can be checked."
    if "jawOpen" not in parts.names_in(head, action)[0]:
        return "Only a take of ARKit's shape keys can be checked."
    return next(filter(None, map(regenerate.why_unheard, passages)), "")


class FACEDIFF_OT_check_sync(Greyed, bpy.types.Operator):
    """Find the closures of the lips (p, b, m) that the current take misses, and mark them on the timeline"""

    bl_idname = "facediff.check_sync"
    bl_label = "Check Sync"
    why_not = staticmethod(why_not)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Hand the sound and the curves to the engine, strip by strip; the timer does the rest."""
        head, action = chosen(context)

        def prepare(folder: Path) -> list[SyncCheck]:
            return [_check(context, head, action, passage, folder) for passage in spoken(action)]

        return generate.begin(self, context, prepare)


def _check(
    context: bpy.types.Context, head: bpy.types.Object, action: bpy.types.Action, passage: Passage, folder: Path
) -> SyncCheck:
    edit = bpy.data.scenes[passage.scene]
    return SyncCheck(
        speech=Speech.of(edit, strips.find_strip(edit, passage.strip), folder),
        head=Reference.to("objects", head),
        scene=Reference.to("scenes", generate.scene_of(context, head)),
        feeling=Feeling(),
        options={"device": preferences.get(context).device},
        source=Reference.to("actions", action),
    )


class FACEDIFF_OT_go_to_missed(bpy.types.Operator):
    """Go to this missed closure and choose its frames and the mouth as the part that is made anew"""

    bl_idname = "facediff.go_to_missed"
    bl_label = "Go to Missed Closure"
    bl_options = {"REGISTER", "UNDO"}

    frame: bpy.props.IntProperty()
    first: bpy.props.IntProperty()
    last: bpy.props.IntProperty()

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Set the time and the fields of Regenerate a Part."""
        part = context.scene.facediff.part
        part.range, part.frame_start, part.frame_end = "FIELDS", self.first, self.last
        part.regions, part.selected_curves = {"MOUTH"}, False
        context.scene.frame_set(self.frame)
        return {"FINISHED"}


def why_no_markers(context: bpy.types.Context) -> str:
    """One sentence when there is no marker of a check, or ""."""
    found = any(m.name.startswith(sync_check.MARKER) for m in context.scene.timeline_markers)
    return "" if found else "No missed closure is marked."


class FACEDIFF_OT_clear_sync_markers(Greyed, bpy.types.Operator):
    """Remove the markers at missed closures; all other markers stay"""

    bl_idname = "facediff.clear_sync_markers"
    bl_label = "Clear Markers"
    bl_options = {"REGISTER", "UNDO"}
    why_not = staticmethod(why_no_markers)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove those whose names are ours."""
        frames = [marker.frame for marker in context.scene.timeline_markers]
        sync_check.clear_markers(context.scene, min(frames), max(frames))
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory(
    (FACEDIFF_OT_check_sync, FACEDIFF_OT_go_to_missed, FACEDIFF_OT_clear_sync_markers)
)
