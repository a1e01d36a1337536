"""A button that is grey says why: every operator with a reason not to run gives it the same way."""

import bpy


class Greyed:
    """An operator whose `why_not` gives one sentence on why it cannot run now, or "". Blender shows it at the mouse."""

    @staticmethod
    def why_not(context: bpy.types.Context, /) -> str:
        """Each operator's own, in most of them a function that the panel asks too. Without one it can run at any time."""
        return ""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether it can run now."""
        if reason := cls.why_not(context):
            cls.poll_message_set(reason)
        return not reason
