"""The part of a motion that is made anew: a range of frames of some of its channels, and what is pinned in it. NumPy only."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import InputError
from .face.arkit import ARKIT_52
from .motion import FaceMotion, MotionError

# What a person calls a part of the face; a rotation belongs to the channels that move with it.
REGIONS: dict[str, tuple[str, ...]] = {
    "mouth": (*(n for n in ARKIT_52 if n.startswith(("jaw", "mouth", "tongue", "cheekPuff"))), "jaw"),
    "eyes": (*(n for n in ARKIT_52 if n.startswith(("eye", "cheekSquint"))), "left_eye", "right_eye"),
    "brows": tuple(n for n in ARKIT_52 if n.startswith(("brow", "noseSneer"))),
    "head": ("head",),
}


@dataclass(frozen=True)
class Part:
    """first, after: frames of the base, the part is first <= frame < after. channels, joints: names of weights and of
    rotations. pinned: frames inside the part by name, on which the base's own value stays; each name is one of the others.
    """

    first: int
    after: int
    channels: tuple[str, ...]
    joints: tuple[str, ...]
    pinned: dict[str, np.ndarray]

    @property
    def frames(self) -> slice:
        """The part's frames."""
        return slice(self.first, self.after)


def load_base(path: str | os.PathLike[str]) -> FaceMotion:
    """The motion of which a part is to be made anew. Raises InputError with one sentence."""
    try:
        return FaceMotion.load(path)
    except (MotionError, OSError) as error:
        reason = str(error) if isinstance(error, MotionError) else f"{error.strerror or error}: '{path}'"
        raise InputError(f"The motion to change cannot be read: {reason.rstrip('.')}.") from error


def frame_range(base: FaceMotion, start: float | None, end: float | None) -> tuple[int, int]:
    """First frame and frame after the last of the seconds `start` <= t < `end`; None is either end of the motion.

    Raises InputError when there is none.
    """
    for value in (start, end):
        if value is not None and not math.isfinite(value):
            raise InputError(f"The part to make anew cannot begin or end at second {value}.")
    # A frame that lies on the limit but for the rounding of its second counts as on it.
    first = 0 if start is None else max(0, math.ceil(start * base.fps - 1e-6))
    after = base.frames if end is None else min(base.frames, math.ceil(end * base.fps - 1e-6))
    if first >= after:
        raise InputError(f"There is no frame to make anew between second {start} and second {end}.")
    return first, after


def find_part(
    base: FaceMotion, start: float | None, end: float | None, names: Sequence[str] | None, makes: Sequence[str]
) -> Part:
    """The part that was asked for, see `messages.Generate`. makes: names that the model can make anew.

    names may hold the REGIONS' names too. With None everything that the model makes is made anew and other channels stay.
    Raises InputError for an empty range, for a name that the base has not or the model does not make, and for pins that
    are not lists of frames of the base.
    """
    first, after = frame_range(base, start, end)
    has = (*base.channels, *base.rotation_names)
    if names is None:
        wanted = [n for n in has if n in makes]
    else:
        wanted = [n for name in names for n in REGIONS.get(name, (name,)) if n in has or name not in REGIONS]
        for name in wanted:
            if name not in has:
                raise InputError(f"The motion has no channel '{name}' to make anew.")
            if name not in makes:
                raise InputError(f"The model does not make the channel '{name}'.")
    channels = tuple(n for n in base.channels if n in wanted)
    joints = tuple(n for n in base.rotation_names if n in wanted)
    if not channels and not joints:
        raise InputError("No channel was chosen to be made anew.")
    return Part(first, after, channels, joints, _pins(base, first, after, (*channels, *joints)))


def _pins(base: FaceMotion, first: int, after: int, names: Sequence[str]) -> dict[str, np.ndarray]:
    found: Any = base.meta.get("pinned", {})
    if not isinstance(found, dict):
        raise InputError("The motion's pinned frames are not listed by channel.")
    pins = {}
    for name, frames in found.items():
        if not isinstance(frames, list) or any(type(f) is not int or not 0 <= f < base.frames for f in frames):
            raise InputError(f"The pinned frames of '{name}' are not frames of the motion.")
        inside = np.array(sorted({f for f in frames if first <= f < after}), np.int64)
        if name in names and len(inside):
            pins[name] = inside
    return pins
