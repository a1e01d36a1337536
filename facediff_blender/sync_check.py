"""Where the lips of a take do not follow the speech: asked of the engine, kept on the take, marked on the timeline."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..engine.messages import Check
from . import parts, take_list, written
from .bake import BakeError, Take
from .generation import Generation
from .references import Reference

PROPERTY = "facediff_sync"  # on the take: JSON, see `report_of`
MARKER = "Lips open: "  # how the name of a marker at a missed closure begins; the phone follows
MARGIN = 0.15  # s around a missed closure that are worth making anew


@dataclass(frozen=True)
class Missed:
    """A closure that was missed: the phone, its middle frame, and the frames (inclusive) to make anew."""

    phone: str
    frame: int
    first: int
    last: int


def report_of(action: bpy.types.Action) -> tuple[dict[str, float], list[Missed], str] | None:
    """The figures, the missed closures in the order of time, and the digest of the curves that were checked; or None.

    The figures of a take of several strips are the means over its strips.
    """
    text = action.get(PROPERTY, "")
    if not text:
        return None
    report = json.loads(text)
    missed = sorted((Missed(**m) for s in report["strips"].values() for m in s["missed"]), key=lambda m: m.frame)
    tables = [s["figures"] for s in report["strips"].values()]
    names = dict.fromkeys(name for table in tables for name in table)
    figures = {n: float(np.mean([table[n] for table in tables if n in table])) for n in names}
    return figures, missed, report["digest"]


@dataclass
class SyncCheck(Generation):
    """A check on its way. source: the take."""

    source: Reference = field(kw_only=True)
    message = Check

    def request(self, folder: Path) -> tuple[Path, dict[str, Any]]:
        """The sound from a whole frame on, and the take's curves."""
        grid = self.grid()
        path = next(p for n in range(1, 10**6) if not (p := folder / f"take{n}.npz").exists())
        parts.sample(self.head.find(), self.source.find(), grid, []).save(path)
        return parts.with_silence(self.speech.path, grid.silence, folder), {**self.options, "motion": str(path)}

    def what_is_gone(self) -> str:
        """As of every generation, and the take."""
        gone = "" if self.source.find() is not None else "The take was deleted while it was being checked."
        return super().what_is_gone() or gone

    def write(self, begun: dict[int, Reference]) -> Take:
        """Keep the report on the take, and put a marker at each missed closure in place of those of an earlier check."""
        if gone := self.what_is_gone():
            raise BakeError(gone)
        found = self.motion.meta.get("sync") if self.motion is not None else None
        if found is None:
            raise BakeError("The engine's answer holds no report.")
        action, scene, grid = self.source.find(), self.scene.find(), self.grid()
        missed = [self._missed(spot, grid) for spot in found["missed"]]
        digest = written.digest(action)
        text = action.get(PROPERTY, "")
        report = json.loads(text) if text else {}
        strips = report["strips"] if report.get("digest") == digest else {}
        strips[self.speech.strip] = {"figures": found["figures"], "missed": [vars(m) for m in missed]}
        action[PROPERTY] = json.dumps({"digest": digest, "strips": strips}, ensure_ascii=False)
        clear_markers(scene, grid.zero, grid.last)
        for spot in missed:
            scene.timeline_markers.new(MARKER + spot.phone, frame=spot.frame)
        spoken = round(found["figures"].get("bilabials", 0))
        self.note = f"{spoken - len(missed)} of {spoken} closures of the lips (p, b, m) are reached."
        return Take(action, grid.zero, grid.last, self.note)

    def _missed(self, spot: dict[str, Any], grid: parts.Grid) -> Missed:
        def frame(second: float) -> int:
            return min(max(round(grid.zero + second * grid.rate), grid.zero), grid.last)

        start, end = spot["start"], spot["end"]
        return Missed(spot["phone"], frame((start + end) / 2), frame(start - MARGIN), frame(end + MARGIN))


def clear_markers(scene: bpy.types.Scene, first: int, last: int) -> int:
    """Remove our markers from these frames (inclusive); returns how many there were."""
    ours = [m for m in scene.timeline_markers if m.name.startswith(MARKER) and first <= m.frame <= last]
    for marker in ours:
        scene.timeline_markers.remove(marker)
    return len(ours)


def is_current(action: bpy.types.Action, digest: str) -> bool:
    """Whether the take's curves are still those that were checked."""
    return take_list.is_take(action) and written.digest(action) == digest
