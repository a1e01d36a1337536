"""What belongs to a head, `object.facediff`, and to a strip of sound, `strip.facediff`; both are saved with their owners."""

import bpy

from . import bake, compat, take_list
from .assign import why_not_writable
from .properties import EMOTIONS


def _weight(name: str) -> object:
    return bpy.props.FloatProperty(
        name=name.capitalize(), description="How much of it shows, frame by frame", min=0.0, max=1.0, subtype="FACTOR"
    )


def _current(group: bpy.types.PropertyGroup) -> int:
    action = bake.current_take(group.id_data)
    return -1 if action is None else bpy.data.actions.find(action.name)


def _switch(group: bpy.types.PropertyGroup, index: int) -> None:
    head = group.id_data
    action = bpy.data.actions[index] if 0 <= index < len(bpy.data.actions) else None
    if action in take_list.of_head(head) and not why_not_writable(head):
        take_list.switch(head, action)


def _own_action(group: bpy.types.PropertyGroup, _context: bpy.types.Context) -> None:
    """Give the head an action for its emotions: Blender would put their keys in the current take's."""
    head = group.id_data
    if group.animate_emotion and head.is_editable:
        data = head.animation_data_create()
        if data.action is None and not data.use_tweak_mode:
            action = bpy.data.actions.new(f"{head.name} Emotion")
            slot, _ = compat.new_curves(action, head)
            data.action, data.action_slot = action, slot


def _is_other_take(group: bpy.types.PropertyGroup, action: bpy.types.Action) -> bool:
    return action in take_list.of_head(group.id_data) and action != bake.current_take(group.id_data)


class FaceDiffHead(bpy.types.PropertyGroup):
    """`object.facediff`: the animatable emotions, and which take is chosen in the list."""

    animate_emotion: bpy.props.BoolProperty(
        name="Emotion over Time",
        description="The emotion comes from these properties, which can be keyed and driven, instead of from the one chosen",
        update=_own_action,
    )
    angry: _weight("angry")
    contempt: _weight("contempt")
    disgusted: _weight("disgusted")
    fear: _weight("fear")
    happy: _weight("happy")
    sad: _weight("sad")
    surprised: _weight("surprised")
    intensity: bpy.props.FloatProperty(
        name="Intensity", description="How strongly all emotions show", default=1.0, min=0.0, max=1.0, subtype="FACTOR"
    )
    take_index: bpy.props.IntProperty(
        name="Take",
        description="The take that moves the head",
        get=_current,
        set=_switch,
        options={"SKIP_SAVE"},
        override={"LIBRARY_OVERRIDABLE"},
    )
    compared: bpy.props.PointerProperty(
        name="Compare With",
        description="The take that Compare changes to and back",
        type=bpy.types.Action,
        poll=_is_other_take,
    )


def _is_mesh(_group: bpy.types.PropertyGroup, obj: bpy.types.Object) -> bool:
    return obj.type == "MESH"


class FaceDiffStrip(bpy.types.PropertyGroup):
    """`strip.facediff`: who speaks it, and how."""

    head: bpy.props.PointerProperty(
        name="Speaker", description="The head that speaks this strip", type=bpy.types.Object, poll=_is_mesh
    )
    emotion: bpy.props.EnumProperty(
        name="Emotion",
        description="How this strip is said",
        items=(("HEAD", "As Chosen", "The emotion over time of the head, or the one chosen above"), *EMOTIONS),
    )
    intensity: bpy.props.FloatProperty(
        name="Intensity", description="How strongly the emotion shows", default=1.0, min=0.0, max=1.0, subtype="FACTOR"
    )


def register() -> None:
    """Make `object.facediff` and `strip.facediff`."""
    bpy.utils.register_class(FaceDiffHead)
    bpy.utils.register_class(FaceDiffStrip)
    bpy.types.Object.facediff = bpy.props.PointerProperty(type=FaceDiffHead)
    bpy.types.Strip.facediff = bpy.props.PointerProperty(type=FaceDiffStrip)


def unregister() -> None:
    """Remove them."""
    del bpy.types.Strip.facediff
    del bpy.types.Object.facediff
    bpy.utils.unregister_class(FaceDiffStrip)
    bpy.utils.unregister_class(FaceDiffHead)
