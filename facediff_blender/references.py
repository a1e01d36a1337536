"""What remembers a datablock over ticks: undo, redo and file loads invalidate every reference of Python's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy


@dataclass(frozen=True)
class Reference:
    """A datablock of `bpy.data.<collection>` by name and session_uid."""

    collection: str
    name: str
    uid: int

    @classmethod
    def to(cls, collection: str, datablock: bpy.types.ID) -> Reference:
        """A reference to this datablock."""
        return cls(collection, datablock.name, datablock.session_uid)

    def find(self) -> Any:
        """The datablock, under whatever name it has now; None when it is gone."""
        data = getattr(bpy.data, self.collection)
        candidate = data.get(self.name)
        if candidate is not None and candidate.session_uid == self.uid:
            return candidate
        return next((block for block in data if block.session_uid == self.uid), None)
