"""What the user chooses in the panel Video; it is saved with the scene."""

import bpy

from . import footage, strips
from .tracking import Occlusion

HIDDEN = (
    ("auto", "Found by Itself", "Hands, microphones and other things in front of the face are looked for"),
    ("none", "Nothing", "All of the face is seen"),
    ("mouth", "Mouth", "Mouth, chin and lower cheeks"),
    ("bottom", "Lower Half", "All that lies under the nose, cheeks and jaw too"),
    ("upper", "Upper Face", "Eyes, brows and forehead"),
    ("left", "Left Half", "The left half of the picture of the face"),
    ("right", "Right Half", "The right half of the picture of the face"),
    ("audio_only", "All of It", "The face follows the sound alone"),
    ("mask", "Blender Mask", "A mask that is drawn and animated in the Movie Clip Editor or the Image Editor"),
    ("picture", "Mask Picture", "One picture for the whole film: what is bright, or not transparent, is hidden"),
    ("folder", "Mask Folder", "A folder with one mask picture for every frame of the film"),
)


def _edit(context: bpy.types.Context) -> bpy.types.Scene:
    return context.scene.facediff.scene_of_strips(context)


def _movie_names(_settings: bpy.types.PropertyGroup, context: bpy.types.Context, _typed: str) -> list[str]:
    return [strip.name for strip in footage.movie_strips(_edit(context))]


def _sound_names(_settings: bpy.types.PropertyGroup, context: bpy.types.Context, _typed: str) -> list[str]:
    return [strip.name for strip in strips.sound_strips(_edit(context))]


class FaceDiffVideo(bpy.types.PropertyGroup):
    """`scene.facediff_video`."""

    source: bpy.props.EnumProperty(
        name="Video",
        description="Where the actor is",
        items=(
            ("STRIP", "Movie Strip", "A strip of the Video Sequencer, as it is cut and placed"),
            ("FILE", "File", "A video file, whole and at its own speed"),
        ),
    )
    strip: bpy.props.StringProperty(
        name="Strip",
        description="The movie strip to follow. When empty: the active movie strip, or the first one",
        search=_movie_names,
    )
    file: bpy.props.StringProperty(
        name="File", description="The video file", subtype="FILE_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"}
    )
    frame: bpy.props.IntProperty(name="Start", description="The frame that shows the first frame of the file", default=1)
    sound: bpy.props.StringProperty(
        name="Sound",
        description="The sound strip to listen to. When empty: the video's own sound",
        search=_sound_names,
    )
    hidden: bpy.props.EnumProperty(
        name="Hidden", description="What of the face is hidden and is filled in from the sound", items=HIDDEN
    )
    mask: bpy.props.PointerProperty(
        name="Mask", description="What the mask covers is hidden; it is drawn over the film's frame", type=bpy.types.Mask
    )
    clock: bpy.props.EnumProperty(
        name="Mask Time",
        description="Which frame of the mask belongs to which frame of the film",
        items=(
            ("FILE", "Film", "Frame 1 of the mask is the first frame of the file, as over a movie clip that starts at frame 1"),
            ("SCENE", "Scene", "The mask moves with the frames of the scene"),
        ),
    )
    picture: bpy.props.StringProperty(
        name="Picture", description="The mask", subtype="FILE_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"}
    )
    folder: bpy.props.StringProperty(
        name="Folder", description="The masks", subtype="DIR_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"}
    )
    seed: bpy.props.IntProperty(
        name="Seed", description="Another seed fills what is hidden in another way", default=0, min=0
    )
    model: bpy.props.StringProperty(
        name="Model",
        description="The folder of a converted or trained model. When empty: the starter tracker, which comes with FaceDiff",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )

    def chosen_strip(self, context: bpy.types.Context) -> bpy.types.Strip | None:
        """The strip of that name; without a name the active movie strip, else the first; None when there is none."""
        scene = _edit(context)
        return strips.choose(scene, footage.movie_strips(scene), self.strip)

    def occlusion(self) -> Occlusion:
        """What is chosen under Hidden."""
        paths = {"picture": self.picture, "folder": self.folder}
        mask = self.mask.name if self.hidden == "mask" and self.mask is not None else ""
        return Occlusion(self.hidden, paths.get(self.hidden, ""), mask, self.clock)


def register() -> None:
    """Make `scene.facediff_video`."""
    bpy.utils.register_class(FaceDiffVideo)
    bpy.types.Scene.facediff_video = bpy.props.PointerProperty(type=FaceDiffVideo)


def unregister() -> None:
    """Remove `scene.facediff_video`."""
    del bpy.types.Scene.facediff_video
    bpy.utils.unregister_class(FaceDiffVideo)
