"""Check that the engine starts, and restart it."""

import bpy

from .. import session
from ..engine_client import EngineError


class FACEDIFF_OT_check_engine(bpy.types.Operator):
    """Start the engine and show its version and devices, or why it does not start"""

    bl_idname = "facediff.check_engine"
    bl_label = "Check Engine"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start it; the panel and the preferences show how it went."""
        try:
            session.engine(context).client.start()
        except EngineError as error:
            session.current.say(str(error), failed=True)
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        session.current.say("")
        session.start_timer()
        return {"FINISHED"}


class FACEDIFF_OT_restart_engine(bpy.types.Operator):
    """End the engine process, which frees its memory, and start it anew"""

    bl_idname = "facediff.restart_engine"
    bl_label = "Restart Engine"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not under a running generation."""
        cls.poll_message_set("A generation is running: cancel it first")
        return session.current.generation is None

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Stop, then as Check Engine."""
        session.stop_engine()
        return bpy.ops.facediff.check_engine()


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_OT_check_engine, FACEDIFF_OT_restart_engine))
