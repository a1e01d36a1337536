"""Fewer keys on a take: its dense curves become Bezier curves, and the greatest error is measured and said."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from . import adjust_take, bezier, heads, keyframes, thin, written
from .adjust import BLINK, kind_of
from .resample import closures

ROTATION_SHARE = 0.25  # rad per unit of weight: at 0.02 a bone may be 0.3 degrees off
GAP_SHARE = 0.5  # of the tolerance for jawOpen and mouthClose, so that their difference, the lips' gap, keeps it too
GAP = ("jawOpen", "mouthClose")
BLINK_PEAK = 0.5  # lids that close further than this keep a key at their most closed
LIPS = ("mouthClose", "mouthRollLower", "mouthRollUpper")  # these move the lips and little else


class ThinError(ValueError):
    """Nothing was changed; the message is one sentence for the user."""


@dataclass(frozen=True)
class Report:
    """before, after: numbers of keys of the curves that were thinned. errors: shape key -> greatest difference in weight, on
    frames and half-way between, as Blender evaluates the curves. turn: of the bones, rad. lips: m that any vertex of the
    lips is off by the shape keys; None when the head lacks ARKit's."""

    before: int
    after: int
    errors: dict[str, float]
    turn: float
    lips: float | None

    def sentence(self) -> str:
        """For the status bar and the panel."""
        words = f"{self.before} keys became {self.after}, {self.before / self.after:.1f} times fewer."
        if self.errors:
            name = max(self.errors, key=lambda n: self.errors[n])
            words += f" Greatest error: {self.errors[name]:.4f} ({name})"
            words += f", {1000 * self.lips:.2f} mm at the lips." if self.lips is not None else "."
        return words


def why_not(action: bpy.types.Action | None) -> str:
    """One sentence on why the keys cannot be thinned, or ""."""
    if action is None:
        return "The head has no animation yet: generate a take first."
    if not action.is_editable:
        return f"'{action.name}' is linked from another file."
    return "Apply or reset the adjustment first." if adjust_take.is_adjusted(action) else ""


def thin_take(head: bpy.types.Object, action: bpy.types.Action, tolerance: float) -> Report:
    """Thin every curve of the take that has a LINEAR or CONSTANT key on each frame; others stay as they are.

    tolerance: greatest error in weight. Keys stay, with their values, on edited and pinned frames, at lip closures and at
    the most closed moment of blinks. Raises ThinError.
    """
    if problem := why_not(action):
        raise ThinError(problem)
    curves = written.curves_of(action)
    keys = {name: keyframes.read(curve) for name, curve in curves.items()}
    keys = {n: k for n, k in keys.items() if adjust_take.is_dense(k) and adjust_take.target(n[1])[0]}
    if not keys:
        raise ThinError("No curve of the take has a key on each frame: its keys are thin already.")
    edited = written.edited_frames(action)
    fitted: dict[written.Curve, thin.Thinned] = {}
    for span in {(k["co"][0, 0], len(k["co"])) for k in keys.values()}:  # one group but for curves with a span of their own
        group = [name for name, k in keys.items() if (k["co"][0, 0], len(k["co"])) == span]
        fitted |= dict(zip(group, _thinned(group, keys, edited, tolerance), strict=True))
    errors: dict[str, float] = {}
    turn, weights = 0.0, {}
    for name, result in fitted.items():
        keyframes.write(curves[name], _keys_of(result, keys[name]))
        kind, label = adjust_take.target(name[1])
        difference = _difference(curves[name], keys[name]["co"])
        if kind == "key":
            errors[label], weights[label] = float(np.abs(difference).max()), difference
        else:
            turn = max(turn, float(np.abs(difference).max()))
    adjust_take.remember(action, edited)
    adjust_take.tag(action)
    after = sum(len(result.frames) for result in fitted.values())
    return Report(sum(len(k["co"]) for k in keys.values()), after, errors, turn, _at_lips(head, weights))


