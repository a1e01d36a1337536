"""The sliders of "Adjust" on a take: live, and without loss until they are applied.

The first slider that moves sets a copy of the action aside; the take points to it (`ORIGINAL`), so it is saved, copied
and undone with the take. From then on every value is computed from that copy, never from an adjusted one, and Reset puts
it back to the last bit. What holds for keys:

* A curve with a key on each whole frame, as takes are baked, changes value by value.
* A curve with fewer keys (thinned, or made by hand) keeps its keys where they are: each takes the adjusted value of its
  frame, its handles the strength, and the offset moves keys and handles in time.
* A key that the animator edits, adds or deletes while sliders are off their middle is the animator's: it is taken over
  into the copy as it stands, no slider moves it any more, and Reset leaves it.

For whoever copies or changes takes: an action's custom properties travel with it when it is copied, and so do these; two
copies may share one original, which is never changed while both do. Before curves are written by other means (a part
made anew), call `apply`.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import asdict, dataclass

import bpy
import numpy as np

from . import adjust, bezier, keyframes, written
from .adjust import AS_MADE, Settings
from .bake import TAKE_PROPERTY

ORIGINAL = "facediff_original"  # on a take: the action with its curves as they were
STATE = "facediff_adjusted"  # on a take: JSON of `_State`
PATH = re.compile(r'(?:(key_blocks)|pose\.bones)\["((?:[^"\\]|\\.)*)"\]\.(value|rotation_euler|rotation_quaternion)$')
PLACES = ("co", "handle_left", "handle_right")


@dataclass
class _State:
    """settings: those that the curves were written with. prints: curve -> number of its `co` as written. dense: curves with
    a key on each frame. held: curve -> frames of the animator's keys. edited: likewise, from before the first slider."""

    settings: dict[str, float]
    prints: dict[str, int]
    dense: list[str]
    held: dict[str, list[float]]
    edited: dict[str, list[float]]


def is_adjusted(action: bpy.types.Action | None) -> bool:
    """Whether sliders are at work on the take."""
    return action is not None and ORIGINAL in action


def rate_of(action: bpy.types.Action, scene: bpy.types.Scene) -> float:
    """Frames per second of the take's own timeline; the scene's for an action that FaceDiff did not make."""
    facts = action.get(TAKE_PROPERTY)
    return float(facts["rate"]) if facts is not None and "rate" in facts else scene.render.fps / scene.render.fps_base


def refresh(action: bpy.types.Action, settings: Settings, rate: float) -> None:
    """Write the take's curves under the settings. rate: frames per second."""
    if not is_adjusted(action):
        if settings == AS_MADE:
            return
        _begin(action)
    state = _State(**json.loads(action[STATE]))
    _absorb(action, state, rate)
    _write(action, state, settings, rate)


def reset(action: bpy.types.Action, rate: float) -> None:
    """The curves as they were, to the last bit, but for keys that the animator edited since; the sliders' work is gone."""
    if not is_adjusted(action):
        return
    state = _State(**json.loads(action[STATE]))
    _absorb(action, state, rate)
    originals = written.curves_of(action[ORIGINAL])
    for name, curve in written.curves_of(action).items():
        if name in originals:
            now = keyframes.read(curve, PLACES)
            for place, values in keyframes.read(originals[name], PLACES).items():
                if not np.array_equal(values.view(np.uint32), now[place].view(np.uint32)):
                    curve.keyframe_points.foreach_set(place, values.ravel())
    _end(action)
    tag(action)


def apply(action: bpy.types.Action, rate: float) -> None:
    """Make the adjusted curves the take's own. Keys that the animator did not edit count as written by FaceDiff."""
    if not is_adjusted(action):
        return
    state = _State(**json.loads(action[STATE]))
    _absorb(action, state, rate)
    names = {_text(name): name for name in written.curves_of(action)}
    own: dict[written.Curve, np.ndarray] = {}
    for table in (state.edited, state.held):
        for text, frames in table.items():
            if text in names:
                own[names[text]] = np.union1d(own.get(names[text], []), frames).astype(np.float32)
    remember(action, own)
    _end(action)


def remember(action: bpy.types.Action, edited: dict[written.Curve, np.ndarray]) -> None:
    """Let all keys but the edited ones count as written by FaceDiff, where it wrote the action."""
    if written.PROPERTY in action:
        written.store(action, edited)


def tag(action: bpy.types.Action) -> None:
    """Let Blender evaluate and draw what the action moves."""
    action.update_tag(refresh={"TIME"})
    for owner in (*bpy.data.shape_keys, *bpy.data.objects):
        if owner.animation_data is not None and owner.animation_data.action == action:
            owner.update_tag(refresh={"TIME"}) if isinstance(owner, bpy.types.Object) else owner.update_tag()


