"""ARKit's weights onto the shape keys of any head, by a table of rows that can be edited, saved and shared. NumPy only.

A key's weight is the sum over its rows of gain times channel, cut to 0..1. A channel is one of ARKit's 52 or one of DERIVED,
which are made of them: vowels and visemes are the non-negative least-squares mixture (Lawson & Hanson 1974) of mouth shapes,
each described by its opening, pucker, funnel, spread and drop of the lower lip, that comes nearest to the mouth that ARKit's
weights show. The mixture's sum stays within 1, and where the lips close, all of it but the closing viseme fades to 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.face.arkit import ARKIT_52
from . import adjust

FORMAT, VERSION = "facediff_mapping", 1
MAX_BYTES, MAX_ROWS, MAX_NAME, MAX_GAIN = 256 << 10, 2000, 63, 4.0  # Blender cuts a key's name at 63 bytes

# Mouths at full weight: opening (jawOpen - mouthClose), pucker, funnel, spread (mouthStretch), drop (mouthLowerDown). The
# figures are those by which the starter speaks (`engine.starter.articulation`): vowel height and rounding.
VOWELS = {
    "vowel A": (0.50, 0.00, 0.00, 0.00, 0.20),
    "vowel I": (0.12, 0.00, 0.00, 0.42, 0.14),
    "vowel U": (0.13, 0.80, 0.05, 0.00, 0.00),
    "vowel E": (0.28, 0.00, 0.00, 0.30, 0.23),
    "vowel O": (0.34, 0.30, 0.33, 0.00, 0.05),
}
VISEMES = {
    "viseme aa": VOWELS["vowel A"],
    "viseme E": VOWELS["vowel E"],
    "viseme I": VOWELS["vowel I"],
    "viseme O": VOWELS["vowel O"],
    "viseme U": VOWELS["vowel U"],
    "viseme DD": (0.09, 0.00, 0.00, 0.00, 0.07),
    "viseme CH": (0.07, 0.12, 0.32, 0.00, 0.03),
    "viseme SS": (0.04, 0.00, 0.00, 0.15, 0.12),
}
# What differs only inside the mouth, which ARKit's channels do not see, is shared out evenly.
ALIKE = {"viseme DD": ("viseme DD", "viseme kk", "viseme nn"), "viseme CH": ("viseme CH", "viseme RR")}
CONTACTS = ("viseme PP", "viseme FF", "viseme TH", "viseme sil")
MOODS = ("mood joy", "mood fun", "mood angry", "mood sorrow", "mood surprised")
DERIVED = (*VOWELS, *VISEMES, "viseme kk", "viseme nn", "viseme RR", *CONTACTS, *MOODS)
CHANNELS = (*ARKIT_52, *DERIVED)
EMPHASIS = np.array([1.5, 1.0, 1.0, 1.0, 0.7])  # of the five figures in the fit: the opening is what is seen first
RIDGE = 1e-4  # keeps shapes that look much the same from rising against each other
MOST = 4  # shapes of one mixture at a time; of five shapes a fifth adds nothing that is seen
FULL_ROLL, FULL_TONGUE = 0.5, 0.35  # mouthRollLower of an f, tongueOut of a th


class MappingError(ValueError):
    """A table that cannot be used; the message is one sentence for the user."""

    def __str__(self) -> str:
        return "".join(c if c.isprintable() else " " for c in super().__str__())  # a stranger's file is quoted in it


@dataclass(frozen=True)
class Row:
    """At a weight of 1 the channel gives the key so much (`gain`, -4..4; negative takes away)."""

    channel: str
    key: str
    gain: float = 1.0


def identity(keys: Sequence[str]) -> tuple[Row, ...]:
    """Each of ARKit's channels to the key of exactly its name, where there is one."""
    there = set(keys)
    return tuple(Row(name, name) for name in ARKIT_52 if name in there)


