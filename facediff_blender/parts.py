"""A part of a take: some frames of some channels, and what of it the animator keeps."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from ..engine.face.arkit import ARKIT_52
from ..engine.motion import FaceMotion
from . import bake, compat, flame_head, heads, keyframes, mapped, written
from .rotations import axis_angles
from .strips import Timing

EPSILON = 1e-4  # frames; times nearer to a whole frame lie on it
REGIONS = (
    ("MOUTH", "Mouth", "Jaw, lips, cheeks and tongue", ("jaw", "mouth", "tongue", "cheekPuff")),
    ("EYES", "Eyes", "Lids, gaze and eyeballs", ("eye", "left_eye", "right_eye", "cheekSquint")),
    ("BROWS", "Brows", "Brows and nose", ("brow", "noseSneer")),
    ("HEAD", "Head", "The turning of the head", ("head",)),
)


@dataclass(frozen=True)
class Grid:
    """The frames of the head's scene that a strip's sound covers: `count` whole ones from `zero` on, `rate` a second.

    silence: s of silence before the sound, so that its second 0 falls on the frame `zero`.
    """

    zero: int
    count: int
    rate: float
    silence: float

    @classmethod
    def of(cls, timing: Timing, seconds: float) -> Grid:
        """The grid of a sound of so many seconds with this timing."""
        zero = int(np.floor(timing.start + EPSILON))
        silence = max(0.0, timing.start - zero) / timing.rate
        silence = silence if silence * timing.rate > EPSILON else 0.0
        count = int(np.ceil((silence + seconds) * timing.rate - EPSILON))
        return cls(zero, max(1, count), timing.rate, silence)

    @property
    def last(self) -> int:
        """The last frame."""
        return self.zero + self.count - 1


def names_in(head: bpy.types.Object, action: bpy.types.Action) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The channels and joints that a take moves and a model can make anew."""
    if flame_head.is_flame(head):  # its curves are expressions, which no model of ours can make a base of
        return (), ()
    keys = compat.curves_in(action, "KEY")
    channels = tuple(name for name in ARKIT_52 if (bake.key_path(name), 0) in keys)
    if (others := mapped.of(head)) is not None:  # only what stands on the curves as the model made it can be its base
        return tuple(name for name in channels if name in others.plain), ()
    turned = {path for path, _ in compat.curves_in(action, "OBJECT")}
    return channels, tuple(name for name, bone in _bones(head).items() if _path_of(bone) in turned)


def in_regions(names: tuple[str, ...], regions: set[str]) -> list[str]:
    """Those of the names that belong to the regions (identifiers of REGIONS)."""
    starts = tuple(start for region, _, _, words in REGIONS if region in regions for start in words)
    return [name for name in names if name.startswith(starts)] if starts else []


def selected_names(head: bpy.types.Object, action: bpy.types.Action, by_keys: bool) -> list[str]:
    """The names whose curves are selected or, by_keys, have a selected key."""
    found = []
    for name, curves in _curves_by_name(head, action).items():
        if any(len(_selected_frames(curve)) if by_keys else curve.select for curve in curves.values()):
            found.append(name)
    return found


def selected_range(action: bpy.types.Action) -> tuple[int, int] | None:
    """The first and the last frame of the selected keys, or None."""
    found = [_selected_frames(curve) for curve in written.curves_of(action).values()]
    frames = np.concatenate(found) if found else np.zeros(0)
    return (int(np.floor(frames.min())), int(np.ceil(frames.max()))) if len(frames) else None


