"""What the user chooses in the panel; it is saved with the scene."""

import bpy

from . import compat, heads, mapped, strips
from .parts import REGIONS

EMOTIONS = (
    ("neutral", "Neutral", "No emotion"),
    ("angry", "Angry", ""),
    ("contempt", "Contempt", ""),
    ("disgusted", "Disgusted", ""),
    ("fear", "Fear", ""),
    ("happy", "Happy", ""),
    ("sad", "Sad", ""),
    ("surprised", "Surprised", ""),
)


def _is_mesh(_settings: bpy.types.PropertyGroup, obj: bpy.types.Object) -> bool:
    return obj.type == "MESH"


def _has_strips(_settings: bpy.types.PropertyGroup, scene: bpy.types.Scene) -> bool:
    return any(strip.type in ("SOUND", "MOVIE") for strip in compat.all_strips(scene))


def _strip_names(settings: bpy.types.PropertyGroup, context: bpy.types.Context, _typed: str) -> list[str]:
    return [strip.name for strip in strips.sound_strips(settings.scene_of_strips(context))]


def _strip_index(settings: bpy.types.PropertyGroup) -> int:
    context = bpy.context
    editor, strip = settings.scene_of_strips(context).sequence_editor, settings.chosen_strip(context)
    names = [found.name for found in editor.strips_all] if editor is not None else []
    return names.index(strip.name) if strip is not None else -1


def _choose_strip(settings: bpy.types.PropertyGroup, index: int) -> None:
    editor = settings.scene_of_strips(bpy.context).sequence_editor
    if editor is not None and 0 <= index < len(editor.strips_all) and editor.strips_all[index].type == "SOUND":
        settings.strip = editor.strips_all[index].name


class FaceDiffPart(bpy.types.PropertyGroup):
    """`scene.facediff.part`: which part of a take is made anew."""

    range: bpy.props.EnumProperty(
        name="Frames",
        description="Which frames are made anew",
        items=(
            ("PREVIEW", "Preview Range", "From the start to the end of the scene's preview range"),
            ("KEYS", "Selected Keys", "From the first to the last selected key, of the curves that have one"),
            ("FIELDS", "From To", "The two frames below"),
        ),
        default="FIELDS",
    )
    frame_start: bpy.props.IntProperty(name="From", description="The first frame that is made anew", default=1)
    frame_end: bpy.props.IntProperty(name="To", description="The last frame that is made anew", default=50)
    regions: bpy.props.EnumProperty(
        name="Regions",
        description="Which parts of the face are made anew; Shift-click chooses several",
        items=tuple((name, label, text) for name, label, text, _ in REGIONS),
        options={"ENUM_FLAG"},
        default={name for name, *_ in REGIONS},
    )
    selected_curves: bpy.props.BoolProperty(
        name="Selected Curves Only", description="Of these regions only the channels that are selected in the Dope Sheet"
    )
    feeling: bpy.props.EnumProperty(
        name="Emotion",
        description="How the part is said",
        items=(
            ("TAKE", "As in the Take", "As the take was made"),
            ("CHOSEN", "As Chosen", "As the panel Speech, the head and the strip say now"),
        ),
    )
    in_place: bpy.props.BoolProperty(
        name="In Place", description="Change this take instead of a copy of it; undo brings it back"
    )


class FaceDiffSettings(bpy.types.PropertyGroup):
    """`scene.facediff`."""

    head: bpy.props.PointerProperty(
        name="Head", description="The head, or the mesh of the model, to animate", type=bpy.types.Object, poll=_is_mesh
    )
    sequencer_scene: bpy.props.PointerProperty(
        name="Scene",
        description="The scene whose sequencer holds the sound or the movie. When empty: the one that the sequencer shows",
        type=bpy.types.Scene,
        poll=_has_strips,
    )
    strip: bpy.props.StringProperty(
        name="Strip",
        description="The sound strip to speak. When empty: the active sound strip, or the first one",
        search=_strip_names,
    )
    strip_index: bpy.props.IntProperty(
        name="Row", description="The strip that Generate speaks", get=_strip_index, set=_choose_strip
    )
    emotion: bpy.props.EnumProperty(name="Emotion", description="How it is said", items=EMOTIONS)
    intensity: bpy.props.FloatProperty(
        name="Intensity", description="How strongly the emotion shows", default=1.0, min=0.0, max=1.0, subtype="FACTOR"
    )
    seed: bpy.props.IntProperty(
        name="Seed", description="Another seed gives another performance of the same words", default=0, min=0
    )
    extend_range: bpy.props.BoolProperty(
        name="Extend Scene",
        description="Move the end of the scene to the end of the take when the take is longer",
        default=False,
    )

    model: bpy.props.StringProperty(
        name="Model",
        description="The folder of a converted or trained model. When empty: the starter model, which comes with FaceDiff",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    vertex_result: bpy.props.EnumProperty(
        name="Vertices",
        description="How a model that moves the vertices of its own mesh is written",
        items=(
            ("KEYS", "Shape Keys", "As few shape keys as the tolerance allows"),
            ("CACHE", "Point Cache", "A PC2 file beside the saved .blend and a Mesh Cache modifier: exact, but large"),
        ),
    )
    tolerance: bpy.props.FloatProperty(
        name="Tolerance (mm)",
        description="How far any vertex of any frame may be from the model's own; fewer shape keys do for more",
        default=0.1,
        min=0.001,
        max=10.0,
        precision=3,
    )

    part: bpy.props.PointerProperty(type=FaceDiffPart)

    def scene_of_strips(self, context: bpy.types.Context) -> bpy.types.Scene:
        """The scene whose sound strips are offered."""
        return self.sequencer_scene or compat.sequencer_scene(context)

    def chosen_strip(self, context: bpy.types.Context) -> bpy.types.Strip | None:
        """The strip of that name; without a name the active sound strip, else the first; None when there is none."""
        scene = self.scene_of_strips(context)
        return strips.choose(scene, strips.sound_strips(scene), self.strip)

    def chosen_head(self, context: bpy.types.Context) -> bpy.types.Object | None:
        """The head in the field; when it is empty the active object's head, else the active mesh when its shape keys
        can speak or the model moves another mesh's vertices, else the only head of the scene."""
        if self.head is not None:
            return self.head if self.head.users_scene else None
        if (head := heads.head_of(context.active_object)) is not None:
            return head
        active = context.active_object
        if active is not None and active.type == "MESH" and (self.model or mapped.of(active) is not None):
            return active
        found = [obj for obj in context.scene.objects if heads.is_head(obj)]
        return found[0] if len(found) == 1 else None


def register() -> None:
    """Make `scene.facediff`."""
    bpy.utils.register_class(FaceDiffPart)
    bpy.utils.register_class(FaceDiffSettings)
    bpy.types.Scene.facediff = bpy.props.PointerProperty(type=FaceDiffSettings)


def unregister() -> None:
    """Remove `scene.facediff`."""
    del bpy.types.Scene.facediff
    bpy.utils.unregister_class(FaceDiffSettings)
    bpy.utils.unregister_class(FaceDiffPart)