def _thinned(
    names: list[written.Curve],
    keys: dict[written.Curve, dict[str, np.ndarray]],
    edited: dict[written.Curve, np.ndarray],
    tolerance: float,
) -> list[thin.Thinned]:
    values = np.stack([keys[name]["co"][:, 1] for name in names], 1)
    start = keys[names[0]]["co"][0, 0]
    targets = [adjust_take.target(name[1]) for name in names]
    shapes = [k for k, (kind, _) in enumerate(targets) if kind == "key"]
    channels = [targets[k][1] for k in shapes]
    tightest = np.zeros(0, np.int64)
    if set(GAP) <= set(channels):
        jaw, close = (values[:, shapes[channels.index(name)]] for name in GAP)
        tightest = closures(jaw - close)
    forced, limits, allowed = [], [], []
    for k, (name, (kind, label)) in enumerate(zip(names, targets, strict=True)):
        own = (edited.get(name, np.zeros(0)) - start).astype(np.int64)
        moves = np.ptp(values[:, k]) > 0
        if kind == "key" and label in GAP and moves:
            own = np.concatenate([own, tightest])
        if kind == "key" and kind_of(label) == BLINK:
            lids = values[:, k]
            peak = (lids >= np.r_[0, lids[:-1]]) & (lids >= np.r_[lids[1:], 0]) & (lids > BLINK_PEAK)
            own = np.concatenate([own, np.flatnonzero(peak)])
        forced.append(np.unique(own))
        known = kind == "key" and kind_of(label) != "other"
        limits.append((0.0, 1.0) if known else (-np.inf, np.inf))
        allowed.append(tolerance * (ROTATION_SHARE if kind == "bone" else GAP_SHARE if label in GAP else 1.0))
    return thin.thin(values, allowed, forced, np.array(limits))


def _keys_of(result: thin.Thinned, dense: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All attributes of the keys that stay, now with free or aligned Bezier handles a third of the way to their neighbours."""
    keys = {name: values[result.frames].copy() for name, values in dense.items()}
    frames = keys["co"][:, 0]
    thirds = np.diff(frames) / 3
    before, after = np.r_[1 / 3, thirds], np.r_[thirds, 1 / 3]
    keys["handle_left"] = np.stack([frames - before, result.left], 1).astype(np.float32)
    keys["handle_right"] = np.stack([frames + after, result.right], 1).astype(np.float32)
    free, aligned = (keyframes.number_of("handle_left_type", word) for word in ("FREE", "ALIGNED"))
    for side in ("handle_left_type", "handle_right_type"):
        keys[side] = np.where(result.smooth, aligned, free).astype(np.int32)
    keys["interpolation"][:] = bezier.BEZIER
    return keys


def _difference(curve: bpy.types.FCurve, before: np.ndarray) -> np.ndarray:
    """(2F - 1,) what Blender evaluates on frames and half-way between, less the dense LINEAR keys `before` (F, 2)."""
    half = np.arange(2 * len(before) - 1) / 2
    old = np.interp(half, np.arange(len(before)), before[:, 1].astype(np.float64))
    return np.array([curve.evaluate(f) for f in (before[0, 0] + half).tolist()]) - old


def _at_lips(head: bpy.types.Object, weights: dict[str, np.ndarray]) -> float | None:
    """m: the greatest distance of any vertex of the lips at the differences in weight, (F,) by shape key."""
    blocks = head.data.shape_keys.key_blocks
    if not set(LIPS) <= set(blocks.keys()) or len({w.shape for w in weights.values()}) != 1:
        return None
    rest = heads.rest_of(head)

    def delta(name: str) -> np.ndarray:
        co = np.empty(rest.size, np.float32)
        blocks[name].points.foreach_get("co", co)
        return co.reshape(-1, 3) - rest

    reach = [np.linalg.norm(delta(name), axis=1) for name in LIPS]
    lips = np.flatnonzero(np.any([r > 0.3 * r.max() for r in reach if r.max() > 0], axis=0))
    names = [name for name in weights if name in blocks]
    basis = np.stack([delta(name)[lips].ravel() for name in names])
    moved = np.stack([weights[name] for name in names], 1).astype(np.float32) @ basis
    return float(np.linalg.norm(moved.reshape(len(moved), -1, 3), axis=2).max())