def why_unusable(rows: Sequence[Row], keys: Sequence[str] | None = None, owner: str = "the head") -> str:
    """One sentence on what is wrong with a table, or "". keys: those that the mesh `owner` has, when that is asked."""
    if not rows:
        return "The table has no rows."
    for row in rows:
        if row.channel not in CHANNELS:
            return f"The table names the channel '{row.channel}', which there is not."
        if not row.key or len(row.key.encode(errors="replace")) > MAX_NAME:
            return f"The table gives '{row.channel}' no shape key with a name of 1 to {MAX_NAME} bytes."
        if not (math.isfinite(row.gain) and abs(row.gain) <= MAX_GAIN):
            return f"The gain of '{row.channel}' on '{row.key}' must lie between -{MAX_GAIN:g} and {MAX_GAIN:g}."
    pairs = [(row.channel, row.key) for row in rows]
    if len(set(pairs)) < len(pairs):
        channel, key = next(pair for n, pair in enumerate(pairs) if pair in pairs[:n])
        return f"The table has two rows for '{channel}' on '{key}': remove one."
    if keys is not None:
        missing = [key for key in dict.fromkeys(row.key for row in rows) if key not in set(keys)]
        if missing:
            return f"{owner[:1].upper()}{owner[1:]} lacks shape keys of its table: {listed(missing)}."
    return ""


def listed(names: Sequence[str], most: int = 5) -> str:
    """The names in quotes, the first few of many."""
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def apply(rows: Sequence[Row], channels: Sequence[str], weights: np.ndarray) -> dict[str, np.ndarray]:
    """(T, K) weights of `channels` -> the (T,) float32 weights, 0..1, of each key of the table. Absent channels are at rest."""
    wanted = {row.channel for row in rows}
    values: dict[str, np.ndarray] = {name: weights[:, k] for k, name in enumerate(channels) if name in wanted}
    if wanted & set(DERIVED):
        values.update(derived(channels, weights, wanted))
    found: dict[str, np.ndarray] = {}
    for row in rows:
        total = found.setdefault(row.key, np.zeros(len(weights), np.float64))
        if row.channel in values:
            total += row.gain * values[row.channel]
    return {key: np.clip(total, 0.0, 1.0).astype(np.float32) for key, total in found.items()}


def derived(channels: Sequence[str], weights: np.ndarray, wanted: set[str]) -> dict[str, np.ndarray]:
    """The (T,) values of the wanted of DERIVED. weights: (T, K) of ARKit's channels."""

    def of(*names: str) -> np.ndarray:
        found = [weights[:, channels.index(name)] for name in names if name in channels]
        return np.mean(found, axis=0) if found else np.zeros(len(weights))

    def both(name: str) -> np.ndarray:
        return of(f"{name}Left", f"{name}Right")

    free = 1.0 - adjust.closedness(weights, channels)
    opening = np.maximum(of("jawOpen") - of("mouthClose"), 0.0)
    lips = (of("mouthPucker"), of("mouthFunnel"), both("mouthStretch"), both("mouthLowerDown"))
    shown = np.stack([opening, *lips], 1) * free[:, None]
    found: dict[str, np.ndarray] = {}
    if wanted & set(VOWELS):
        found.update(mixture(VOWELS, shown, np.ones(len(weights))))
    if any(name.startswith("viseme") for name in wanted):
        found["viseme PP"] = 1.0 - free
        found["viseme FF"] = free * np.clip(of("mouthRollLower") / FULL_ROLL, 0.0, 1.0)
        left = 1.0 - found["viseme PP"] - found["viseme FF"]
        found["viseme TH"] = left * np.clip(of("tongueOut") / FULL_TONGUE, 0.0, 1.0)
        found.update(mixture(VISEMES, shown, left - found["viseme TH"]))
        found["viseme sil"] = np.clip(1.0 - sum(found[name] for name in (*VISEMES, *CONTACTS[:3])), 0.0, 1.0)
        for name, names in ALIKE.items():
            found.update(dict.fromkeys(names, found[name] / len(names)))
    smile, raised = both("mouthSmile"), both("browOuterUp")
    found["mood joy"], found["mood fun"] = smile * free, smile
    found["mood angry"] = both("browDown")
    found["mood sorrow"] = np.maximum(of("browInnerUp") - raised, 0.0)
    found["mood surprised"] = np.maximum(raised, both("eyeWide")) * free
    return {name: value for name, value in found.items() if name in wanted}


