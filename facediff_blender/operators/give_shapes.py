"""Give this head shapes: find its points, drag them, carry the 52 shapes over."""

import bpy

from ...engine.messages import FindPoints, GiveShapes
from .. import give_shapes, session
from ..engine_client import EngineError
from ..give_shapes import GiveShapesError
from .greyed import Greyed


def chosen(context: bpy.types.Context) -> bpy.types.Object | None:
    """The mesh in the panel's field; where that is empty the active one, or the one whose point is active."""
    settings = context.scene.facediff_give_shapes
    obj = settings.mesh if settings.mesh is not None else context.active_object
    if obj is not None and give_shapes.POINT_PROPERTY in obj:
        obj = obj.parent
    return obj if obj is not None and obj.type == "MESH" else None


def why_not(context: bpy.types.Context) -> str:
    """One sentence on why no points can be found now, or ""."""
    if give_shapes.current.work is not None:
        return "The engine is at work on a mesh."
    if context.mode != "OBJECT":
        return "Leave the present mode for Object Mode first."
    return give_shapes.why_not(chosen(context))


def why_not_give(context: bpy.types.Context) -> str:
    """One sentence on why no shapes can be given now, or ""."""
    return why_not(context) or give_shapes.why_no_points(chosen(context))


class FaceDiffGiveShapes(bpy.types.PropertyGroup):
    """`scene.facediff_give_shapes`."""

    mesh: bpy.props.PointerProperty(
        name="Mesh",
        description="The head without shape keys; empty: the active object",
        type=bpy.types.Object,
        poll=lambda _group, obj: obj.type == "MESH",
    )


def _begin(operator: bpy.types.Operator, context: bpy.types.Context, asked: type) -> set[str]:
    try:
        give_shapes.start(context, chosen(context), asked)
    except (EngineError, OSError, GiveShapesError) as error:
        sentence = session.in_words(error)
        give_shapes.current.say(sentence, failed=True)
        operator.report({"ERROR"}, sentence)
        return {"CANCELLED"}
    return {"FINISHED"}


class FACEDIFF_OT_find_points(Greyed, bpy.types.Operator):
    """Find eyes, mouth, nose, brows and chin of a face that looks along -Y: points on it that you can drag"""

    bl_idname = "facediff.find_points"
    bl_label = "Find Landmarks"
    why_not = staticmethod(why_not)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Hand the mesh to the engine; the timer does the rest."""
        return _begin(self, context, FindPoints)


class FACEDIFF_OT_give_shapes(Greyed, bpy.types.Operator):
    """Carry ARKit's 52 shapes over from the starter head. The mesh itself is not changed, and one undo takes them back"""

    bl_idname = "facediff.give_shapes"
    bl_label = "Give Shapes"
    why_not = staticmethod(why_not_give)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Hand mesh and points to the engine; the timer does the rest."""
        return _begin(self, context, GiveShapes)


def why_no_cancel(_context: bpy.types.Context) -> str:
    """One sentence when there is nothing to cancel, or ""."""
    return "" if give_shapes.current.work is not None else "Nothing is under way."


class FACEDIFF_OT_cancel_give_shapes(Greyed, bpy.types.Operator):
    """Cancel; nothing is changed"""

    bl_idname = "facediff.cancel_give_shapes"
    bl_label = "Cancel"
    why_not = staticmethod(why_no_cancel)

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask the engine to end it."""
        give_shapes.cancel()
        return {"FINISHED"}


class FACEDIFF_OT_apply_points(bpy.types.Operator):
    """Put the points that were found on the mesh"""

    bl_idname = "facediff.apply_points"
    bl_label = "Find Landmarks"
    bl_options = {"INTERNAL", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """One undo step."""
        try:
            work, path = give_shapes.current.work, give_shapes.result_path()
            notes = give_shapes.put_points(work.mesh.find(), context.scene, path)
        except GiveShapesError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        give_shapes.current.say(" ".join([*notes, "Look from the front and the side, drag what is off, then press Give Shapes."]))
        return {"FINISHED"}


class FACEDIFF_OT_apply_shapes(bpy.types.Operator):
    """Write the shapes that have come as shape keys"""

    bl_idname = "facediff.apply_shapes"
    bl_label = "Give Shapes"
    bl_options = {"INTERNAL", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """One undo step: all 52 keys or none."""
        try:
            work, path = give_shapes.current.work, give_shapes.result_path()
            obj = work.mesh.find()
            notes = give_shapes.put_shapes(obj, path)
        except GiveShapesError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        context.scene.facediff.head = obj
        give_shapes.current.say(" ".join([f"'{obj.name}' has ARKit's 52 shapes now and can speak.", *notes]))
        return {"FINISHED"}


def why_no_removal(context: bpy.types.Context) -> str:
    """One sentence when there are no points to remove, or ""."""
    obj = chosen(context)
    return "" if obj is not None and give_shapes.points_of(obj) else "There are no points on the mesh."


class FACEDIFF_OT_remove_points(Greyed, bpy.types.Operator):
    """Take the points off the mesh; shapes that it was given stay"""

    bl_idname = "facediff.remove_points"
    bl_label = "Remove Points"
    bl_options = {"REGISTER", "UNDO"}
    why_not = staticmethod(why_no_removal)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Delete the empties."""
        give_shapes.remove_points(chosen(context))
        return {"FINISHED"}


CLASSES = (
    FaceDiffGiveShapes,
    FACEDIFF_OT_find_points,
    FACEDIFF_OT_give_shapes,
    FACEDIFF_OT_cancel_give_shapes,
    FACEDIFF_OT_apply_points,
    FACEDIFF_OT_apply_shapes,
    FACEDIFF_OT_remove_points,
)


def register() -> None:
    """Classes and the scene's property."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.facediff_give_shapes = bpy.props.PointerProperty(type=FaceDiffGiveShapes)


def unregister() -> None:
    """Take them away."""
    give_shapes.unregister()
    del bpy.types.Scene.facediff_give_shapes
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
