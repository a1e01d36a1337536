"""The tab "FaceDiff" in the sidebar of the 3D View, one file per panel. Below a greyed button stands why it is grey."""


def _modules() -> list:
    """The panels from top to bottom."""
    from . import adjust, dialogue, emotion, export, flame, give_shapes, head, regenerate, speech, sync, takes, video

    return [head, give_shapes, flame, speech, emotion, video, takes, adjust, regenerate, sync, dialogue, export]


def register() -> None:
    """Show the panels."""
    for module in _modules():
        module.register()


def unregister() -> None:
    """Take them away."""
    for module in reversed(_modules()):
        module.unregister()
