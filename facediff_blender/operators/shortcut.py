"""Operators of which one has a key in the 3D View."""

from collections.abc import Callable

import bpy


def classes_with_key(
    classes: tuple[type[bpy.types.Operator], ...], operator: str, key: str
) -> tuple[Callable[[], None], Callable[[], None]]:
    """The functions `register` and `unregister` of a module. operator: the bl_idname of the one that the key presses, which
    passes the key on to whatever else it means while the operator's poll says no."""
    made: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []

    def register() -> None:
        for cls in classes:
            bpy.utils.register_class(cls)
        keyconfig = bpy.context.window_manager.keyconfigs.addon
        if keyconfig is not None:  # None in Blender without a window
            keymap = keyconfig.keymaps.new("3D View", space_type="VIEW_3D")
            made.append((keymap, keymap.keymap_items.new(operator, key, "PRESS")))

    def unregister() -> None:
        for keymap, item in made:
            keymap.keymap_items.remove(item)
        made.clear()
        for cls in reversed(classes):
            bpy.utils.unregister_class(cls)

    return register, unregister
