"""What a take was made from, complete enough to make it again. Kept on the action as JSON; no bpy in here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .emotions import Feeling


@dataclass(frozen=True)
class Part:
    """What of a take was made anew: frames (inclusive), channels, and the take that it was made from.

    source: the name of that take, "" when it was changed in place; digest: of its curves as they were.
    """

    first: int
    last: int
    channels: list[str]
    source: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Passage:
    """One strip of sound in a take.

    first, last: frames of the head's scene (inclusive); start, rate: the timing of the sound in that scene; sound: SHA-256
    of what was heard; feeling: `Feeling.to_facts`; model, seed, steps, mouth_variation, device: as the engine used them;
    vertices: how the vertices of a model's own mesh were written; part: when only a part was made anew; video: when it
    follows an actor instead (`tracking.Tracking.passage`).
    """

    strip: str
    scene: str
    first: int
    last: int
    start: float
    rate: float
    sound: str
    feeling: dict[str, Any]
    model: str = "starter"
    seed: int = 0
    steps: int | None = None
    mouth_variation: float | None = None
    device: str = "auto"
    vertices: dict[str, Any] = field(default_factory=dict)
    part: Part | None = None
    video: dict[str, Any] | None = None

    def options(self) -> dict[str, Any]:
        """The fields of `Generate` that make it again, besides the model."""
        found = {"seed": self.seed, "device": self.device}
        extra = {"steps": self.steps, "mouth_variation": self.mouth_variation}
        return found | {name: value for name, value in extra.items() if value is not None}

    @property
    def felt(self) -> Feeling:
        """How it is said."""
        return Feeling.from_facts(self.feeling)


def to_json(passages: Sequence[Passage]) -> str:
    """The passages in a line."""
    return json.dumps([asdict(passage) for passage in passages], ensure_ascii=False)


def from_json(text: str) -> list[Passage]:
    """The inverse of `to_json`."""
    return [_passage(facts) for facts in json.loads(text)]


def _passage(facts: dict[str, Any]) -> Passage:
    known = {f.name: facts[f.name] for f in fields(Passage) if f.name in facts}  # a newer version may say more
    part = known.pop("part", None)
    return Passage(**known, part=Part(**part) if part is not None else None)
