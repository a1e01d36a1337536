"""Let the head do what an actor in a video does."""

from dataclasses import replace
from pathlib import Path

import bpy

from .. import footage, preferences, strips, take_list, takes, tracking
from ..emotions import Feeling
from ..footage import Footage
from ..references import Reference
from ..tracking import Occlusion, Tracking
from . import generate
from .current import why_busy, why_no_head
from .greyed import Greyed

NEEDS_ENGINE = "Following a face needs the full engine: press Install Full Engine in the preferences."


def why_not(context: bpy.types.Context) -> str:
    """One sentence on why nothing can be tracked now, or ""."""
    settings, video = context.scene.facediff, context.scene.facediff_video
    if reason := why_busy() or why_no_head(context):
        return reason
    if not preferences.find_python(preferences.get(context).engine_python):
        return NEEDS_ENGINE
    if reason := generate.why_no_match(video.model, settings.chosen_head(context)):
        return reason
    return _why_unseen(context) or _why_unheard(context) or video.occlusion().why_not()


def _why_unseen(context: bpy.types.Context) -> str:
    video = context.scene.facediff_video
    if video.source == "FILE":
        return footage.why_unreadable(Path(bpy.path.abspath(video.file))) if video.file else "Choose a video file."
    edit, strip = context.scene.facediff.scene_of_strips(context), video.chosen_strip(context)
    if strip is not None:
        return footage.why_unseen(strip)
    if video.strip:
        return f"The scene '{edit.name}' has no movie strip '{video.strip}'."
    return f"The scene '{edit.name}' has no movie strip: add one in the Video Sequencer, or choose a file."


def _why_unheard(context: bpy.types.Context) -> str:
    video, edit = context.scene.facediff_video, context.scene.facediff.scene_of_strips(context)
    if not video.sound or video.source == "FILE":
        return ""
    strip = strips.find_strip(edit, video.sound)
    return strips.why_unheard(edit, strip) if strip is not None else f"The scene '{edit.name}' has no sound strip '{video.sound}'."


class FACEDIFF_OT_track(Greyed, bpy.types.Operator):
    """Let the head do what the actor in the video does; what is hidden is filled in from the sound. Esc in the 3D View cancels"""

    bl_idname = "facediff.track"
    bl_label = "Track"
    why_not = staticmethod(why_not)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Hand the film to the engine; the timer does the rest."""
        return generate.begin(self, context, lambda folder: [_tracking(context, folder)])


def _tracking(context: bpy.types.Context, folder: Path) -> Tracking:
    settings, video = context.scene.facediff, context.scene.facediff_video
    head, edit = settings.chosen_head(context), settings.scene_of_strips(context)
    if video.source == "FILE":
        scene = generate.scene_of(context, head)
        film = footage.of_file(scene, Path(bpy.path.abspath(video.file)), video.frame)
    else:
        film = footage.of_strip(edit, video.chosen_strip(context))
        film = tracking.with_sound(film, edit, video.sound, folder) if video.sound else film
    made = tracking_of(context, head, film, video.occlusion(), video.seed, video.model or "starter", folder)
    return replace(made, file=video.file if video.source == "FILE" else "", extend_range=settings.extend_range)


def tracking_of(
    context: bpy.types.Context,
    head: bpy.types.Object,
    film: Footage,
    occlusion: Occlusion,
    seed: int,
    model: str,
    folder: Path,
) -> Tracking:
    """What the engine is asked for. A mask of Blender's is drawn now. Raises StripError."""
    return Tracking(
        speech=film,
        head=Reference.to("objects", head),
        scene=Reference.to("scenes", generate.scene_of(context, head)),
        feeling=Feeling(),
        options={"seed": seed, "device": preferences.get(context).device, **occlusion.options(film, folder)},
        model=model,
        vertices=takes.VertexOptions("KEYS", context.scene.facediff.tolerance / 1000),
        occlusion=occlusion,
    )


def repetition(context: bpy.types.Context, head: bpy.types.Object, passage: take_list.Passage, folder: Path) -> Tracking:
    """The tracking that makes a passage again. Raises StripError when its film shows something else by now."""
    film = tracking.same_film(passage, folder)
    made = tracking_of(context, head, film, tracking.occlusion_of(passage), passage.seed, passage.model, folder)
    return replace(made, options={**made.options, **passage.options()}, file=(passage.video or {})["file"])


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_OT_track,))
