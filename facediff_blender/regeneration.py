"""A part of a take on its way to be made anew: what the engine is given, and how the result is set into the curves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..engine.face.starter_head import rotation_matrices
from ..engine.motion import FaceMotion
from . import adjust_take, bake, parts, passages, take_list, written
from .assign import assign
from .bake import BakeError, Take
from .emotions import Feeling
from .generation import Generation
from .recipe import Part
from .references import Reference

GONE = "The take was deleted while a part of it was being made anew, so nothing was changed."


@dataclass
class Regeneration(Generation):
    """source: the take. first, last: frames (inclusive); names: channels and joints. in_place: change the take itself
    instead of a copy. digest: of the source's curves when it began."""

    source: Reference = field(kw_only=True)
    first: int = field(kw_only=True)
    last: int = field(kw_only=True)
    names: list[str] = field(kw_only=True)
    in_place: bool = False
    digest: str = ""

    def request(self, folder: Path) -> tuple[Path, dict[str, Any]]:
        """The sound from a whole frame on, the take's curves as the base, and the part in seconds."""
        head, action, grid = self.head.find(), self.source.find(), self.grid()
        self.digest = written.digest(action)
        base = next(p for n in range(1, 10**6) if not (p := folder / f"base{n}.npz").exists())
        with applied(action, grid.rate) as plain:
            parts.sample(head, plain, grid, self.names).save(base)
        audio = parts.with_silence(self.speech.path, grid.silence, folder)
        options = {
            **self.options,
            "model": bpy.path.abspath(self.model),
            **self.feeling.options(folder, grid.rate),
            "base": str(base),
            # Half a frame before and after, for seconds that are not exact must not lose or win a frame.
            "start": max(0.0, (self.first - 0.5 - grid.zero) / grid.rate),
            "end": (self.last + 0.5 - grid.zero) / grid.rate,
            "channels": self.names,
        }
        return audio, options

    def what_is_gone(self) -> str:
        """As of every generation, and the take."""
        return super().what_is_gone() or ("" if self.source.find() is not None else GONE)

    def write(self, begun: dict[int, Reference]) -> Take:
        """Set the part into a copy of the take, or into the take itself; every key outside stays bit for bit."""
        if gone := self.what_is_gone():
            raise BakeError(gone)
        if self.motion is None:
            raise BakeError("There is no finished generation to apply.")
        head, source, grid = self.head.find(), self.source.find(), self.grid()
        if self.motion.frames != grid.count or abs(self.motion.fps - grid.rate) > 1e-6:
            raise BakeError("The strip was changed while a part of its take was being made anew, so nothing was changed.")
        subset, frames = self._part_of(self.motion, grid)
        turns = rotation_matrices(np.asarray(subset.rotations))
        strokes = bake.performance(head, subset, np.asarray(subset.weights), turns, part=True)
        name = source.name
        action = source if self.in_place else source.copy()
        adjust_take.apply(action, grid.rate)
        kept, edited = parts.kept_frames(head, action, self.names), written.edited_frames(action, pins=False)
        passages.splice(action, strokes, frames, self.first, self.last, kept, still=True)
        written.store(action, edited)
        take = Take(action, self.first, self.last)
        part = Part(self.first, self.last, self.names, "" if self.in_place else name, self.digest)
        made = replace(self.passage(take, self.speech.timing_in(self.scene.find())), part=part)
        action.use_fake_user = True
        take_list.describe(head, action, [*take_list.passages_of(action), made])
        assign(head, action)
        inside = [f for frames in kept.values() for f in frames if self.first <= f <= self.last]
        count = len(inside)
        self.note = "" if not count else f"{count} edited {'key was' if count == 1 else 'keys were'} kept."
        return replace(take, note=self.note)

    def _part_of(self, motion: FaceMotion, grid: parts.Grid) -> tuple[FaceMotion, np.ndarray]:
        """The motion's values of the part, and the scene frames (F,) that they stand on."""
        span = slice(self.first - grid.zero, self.last + 1 - grid.zero)
        channels = tuple(name for name in motion.channels if name in self.names)
        joints = tuple(name for name in motion.rotation_names if name in self.names)
        subset = FaceMotion(
            motion.fps,
            channels,
            np.asarray(motion.weights)[span][:, [motion.channels.index(name) for name in channels]],
            joints,
            np.asarray(motion.rotations)[span][:, [motion.rotation_names.index(name) for name in joints]],
        )
        return subset, np.arange(self.first, self.last + 1)


@contextmanager
def applied(action: bpy.types.Action, rate: float) -> Iterator[bpy.types.Action]:
    """The action with the sliders of Adjust applied, so that its edited keys are known: a copy for the time of the context,
    or the action itself where none is off its middle. rate: frames per second."""
    if not adjust_take.is_adjusted(action):
        yield action
        return
    copy = action.copy()
    try:
        adjust_take.apply(copy, rate)
        yield copy
    finally:
        bpy.data.actions.remove(copy)


def feeling_on(felt: Feeling, grid: parts.Grid, start: float) -> Feeling:
    """A feeling whose samples begin at the frame `start`, on the frames of the grid."""
    if felt.curve is None:
        return felt
    index = grid.zero - start + np.arange(grid.count + 1)
    rows = np.arange(len(felt.curve))
    return Feeling(curve=np.stack([np.interp(index, rows, column) for column in felt.curve.T], 1).astype(np.float32))


def speaks(action: bpy.types.Action, first: int, last: int) -> take_list.Passage | None:
    """The passage of the take that these frames belong to: that which they share the most with; None without any."""
    found = [p for p in take_list.passages_of(action) if p.part is None]
    return max(found, key=lambda p: min(last, p.last) - max(first, p.first), default=None)