def sample(head: bpy.types.Object, action: bpy.types.Action, grid: Grid, wanted: list[str]) -> FaceMotion:
    """The take's curves on the frames of the grid, as the base of a part; its meta lists what of the wanted is pinned,
    inside of the part and outside, where all stays anyway."""
    channels, joints = names_in(head, action)
    frames = range(grid.zero, grid.last + 1)
    keys, bones = compat.curves_in(action, "KEY"), _bones(head)
    weights = np.empty((grid.count, len(channels)), np.float32)
    for k, name in enumerate(channels):
        curve = keys[(bake.key_path(name), 0)]
        weights[:, k] = [curve.evaluate(frame) for frame in frames]
    turned = compat.curves_in(action, "OBJECT")
    matrices = [bake.bone_matrices(bones[name], frames, turned) for name in joints]
    return FaceMotion(
        fps=grid.rate,
        channels=channels,
        weights=np.clip(weights, 0.0, 1.0),
        rotation_names=joints,
        rotations=np.stack([axis_angles(m) for m in matrices], 1) if matrices else np.zeros((grid.count, 0, 3)),
        meta={"source": "curves", "pinned": _pinned(head, action, grid, wanted)},
    )


def kept_frames(
    head: bpy.types.Object, action: bpy.types.Action, wanted: list[str]
) -> dict[written.Curve, np.ndarray]:
    """The frames by curve of the edited and pinned keys of the wanted names; the axes of a joint are kept together."""
    edited = written.edited_frames(action)
    found = {}
    for name, curves in _curves_by_name(head, action).items():
        own = [edited[curve] for curve in curves if curve in edited]
        if name in wanted and own:
            together = np.unique(np.concatenate(own))
            found.update(dict.fromkeys(curves, together))
    return found


def with_silence(path: Path, seconds: float, folder: Path) -> Path:
    """The WAV file with silence before it, as a new file in the folder; itself when no silence is wanted."""
    if seconds == 0.0:
        return path
    target = folder / f"{path.stem} later.wav"
    with wave.open(str(path), "rb") as source, wave.open(str(target), "wb") as out:
        out.setparams(source.getparams())
        out.writeframes(bytes(round(seconds * source.getframerate()) * source.getsampwidth() * source.getnchannels()))
        out.writeframes(source.readframes(source.getnframes()))
    return target


def _pinned(head: bpy.types.Object, action: bpy.types.Action, grid: Grid, wanted: list[str]) -> dict[str, list[int]]:
    """The base's frames by name where its values must be met; a key between two frames pins both."""
    kept, found = kept_frames(head, action, wanted), {}
    for name, curves in _curves_by_name(head, action).items():
        frames = next((kept[curve] for curve in curves if curve in kept), None)
        if frames is not None:
            index = np.unique(np.concatenate([np.floor(frames), np.ceil(frames)])).astype(int) - grid.zero
            found[name] = [int(i) for i in index if 0 <= i < grid.count]
    return {name: frames for name, frames in found.items() if frames}


def _curves_by_name(
    head: bpy.types.Object, action: bpy.types.Action
) -> dict[str, dict[written.Curve, bpy.types.FCurve]]:
    """The take's curves by what they move: a channel has one, a joint one per axis."""
    channels, joints = names_in(head, action)
    bones = _bones(head)
    paths = {bake.key_path(name): name for name in channels} | {_path_of(bones[joint]): joint for joint in joints}
    found: dict[str, dict[written.Curve, bpy.types.FCurve]] = {}
    for curve, fcurve in written.curves_of(action).items():
        if curve[1] in paths:
            found.setdefault(paths[curve[1]], {})[curve] = fcurve
    return found


def _bones(head: bpy.types.Object) -> dict[str, bpy.types.PoseBone]:
    rig = heads.rig_of(head)
    return {n: rig.pose.bones[n] for n in heads.JOINTS if n in rig.pose.bones} if rig is not None else {}


def _path_of(bone: bpy.types.PoseBone) -> str:
    return bone.path_from_id("rotation_quaternion" if bone.rotation_mode == "QUATERNION" else "rotation_euler")


def _selected_frames(curve: bpy.types.FCurve) -> np.ndarray:
    keys = keyframes.read(curve, ("co", "select_control_point"))
    return keys["co"][keys["select_control_point"], 0]
