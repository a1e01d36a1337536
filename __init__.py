"""Blender's entry to the FaceDiff extension. Importing it touches nothing; `register` and `unregister` do the work."""


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from . import facediff_blender

    facediff_blender.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled; leaves nothing behind, the engine process included."""
    from . import facediff_blender

    facediff_blender.unregister()
