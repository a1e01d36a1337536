"""How well a part that was made anew fits: joins, pinned values, what stayed, closed lips, against a naive cross-fade.

    .venv/bin/python scripts/measure_inpainting.py SOUND ... [--ranges 20] [--json OUT]

For each recording a take is made and random ranges of it anew, from another seed: of the whole face, the mouth, eyes and
brows, or the head in turn; every second one with keys that were moved and pinned, every third one with another emotion. The
cross-fade takes the same ranges from a whole take of the same seed and emotion and fades over 0.2 s at both ends.
A speed jump is |v[i+1] - 2 v[i] + v[i-1]| at the frames where old and new meet, counted per channel where it is above the
95th percentile of the take's own in that channel. "Forced" are those that no weight within 0..1 avoids, given the frames
that stay, or that a pin on the two frames beside the join asks for. A value jump is a step across a join that is larger than
both steps beside it by more than that percentile.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.animate import AnimateOptions, animate, with_geometry  # noqa: E402
from engine.joins import jump_limits, speed_jumps  # noqa: E402
from engine.motion import FaceMotion  # noqa: E402
from engine.parts import REGIONS, Part, find_part  # noqa: E402
from engine.starter.editing import MAKES  # noqa: E402
from engine.sync import CLOSED  # noqa: E402

KINDS = (None, ("mouth",), ("eyes", "brows"), ("head",))
FADE = 0.2  # s
SEED = 7
FPS = (25.0, 30.0, 24.0)
SMALLEST = 1e-6  # what float32 makes of equal


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sounds", type=Path, nargs="+")
    parser.add_argument("--ranges", type=int, default=20, help="per recording; default: 20")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    rows: list[dict[str, float]] = []
    for number, sound in enumerate(arguments.sounds):
        base = animate(sound, AnimateOptions(fps=FPS[number % len(FPS)], device=arguments.device))
        rng = np.random.default_rng(number)
        for index in range(arguments.ranges):
            rows += one_range(sound, base, rng, index, arguments.device)
        print(f"{sound.name}: {base.frames} frames at {base.fps:g} per second, {arguments.ranges} ranges", file=sys.stderr)
    table = {way: pooled([r for r in rows if r["way"] == way]) for way in ("anew", "cross-fade", "same seed")}
    print(f"{platform.processor() or platform.machine()}, {len(rows) // 3} ranges")
    for name in table["anew"]:
        print(f"{name:48}" + "".join(f"{table[way][name]:>14.5g}" for way in table))
    if arguments.json:
        arguments.json.write_text(json.dumps({"pooled": table, "rows": rows}, indent=1) + "\n")
    return 0


def one_range(sound: Path, take: FaceMotion, rng: np.random.Generator, index: int, device: str) -> list[dict]:
    """A row for each way to make one random range anew."""
    length = int(rng.integers(round(0.3 * take.fps), min(round(3 * take.fps), take.frames - 8)))
    first = int(rng.integers(3, take.frames - length - 3))
    names = KINDS[index % len(KINDS)]
    base = with_moved_keys(take, first, length, names, rng) if index % 2 else take
    emotion = {"happy": 1.0} if index % 3 == 2 else {}
    start, end = first / base.fps, (first + length) / base.fps
    part = find_part(base, start, end, names, MAKES)
    options = AnimateOptions(emotion, seed=SEED, base=base, start=start, end=end, channels=names, device=device)
    begun = time.perf_counter()
    anew = animate(sound, options)
    seconds = time.perf_counter() - begun
    whole = animate(sound, AnimateOptions(emotion, seed=SEED, fps=base.fps, device=device))
    again = animate(sound, replace(options, base=take, seed=0, emotion={}))
    return [
        {"way": "anew", "seconds": seconds, **figures(anew, base, part)},
        {"way": "cross-fade", "seconds": float("nan"), **figures(cross_fade(whole, base, part), base, part)},
        {"way": "same seed", "seconds": float("nan"), **figures(again, take, find_part(take, start, end, names, MAKES))},
    ]


def with_moved_keys(
    take: FaceMotion, first: int, length: int, names: tuple[str, ...] | None, rng: np.random.Generator
) -> FaceMotion:
    """The take with some keys inside the range moved by up to 0.3 and pinned, the head's by up to 0.1 rad."""
    weights, rotations = take.weights.copy(), take.rotations.copy()
    chosen = [n for name in names for n in REGIONS[name]] if names else [*take.channels, "head"]
    moving = [n for n in chosen if n == "head" or (n in take.channels and np.ptp(take.channel(n)) > 0.05)]
    pinned: dict[str, list[int]] = {}
    for name in rng.choice(moving, size=min(3, len(moving)), replace=False):
        frames = rng.choice(np.arange(first, first + length), size=min(2, length), replace=False)
        pinned[str(name)] = sorted(int(f) for f in frames)
        if name == "head":
            rotations[frames, take.rotation_names.index("head")] += rng.uniform(-0.1, 0.1, (len(frames), 3))
        else:
            column = take.channels.index(str(name))
            weights[frames, column] = np.clip(weights[frames, column] + rng.uniform(-0.3, 0.3, len(frames)), 0, 1)
    return replace(take, weights=weights, rotations=rotations, meta={"pinned": pinned})