def mixture(shapes: Mapping[str, tuple[float, ...]], shown: np.ndarray, most: np.ndarray) -> dict[str, np.ndarray]:
    """Non-negative weights (T,) of the shapes whose mixture is nearest to `shown` (T, 5), their sum at most `most` (T,).

    Minimises |shown - sum of weight * shape|^2 + RIDGE |weights|^2 exactly: of all sets of at most MOST shapes, the best
    whose solution is not negative.
    """
    basis = np.array(list(shapes.values())) * EMPHASIS
    goal = (shown * EMPHASIS) @ basis.T
    weights, gained = np.zeros((len(shown), len(basis))), np.zeros(len(shown))
    for chosen, inverse in _solutions(tuple(shapes.values())):
        found = np.einsum("tk,kl->tl", goal[:, chosen], inverse)
        gain = (found * goal[:, chosen]).sum(1)
        better = np.flatnonzero((gain > gained) & (found >= 0.0).all(1))
        if len(better):
            gained[better] = gain[better]
            weights[better] = 0.0
            weights[np.ix_(better, chosen)] = found[better]
    total = weights.sum(1)
    weights *= (np.clip(most, 0.0, 1.0) / np.maximum(total, np.clip(most, 1e-9, 1.0)))[:, None]
    return dict(zip(shapes, weights.T))


@lru_cache(maxsize=4)
def _solutions(shapes: tuple[tuple[float, ...], ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each set of at most MOST shapes, as their numbers (k,), and the inverse (k, k) of its normal equations."""
    basis = np.array(shapes) * EMPHASIS
    gram = basis @ basis.T + RIDGE * np.eye(len(basis))
    chosen = [np.array(c) for count in range(1, MOST + 1) for c in combinations(range(len(basis)), count)]
    return [(c, np.linalg.inv(gram[np.ix_(c, c)])) for c in chosen]


def to_json(rows: Sequence[Row], name: str = "") -> str:
    """The table as text that `from_json` reads; `name` says whose it is."""
    table = [{"channel": row.channel, "key": row.key, "gain": round(float(row.gain), 6)} for row in rows]
    return json.dumps({"format": FORMAT, "version": VERSION, "name": name, "rows": table}, ensure_ascii=False, indent=1)


def load(path: Path) -> tuple[Row, ...]:
    """The table of a file. Raises MappingError with one sentence, also when the file cannot be read."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise MappingError(f"'{path.name}' cannot be read: {error.strerror or error}.") from error
    if len(data) > MAX_BYTES:
        raise MappingError(f"'{path.name}' is larger than a mapping's {MAX_BYTES >> 10} kB.")
    return from_json(data, path.name)


def from_json(data: bytes | str, name: str = "The file") -> tuple[Row, ...]:
    """The rows of a table as text. Raises MappingError with one sentence."""
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MappingError(f"'{name}' is not JSON in UTF-8.") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise MappingError(f"'{name}' is not a FaceDiff mapping.")
    if type(value.get("version")) is not int or value["version"] != VERSION:
        raise MappingError(f"'{name}' is a mapping of version {str(value.get('version'))[:20]}; this FaceDiff reads {VERSION}.")
    table = value.get("rows")
    if unknown := set(value) - {"format", "version", "name", "rows"}:
        raise MappingError(f"'{name}' has an entry {min(unknown)[:40]!r}, which a mapping has not.")
    if not isinstance(table, list) or len(table) > MAX_ROWS:
        raise MappingError(f"'{name}' has no list of at most {MAX_ROWS} rows.")
    rows = tuple(_row(entry, number, name) for number, entry in enumerate(table, start=1))
    if problem := why_unusable(rows):
        raise MappingError(f"'{name}' cannot be used: {problem[0].lower()}{problem[1:]}")
    return rows


def _row(entry: Any, number: int, name: str) -> Row:
    good = isinstance(entry, dict) and {"channel", "key"} <= set(entry) <= {"channel", "key", "gain"}
    if not good or not isinstance(entry["channel"], str) or not isinstance(entry["key"], str):
        raise MappingError(f"Row {number} of '{name}' is not a channel, a key and a gain.")
    gain = entry.get("gain", 1.0)
    if isinstance(gain, bool) or not isinstance(gain, int | float) or abs(gain) > MAX_GAIN:
        raise MappingError(f"The gain in row {number} of '{name}' is no number between -{MAX_GAIN:g} and {MAX_GAIN:g}.")
    return Row(entry["channel"], entry["key"], float(gain))
