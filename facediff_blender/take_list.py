"""The takes of a head. The actions themselves are the list: what a take is and whose stands on it, so undo, reload and
appended actions need nothing more."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import bpy

from . import bake, compat, point_cache, recipe, vertex_takes
from .assign import TAKE_PROPERTY, assign, owners_of, release, why_not_writable
from .bake import BakeError
from .recipe import Passage

HEAD_ID = "facediff_id"  # on the Key: what its takes call it
OWNER, CREATED, PASSAGES, SECONDS = "head", "created", "passages", "seconds"  # facts of a take


def is_take(action: bpy.types.Action | None) -> bool:
    """Whether FaceDiff wrote the action."""
    return action is not None and TAKE_PROPERTY in action


def facts_of(action: bpy.types.Action) -> dict[str, Any]:
    """What is known of the take: emotion, intensity, seed, strip, model, start, rate, fps, head, created, ..."""
    return action[TAKE_PROPERTY].to_dict()


def passages_of(action: bpy.types.Action) -> list[Passage]:
    """The strips that the take speaks, in the order in which they were made; none for takes of older files."""
    text = facts_of(action).get(PASSAGES, "") if is_take(action) else ""
    return recipe.from_json(text) if text else []


def of_head(head: bpy.types.Object | None) -> list[bpy.types.Action]:
    """The takes of this head, the oldest first: those made on it, and those of no head of this file that fit it."""
    keys = head.data.shape_keys if head is not None and head.type == "MESH" else None
    if keys is None:
        return []
    known = {other.get(HEAD_ID, "") for other in bpy.data.shape_keys} - {""}
    own = keys.get(HEAD_ID, "")
    found = []
    for action in filter(is_take, bpy.data.actions):
        owner = action[TAKE_PROPERTY].get(OWNER, "")
        if owner == own != "" or (owner not in known and _fits(action, keys)):
            found.append(action)
    return sorted(found, key=lambda action: (action[TAKE_PROPERTY].get(CREATED, ""), action.name))


def _fits(action: bpy.types.Action, keys: bpy.types.Key) -> bool:
    paths = {bake.key_path(block.name) for block in keys.key_blocks}
    return any(curve.data_path in paths for curve in compat.curves_in(action, "KEY").values())


def describe(head: bpy.types.Object, action: bpy.types.Action, passages: Sequence[Passage]) -> None:
    """Put on the take whose it is, when it was made and from what, and remember its curves as written."""
    keys = head.data.shape_keys
    if HEAD_ID not in keys:
        keys[HEAD_ID] = uuid.uuid4().hex[:12]
    facts = action[TAKE_PROPERTY]
    last = [passage for passage in passages if passage.part is None][-1]
    facts[OWNER], facts[CREATED] = keys[HEAD_ID], now()
    facts["strip"] = " + ".join(dict.fromkeys(p.strip for p in passages))
    facts["emotion"], facts["seed"], facts["model"] = last.felt.label(), last.seed, last.model
    facts[SECONDS] = sum((p.last - p.first + 1) / p.rate for p in passages if p.part is None)
    facts[PASSAGES] = recipe.to_json(passages)


def now() -> str:
    """The moment as a take keeps it: UTC, sortable."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def users_of(action: bpy.types.Action) -> Iterator[bpy.types.ID]:
    """The shape keys and armatures that the take moves now."""
    for owner in (*bpy.data.shape_keys, *bpy.data.objects):
        if owner.animation_data is not None and owner.animation_data.action == action:
            yield owner


def switch(head: bpy.types.Object, action: bpy.types.Action) -> None:
    """Let the take move the head: shape keys, bones and the point cache. Raises BakeError."""
    if problem := why_not_writable(head):
        raise BakeError(problem)
    assign(head, action)
    cache = facts_of(action).get("cache")
    if cache:
        point_cache.attach(head, cache, int(action.frame_start))
    else:
        point_cache.mute(head)


def duplicate(head: bpy.types.Object, action: bpy.types.Action) -> bpy.types.Action:
    """A copy of the take, with what it was made from, as the current one. Raises BakeError."""
    if problem := why_not_writable(head):
        raise BakeError(problem)
    copy = action.copy()
    copy.use_fake_user = True
    copy[TAKE_PROPERTY][CREATED] = now()
    switch(head, copy)
    return copy


def delete(head: bpy.types.Object, action: bpy.types.Action) -> None:
    """Remove the take from the file; the one before it in the list, else the one after it, becomes current.

    Raises BakeError when another head uses it.
    """
    if problem := why_not_deletable(head, action):
        raise BakeError(problem)
    takes = of_head(head)
    place = takes.index(action)
    current = bake.current_take(head) == action
    rest = takes[:place] + takes[place + 1 :]
    if current and rest:
        switch(head, rest[max(0, place - 1)])
    elif current:
        release(head, action)
    _rescue(head, action)
    bpy.data.actions.remove(action)
    vertex_takes.remove_unused_keys(head)


def _rescue(head: bpy.types.Object, action: bpy.types.Action) -> None:
    """Keep what the take's action moves of the head itself, such as its emotions, as an action of its own."""
    data = head.animation_data
    if data is None or data.action != action or data.action_slot is None:
        return
    identifier = data.action_slot.identifier
    kept = action.copy()
    for name in list(kept.keys()):
        del kept[name]
    kept.name, kept.use_fake_user, kept.use_frame_range = f"{head.name} Emotion", False, False
    for slot in [slot for slot in kept.slots if slot.identifier != identifier]:
        kept.slots.remove(slot)
    data.action, data.action_slot = kept, kept.slots[0]


def why_not_deletable(head: bpy.types.Object, action: bpy.types.Action) -> str:
    """One sentence on why the take must stay, or ""."""
    own = owners_of(head)
    other = next((user for user in users_of(action) if user not in own and user != head), None)
    if other is not None:
        name = other.user.name if other.id_type == "KEY" else other.name
        return f"The take '{action.name}' moves '{name}' too: choose another take there first."
    return "" if action.library is None else f"The take '{action.name}' is linked from another file."