def _begin(action: bpy.types.Action) -> None:
    edited = written.edited_frames(action)
    original = action.copy()
    original.name = f".{action.name} as made"  # a name with a dot stays out of Blender's lists
    original.use_fake_user = False
    for own in (TAKE_PROPERTY, written.PROPERTY):
        if own in original:
            del original[own]
    dense = []
    for name, curve in written.curves_of(action).items():
        keys = keyframes.read(curve, ("co", "interpolation"))
        if is_dense(keys):
            dense.append(_text(name))
    action[ORIGINAL] = original
    state = _State(asdict(AS_MADE), _prints(action), dense, {}, {_text(n): f.tolist() for n, f in edited.items()})
    action[STATE] = json.dumps(asdict(state))


def _end(action: bpy.types.Action) -> None:
    original = action[ORIGINAL]
    del action[ORIGINAL], action[STATE]
    action.facediff_adjust.centre()
    if original.users == 0:
        bpy.data.actions.remove(original)


def _absorb(action: bpy.types.Action, state: _State, rate: float) -> None:
    """Take the keys that the animator changed since the last write over into the original."""
    curves = written.curves_of(action)
    changed = [name for name, number in _prints(action).items() if state.prints.get(name) != number]
    originals = written.curves_of(action[ORIGINAL])
    names = [name for name in curves if _text(name) in changed and name in originals]
    if not names:
        return
    if action[ORIGINAL].users > 1:  # another copy of the take goes by the same original
        action[ORIGINAL] = action[ORIGINAL].copy()
        originals = written.curves_of(action[ORIGINAL])
    expected = _computed(originals, state, Settings(**state.settings), rate)
    for name in names:
        text = _text(name)
        now, old = keyframes.read(curves[name]), keyframes.read(originals[name])
        want = expected[name]["co"] if name in expected else old["co"]
        place = np.minimum(np.searchsorted(want[:, 0], now["co"][:, 0]), len(want) - 1)
        same = (want[place] == now["co"]).all(1)
        for attribute in now:
            now[attribute][same] = old[attribute][place[same]]
        keyframes.write(originals[name], now)
        state.held[text] = np.union1d(state.held.get(text, []), now["co"][~same, 0]).tolist()
        if text in state.dense and not _every_frame(now["co"]):
            state.dense.remove(text)


def _write(action: bpy.types.Action, state: _State, settings: Settings, rate: float) -> None:
    curves, originals = written.curves_of(action), written.curves_of(action[ORIGINAL])
    for name, places in _computed(originals, state, settings, rate).items():
        if name in curves and len(curves[name].keyframe_points) == len(places["co"]):
            for place, values in places.items():
                curves[name].keyframe_points.foreach_set(place, np.ascontiguousarray(values, np.float32).ravel())
    state.settings, state.prints = asdict(settings), _prints(action)
    action[STATE] = json.dumps(asdict(state))
    tag(action)


def _computed(
    originals: dict[written.Curve, bpy.types.FCurve], state: _State, settings: Settings, rate: float
) -> dict[written.Curve, dict[str, np.ndarray]]:
    """Of each curve that a slider can move, `co`, and the handles where there are fewer keys than frames."""
    shapes: dict[written.Curve, str] = {}
    bones: dict[tuple[int, str, str], list[written.Curve]] = {}
    keys: dict[written.Curve, dict[str, np.ndarray]] = {}
    for name, curve in originals.items():
        found = PATH.match(name[1])
        if found is None or len(curve.keyframe_points) < 2:
            continue
        keys[name] = keyframes.read(curve, ("co",) if _text(name) in state.dense else (*PLACES, "interpolation"))
        label = bpy.utils.unescape_identifier(found[2])
        if found[1]:
            shapes[name] = label
        else:
            bones.setdefault((name[0], label, found[3]), []).append(name)
    if not keys:
        return {}
    first = int(np.floor(min(k["co"][0, 0] for k in keys.values())))
    last = int(np.ceil(max(k["co"][-1, 0] for k in keys.values())))
    frames = np.arange(first, last + 1)
    table = {name: _sampled(originals[name], k, frames, first) for name, k in keys.items()}
    plain: dict[written.Curve, np.ndarray] = {}  # adjusted, on its frame, and
    late: dict[written.Curve, np.ndarray] = {}  # with the offset
    if shapes:
        channels = list(shapes.values())
        weights = np.stack([table[name] for name in shapes], 1)
        free = [adjust.kind_of(c) == adjust.OTHER for c in channels]
        limits = np.where(np.array(free)[:, None], [[-np.inf, np.inf]], [[0.0, 1.0]])
        still = adjust.adjusted(weights, channels, rate, settings, limits)
        moved = adjust.shifted(still, channels, rate, settings.offset)
        for k, name in enumerate(shapes):
            plain[name], late[name] = still[:, k], moved[:, k]
    for (_, bone, attribute), names in bones.items():
        if len(names) != (4 if attribute == "rotation_quaternion" else 3):
            continue
        names = sorted(names, key=lambda name: name[2])
        still = adjust.turned(np.stack([table[name] for name in names], 1), bone, rate, settings)
        moved = adjust.shifted_angles(still, rate, settings.offset)
        for k, name in enumerate(names):
            plain[name], late[name] = still[:, k], moved[:, k]
    result = {}
    for name in plain:
        held = state.held.get(_text(name), [])
        if _text(name) in state.dense:
            result[name] = {"co": _dense(keys[name]["co"], late[name], first, held)}
        else:
            result[name] = _sparse(keys[name], table[name], plain[name], first, settings.offset * rate, held)
    return result


