"""Generate a take, cancel it, and write it when it has come."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import bpy

from ...engine.face.arkit import ARKIT_52
from .. import emotions, flame_arkit, flame_head, mapped, preferences, session, strips, takes
from ..bake import BakeError
from ..engine_client import EngineError
from ..generation import Batch, Generation, Speech
from ..references import Reference
from .current import why_busy, why_no_head
from .greyed import Greyed
from .shortcut import classes_with_key


def why_not(context: bpy.types.Context) -> str:
    """One sentence on why nothing can be generated now, or "". The panel shows it below the greyed button."""
    settings = context.scene.facediff
    if reason := why_busy() or why_no_head(context) or why_no_match(settings.model, settings.chosen_head(context)):
        return reason
    scene, strip = settings.scene_of_strips(context), settings.chosen_strip(context)
    if strip is None:
        if settings.strip:
            return f"The scene '{scene.name}' has no sound strip '{settings.strip}'."
        return f"The scene '{scene.name}' has no sound strip: add one in the Video Sequencer."
    return strips.why_unheard(scene, strip)


def why_no_match(model: str, head: bpy.types.Object) -> str:
    """One sentence on why the model does not fit the head, or "". model: its folder as the user gave it, "" the starter."""
    if model:
        found = (Path(bpy.path.abspath(model)) / "config.json").is_file()
        return "" if found else f"The folder '{model}' holds no model: it has no config.json."
    keys = head.data.shape_keys
    if mapped.of(head) is not None:
        return mapped.why_not(head)
    if flame_arkit.speaks(head):
        return ""
    if keys is None or not set(ARKIT_52) & set(keys.key_blocks.keys()):
        or_table = ", or press Speak ARKit" if flame_head.is_flame(head) else ""
        return f"'{head.name}' has none of ARKit's shape keys: choose a model of its mesh under Advanced{or_table}."
    return ""


class FACEDIFF_OT_generate(Greyed, bpy.types.Operator):
    """Animate the head with the sound strip. Blender stays usable meanwhile; Esc in the 3D View cancels"""

    bl_idname = "facediff.generate"
    bl_label = "Generate"
    why_not = staticmethod(why_not)

    variations: bpy.props.IntProperty(
        name="Variations", description="So many takes, with this seed and those that follow", default=1, min=1, max=16
    )

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        """What the button does."""
        if properties.variations > 1:
            return f"{properties.variations} takes one after the other, with this seed and those that follow"
        return cls.__doc__ or ""

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take the strip's sound and hand it to the engine; the timer does the rest."""
        settings = context.scene.facediff
        head, strip = settings.chosen_head(context), settings.chosen_strip(context)

        def prepare(folder: Path) -> list[Generation]:
            speech = Speech.of(settings.scene_of_strips(context), strip, folder)
            seeds = range(settings.seed, settings.seed + self.variations)
            return [generation_of(context, head, strip, speech, seed) for seed in seeds]

        return begin(self, context, prepare)


def begin(
    operator: bpy.types.Operator, context: bpy.types.Context, prepare: Callable[[Path], Sequence[Generation]]
) -> set[str]:
    """Submit the generations that `prepare` makes in a private folder, and return what the operator returns.

    When they cannot be begun the operator and the panel say why in a sentence, and nothing is left behind.
    """
    folder = None
    try:
        folder = session.new_folder()
        batch = Batch(folder, list(prepare(folder)))
        session.submit(context, batch)
    except BaseException as error:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if not isinstance(error, (strips.StripError, BakeError, EngineError, OSError)):
            raise
        session.current.say(session.in_words(error), failed=True)
        operator.report({"ERROR"}, session.in_words(error))
        return {"CANCELLED"}
    if session.current.generation is None and session.current.failed:
        operator.report({"ERROR"}, session.current.message)
        return {"CANCELLED"}
    return {"FINISHED"}


def generation_of(
    context: bpy.types.Context, head: bpy.types.Object, strip: bpy.types.Strip, speech: Speech, seed: int
) -> Generation:
    """What the panel's settings, the head and the strip ask for. speech: the strip's sound."""
    settings, scene = context.scene.facediff, scene_of(context, head)
    return Generation(
        speech=speech,
        head=Reference.to("objects", head),
        scene=Reference.to("scenes", scene),
        feeling=feeling_of(settings, head, strip, scene, speech.timing_in(scene), speech.seconds),
        options={"seed": seed, "device": preferences.get(context).device},
        model=settings.model or "starter",
        extend_range=settings.extend_range,
        vertices=takes.VertexOptions(settings.vertex_result, settings.tolerance / 1000),
    )


def scene_of(context: bpy.types.Context, head: bpy.types.Object) -> bpy.types.Scene:
    """The scene whose frames the head's keys stand on."""
    return context.scene if context.scene in head.users_scene else head.users_scene[0]


def feeling_of(
    settings: bpy.types.PropertyGroup,
    head: bpy.types.Object,
    strip: bpy.types.Strip,
    scene: bpy.types.Scene,
    timing: strips.Timing,
    seconds: float,
) -> emotions.Feeling:
    """How it is said: the strip's own emotion, else the head's emotion over time, else the one that the panel chooses."""
    if (own := emotions.of_strip(strip)) is not None:
        return own
    if head.facediff.animate_emotion:
        return emotions.of_head(head, scene, timing, seconds)
    return emotions.Feeling({settings.emotion: 1.0}, settings.intensity)


class FACEDIFF_OT_cancel(bpy.types.Operator):
    """Cancel the running generation, and those that wait; nothing is changed"""

    bl_idname = "facediff.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while a generation is running, so that Esc keeps its other meanings."""
        cls.poll_message_set("No generation is running")
        return session.current.generation is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask the job to end."""
        session.cancel()
        return {"FINISHED"}


class FACEDIFF_OT_apply_take(bpy.types.Operator):
    """Write the finished take on the head, as one step that undo takes back"""

    bl_idname = "facediff.apply_take"
    bl_label = "FaceDiff Take"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Bake the motion that the session holds."""
        try:
            take = session.apply_take()
        except BakeError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"{take.action.name}: frames {take.frame_start} to {take.frame_end}. {take.note}".strip())
        return {"FINISHED"}


# Esc in the 3D View, which keeps its other meanings while nothing is running
register, unregister = classes_with_key(
    (FACEDIFF_OT_generate, FACEDIFF_OT_cancel, FACEDIFF_OT_apply_take), "facediff.cancel", "ESC"
)