def cross_fade(whole: FaceMotion, base: FaceMotion, part: Part) -> FaceMotion:
    """The part from another take, faded in and out inside of it."""
    frames = np.arange(base.frames)
    width = min(FADE * base.fps, (part.after - part.first) / 2)
    share = np.clip(np.minimum(frames - part.first + 1, part.after - frames) / (width + 1), 0, 1)
    weights, rotations = base.weights.copy(), base.rotations.copy()
    for name in part.channels:
        column = base.channels.index(name)
        weights[:, column] += (share * (whole.channel(name) - base.channel(name))).astype(np.float32)
    for name in part.joints:
        joint = base.rotation_names.index(name)
        rotations[:, joint] += (share[:, None] * (whole.rotation(name) - base.rotation(name))).astype(np.float32)
    return replace(base, weights=weights, rotations=rotations, meta={})


def figures(new: FaceMotion, base: FaceMotion, part: Part) -> dict[str, float]:
    """Counts and sums that can be pooled over ranges."""
    curves, old = columns(new, part), columns(base, part)
    joins = [f for f in (part.first - 1, part.first, part.after - 1, part.after) if 1 <= f < base.frames - 1]
    limits, jumps = jump_limits(old), speed_jumps(curves)[joins]
    over = jumps > limits + SMALLEST
    forced = over & unavoidable(curves, old, part, joins, limits)
    borders = [f for f in (part.first, part.after) if 0 < f < base.frames]
    speed = np.abs(np.diff(curves.astype(np.float64), axis=0, prepend=curves[:1], append=curves[-1:]))
    beside = np.array([np.maximum(speed[f - 1], speed[f + 1]) for f in borders]).reshape(len(borders), curves.shape[1])
    steps = speed[borders]
    outside = np.ones(base.frames, bool)
    outside[part.frames] = False
    same = all(
        np.array_equal(getattr(new, a)[outside].view(np.int32), getattr(base, a)[outside].view(np.int32))
        for a in ("weights", "rotations")
    ) and all(
        np.array_equal(new.channel(n).view(np.int32), base.channel(n).view(np.int32))
        for n in base.channels if n not in part.channels
    )  # fmt: skip
    kept, closures = closures_kept(new, base, part)
    inside = speed_jumps(curves)[part.frames]
    wild = inside > speed_jumps(old).max(axis=0) + SMALLEST
    return {
        "cells": inside.size, "wild": int(wild.sum()), "joins": jumps.size, "over": int(over.sum()), "forced": int(forced.sum()),
        "worst": float(np.where(over & ~forced, jumps - limits, 0).max(initial=0)),
        "steps": steps.size, "jumps": int((steps > beside + limits + SMALLEST).sum()),
        "unchanged": int(same), "pin_error": pin_error(new, base, part), "closures": closures, "kept": kept,
        "half_blinks": half_blinks(new, part), "low": float(new.weights.min()), "high": float(new.weights.max()),
        "difference": float(np.abs(curves - old)[part.frames].mean()),
    }  # fmt: skip


def columns(motion: FaceMotion, part: Part) -> np.ndarray:
    """(T, K) everything that the part makes anew."""
    found = [motion.channel(n)[:, None] for n in part.channels] + [motion.rotation(n) for n in part.joints]
    return np.concatenate(found, axis=1)