def _sampled(curve: bpy.types.FCurve, keys: dict[str, np.ndarray], frames: np.ndarray, first: int) -> np.ndarray:
    """(F,) float32: the curve on each frame."""
    if "interpolation" not in keys:
        co = keys["co"]
        return co[np.clip(frames - int(co[0, 0]), 0, len(co) - 1), 1]
    if (keys["interpolation"] > bezier.BEZIER).any():
        return np.array([curve.evaluate(f) for f in frames], np.float32)
    co, left, right = (keys[place] for place in PLACES)
    return bezier.evaluate(co, left, right, keys["interpolation"], frames).astype(np.float32)


def _dense(co: np.ndarray, values: np.ndarray, first: int, held: list[float]) -> np.ndarray:
    result = co.copy()
    start = int(co[0, 0]) - first
    result[:, 1] = values[start : start + len(co)]
    if held:
        own = np.isin(co[:, 0], held)
        result[own] = co[own]
    return result


def _sparse(
    keys: dict[str, np.ndarray], before: np.ndarray, after: np.ndarray, first: int, delay: float, held: list[float]
) -> dict[str, np.ndarray]:
    co = keys["co"]
    place = co[:, 0] - first
    grid = np.arange(len(before))
    old, new = (np.interp(place, grid, values) for values in (before, after))
    # The strength at the key, for its handles: the ratio of the two curves' slopes there, 1 where the curve is flat.
    slope = [np.interp(place, grid, np.gradient(v)) if len(v) > 1 else np.zeros(len(co)) for v in (before, after)]
    steep = np.abs(slope[0]) > 1e-4
    gain = np.where(steep, np.clip(slope[1] / np.where(steep, slope[0], 1.0), 0.0, 2.0), 1.0)
    # float32 rounds a sum that comes to nothing; what did not change must not.
    value = np.where(new == old, co[:, 1], co[:, 1] + (new - old)).astype(np.float32)
    gain = np.where(new == old, 1.0, gain)
    result = {"co": np.stack([co[:, 0] + np.float32(delay), value], 1)}
    for place_name in PLACES[1:]:
        handle = keys[place_name]
        rise = np.where(gain == 1.0, handle[:, 1] + (value - co[:, 1]), value + gain * (handle[:, 1] - co[:, 1]))
        result[place_name] = np.stack([handle[:, 0] + np.float32(delay), rise], 1).astype(np.float32)
    if held:
        own = np.isin(co[:, 0], held)
        for place_name, values in result.items():
            values[own] = keys[place_name][own]
        if (np.diff(result["co"][:, 0]) <= 0.0).any():  # the offset would carry a key past one that stays
            return _sparse(keys, before, after, first, 0.0, held)
    return result


def is_dense(keys: dict[str, np.ndarray]) -> bool:
    """Whether there is a key on each whole frame and nothing is curved in between; keys: `co` and `interpolation`."""
    return _every_frame(keys["co"]) and bool((keys["interpolation"] <= bezier.LINEAR).all())


def _every_frame(co: np.ndarray) -> bool:
    return len(co) > 1 and co[0, 0] == np.rint(co[0, 0]) and bool((np.diff(co[:, 0]) == 1.0).all())


def _prints(action: bpy.types.Action) -> dict[str, int]:
    """A number for the places and values of each curve's keys."""
    return {
        _text(name): zlib.crc32(keyframes.read(curve, ("co",))["co"].tobytes())
        for name, curve in written.curves_of(action).items()
    }


def target(path: str) -> tuple[str, str]:
    """("key", shape key) or ("bone", bone) that a curve moves; two empty strings when it is neither's."""
    found = PATH.match(path)
    if found is None:
        return "", ""
    return "key" if found[1] else "bone", bpy.utils.unescape_identifier(found[2])


def _text(name: written.Curve) -> str:
    return json.dumps(name)
