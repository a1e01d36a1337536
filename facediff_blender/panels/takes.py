"""What was made, and the exports."""

import datetime

import bpy

from .. import bake, session, take_list, tracking
from ..operators import takes
from ..operators.current import chosen, why_no_take
from .common import Panel, sentence

WIDE = 380  # pixels of a sidebar that has room for a second column


class FACEDIFF_UL_takes(bpy.types.UIList):
    """The actions of the file that are takes of this head, the oldest first."""

    bl_idname = "FACEDIFF_UL_takes"

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: bpy.types.UILayout,
        _data: object,
        item: bpy.types.Action,
        _icon: int,
        _active_data: object,
        _active_property: str,
    ) -> None:
        """Name (double-click to rename); emotion, seed and length where there is room for them."""
        sidebar = context.region
        if sidebar is not None and sidebar.width < WIDE * context.preferences.system.ui_scale:
            layout.prop(item, "name", text="", emboss=False)
            return
        facts = take_list.facts_of(item)
        split = layout.split(factor=0.6)
        split.prop(item, "name", text="", emboss=False)
        split.label(text=f"{facts.get('emotion', '')} · {facts.get('seed', 0)} · {length_text(item)}")

    def filter_items(
        self, context: bpy.types.Context, data: bpy.types.BlendData, _name: str
    ) -> tuple[list[int], list[int]]:
        """Show only this head's takes, in the order in which they were made."""
        shown = take_list.of_head(context.scene.facediff.chosen_head(context))
        place = {action.name: number for number, action in enumerate(shown)}
        word = self.filter_name.lower()
        flags, order = [], []
        others = len(shown)
        for action in data.actions:
            found = action.library is None and action.name in place
            flags.append(self.bitflag_filter_item if found and word in action.name.lower() else 0)
            order.append(place[action.name] if found else others)
            others += not found
        return flags, order


def length_text(action: bpy.types.Action) -> str:
    """How long the take speaks, such as "4.2 s"."""
    seconds = take_list.facts_of(action).get(take_list.SECONDS)
    return f"{seconds:.1f} s" if seconds is not None else f"{action.frame_end - action.frame_start + 1:.0f} frames"


def model_name(model: str) -> str:
    """The last part of a model's folder."""
    return model.replace("\\", "/").rstrip("/").rpartition("/")[2] or model


def lines_on(action: bpy.types.Action) -> list[str]:
    """What the panel says of a take below the list."""
    facts = take_list.facts_of(action)
    first, last = action.frame_range
    lines = [f"Frames {first:.0f} to {last:.0f}, {length_text(action)}", f"Model: {model_name(facts.get('model', 'starter'))}"]
    if facts.get("strip"):
        lines.append(f"Strip: {facts['strip']}")
    made_from = take_list.passages_of(action)
    if made_from and made_from[-1].video is not None:
        hidden = tracking.occlusion_of(made_from[-1]).label()
        lines.append(f"Follows a video, hidden: {hidden}, seed {facts.get('seed', 0)}")
    else:
        lines.append(f"Emotion: {facts.get('emotion', 'neutral')}, seed {facts.get('seed', 0)}")
    for passage in made_from[-1:]:
        if passage.part is not None:
            lines.append(f"Frames {passage.part.first} to {passage.part.last} made anew")
    if facts.get(take_list.CREATED):
        made = datetime.datetime.fromisoformat(facts[take_list.CREATED]).astimezone()
        lines.append(f"Made {made:%Y-%m-%d %H:%M}")
    return lines


class FACEDIFF_PT_takes(Panel, bpy.types.Panel):
    """What was made."""

    bl_idname = "FACEDIFF_PT_takes"
    bl_label = "Takes"

    def draw(self, context: bpy.types.Context) -> None:
        """The list, what is known of the current take, and what can be done with it."""
        layout = self.layout
        head = context.scene.facediff.chosen_head(context)
        action = bake.current_take(head) if head is not None and head.type == "MESH" else None
        if take_list.of_head(head):
            draw_list(layout, context, head)
        elif action is not None:
            layout.label(text=action.name, icon="ACTION")
        else:
            sentence(layout, "Every performance that you generate is kept here.")


def draw_list(layout: bpy.types.UILayout, context: bpy.types.Context, head: bpy.types.Object) -> None:
    """The takes, the current one's facts, and the comparison."""
    own = head.facediff
    row = layout.row()
    row.template_list(FACEDIFF_UL_takes.bl_idname, "", bpy.data, "actions", own, "take_index", rows=4)
    column = row.column(align=True)
    column.operator("facediff.duplicate_take", text="", icon="DUPLICATE")
    column.operator("facediff.delete_take", text="", icon="TRASH")
    _, action = chosen(context)
    if action is None:
        sentence(layout, why_no_take(context))
        return
    box = layout.box().column(align=True)
    for line in lines_on(action):
        box.label(text=line)
    if reason := takes.why_not_deletable(context):
        sentence(layout, reason)
    layout.operator("facediff.repeat_take", icon="FILE_REFRESH")
    if (reason := takes.why_not_repeatable(context)) and session.current.generation is None:
        sentence(layout, reason)
    row = layout.row(align=True)
    row.prop(own, "compared", text="", placeholder="other take")
    row.operator("facediff.compare_takes", text="A/B", icon="ARROW_LEFTRIGHT")
    if own.compared is not None and (reason := takes.why_not_comparable(context)):
        sentence(layout, reason)


register, unregister = bpy.utils.register_classes_factory((FACEDIFF_UL_takes, FACEDIFF_PT_takes))