def unavoidable(
    curves: np.ndarray, old: np.ndarray, part: Part, joins: list[int], limits: np.ndarray
) -> np.ndarray:
    """(joins, K) where going on at the speed of the frames that stay would leave 0..1 by more than the limit, or a pin
    decides."""
    out = np.zeros((len(joins), curves.shape[1]), bool)
    weights = np.arange(curves.shape[1]) < len(part.channels)
    for row, frame in enumerate(joins):
        step = 1 if frame <= part.first else -1
        onward = 2 * curves[frame].astype(np.float64) - curves[frame - step]
        out[row] = weights & ((onward < -limits) | (onward > 1 + limits))
        beside = {frame, frame + step}
        for column, name in enumerate([*part.channels, *(n for n in part.joints for _ in range(3))]):
            out[row, column] |= bool(beside & set(part.pinned.get(name, np.zeros(0)).tolist()))
    return out


def pin_error(new: FaceMotion, base: FaceMotion, part: Part) -> float:
    """The largest difference to the base's value where it is pinned."""
    error = 0.0
    for name, frames in part.pinned.items():
        read = (lambda m, n=name: m.channel(n)) if name in part.channels else (lambda m, n=name: m.rotation(n))
        error = max(error, float(np.abs(read(new)[frames] - read(base)[frames]).max()))
    return error


def closures_kept(new: FaceMotion, base: FaceMotion, part: Part) -> tuple[int, int]:
    """How many of the base's lip closures inside the part are still reached within a frame, and how many there are.

    Lips whose channels the animator pinned are the animator's.
    """
    if "jawOpen" not in part.channels or any(n in REGIONS["mouth"] for n in part.pinned):
        return 0, 0
    gaps = []
    for motion in (new, base):
        points = with_geometry(motion, True, False).landmarks68
        gaps.append(np.linalg.norm(points[:, 62] - points[:, 66], axis=1))
    shut = [gap < CLOSED * np.percentile(gaps[1], 95) for gap in gaps]
    edges = np.diff(np.concatenate([[0], shut[1].astype(np.int8), [0]]))
    kept = count = 0
    for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        if part.first <= start and end <= part.after:
            count += 1
            kept += bool(shut[0][max(0, start - 1) : end + 1].any())
    return kept, count


def half_blinks(motion: FaceMotion, part: Part) -> int:
    """Blinks that touch the part and do not shut the lids to 0.8, or that are cut to less than 0.1 s."""
    if "eyeBlinkLeft" not in part.channels or any(n.startswith("eyeBlink") for n in part.pinned):
        return 0
    lids = motion.channel("eyeBlinkLeft")
    edges = np.diff(np.concatenate([[0], (lids > 0.05).astype(np.int8), [0]]))
    runs = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
    return sum(
        bool(lids[a:b].max() < 0.8 or b - a < 0.1 * motion.fps)
        for a, b in runs
        if a < part.after and b > part.first and 0 < a and b < motion.frames
    )


def pooled(rows: list[dict]) -> dict[str, float]:
    """The figures of one way over all ranges."""

    def total(name: str) -> float:
        return float(sum(r[name] for r in rows))

    return {
        "channels x frames at joins": total("joins"),
        "speed jumps above the 95th percentile": total("over"),
        "of those, forced by a weight's limits or a pin": total("forced"),
        "largest excess that is not forced": max(r["worst"] for r in rows),
        "channels x frames inside": total("cells"),
        "speed jumps above the take's largest": total("wild"),
        "steps across joins": total("steps"),
        "value jumps": total("jumps"),
        "ranges with everything outside unchanged, share": total("unchanged") / len(rows),
        "largest error at a pin": max(r["pin_error"] for r in rows),
        "closures in the parts": total("closures"),
        "closures still reached, share": total("kept") / max(1.0, total("closures")),
        "half blinks": total("half_blinks"),
        "least weight": min(r["low"] for r in rows),
        "greatest weight": max(r["high"] for r in rows),
        "mean difference to the base inside": total("difference") / len(rows),
        "seconds per range, median": float(np.nanmedian([r["seconds"] for r in rows] or [np.nan])),
    }


if __name__ == "__main__":
    sys.exit(main())
