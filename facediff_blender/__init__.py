"""The Blender side of FaceDiff. It imports bpy only inside `register`, so that its parts without bpy load anywhere."""


def _modules() -> list:
    """What there is to register, in order; unregistered in the reverse order."""
    from . import (
        head_properties,
        installation,
        mapping_properties,
        panels,
        preferences,
        properties,
        session,
        video_properties,
    )
    from .operators import (
        add_head,
        add_sound,
        adjust,
        dialogue,
        engine,
        export,
        flame_arkit,
        generate,
        give_shapes,
        install,
        mapping,
        regenerate,
        sync,
        takes,
        thin,
        track,
    )

    state = [preferences, properties, head_properties, mapping_properties, video_properties, session, installation]
    making = [add_head, flame_arkit, add_sound, mapping, engine, install, generate, track, give_shapes]
    return [*state, *making, dialogue, regenerate, sync, takes, adjust, thin, export, panels]


def register() -> None:
    """Enable the add-on. When a part cannot be registered, those before it are taken back and the error goes on."""
    done = []
    try:
        for module in _modules():
            module.register()
            done.append(module)
    except BaseException:
        for module in reversed(done):
            module.unregister()
        raise


def unregister() -> None:
    """Disable the add-on: no class, property, handler, timer, key or engine process is left."""
    for module in reversed(_modules()):
        module.unregister()
