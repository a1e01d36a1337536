"""What a face does besides speaking: blinks and gaze. Procedural, because few-step diffusion loses rare events.

NumPy only. Angles in rad; rotations are axis-angle in head axes (+x subject's left, +y up, +z forward), so a positive
turn about x looks down and a positive turn about y looks to the subject's left.
"""

from __future__ import annotations

import numpy as np

# Bentivoglio et al. 1997: 17 blinks a minute at rest, 26 in conversation, 4.5 reading. A speaker on a take: about 18.
BLINK_INTERVAL = 3.2  # s, mean
SHORTEST_INTERVAL = 0.9  # s
LID_RANGE = 0.45  # rad of gaze pitch at which the eyeLookUp / eyeLookDown lids are at 1
SIDE_RANGE = 0.55  # rad of gaze yaw for eyeLookIn / eyeLookOut


def blinks(fps: float, frames: int, quiet: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(frames,) lid closure 0..1. quiet: (frames,) bool, where the voice rests: blinks prefer the start of a pause.

    One blink: 60-90 ms down, 30-60 ms shut, 110-180 ms up (200-330 ms in all; VanderWerf et al. 2003).
    """
    time = np.arange(frames) / fps
    lids = np.zeros(frames)
    pauses = np.flatnonzero(np.diff(quiet.astype(np.int8), prepend=0) == 1) / fps
    clock = rng.uniform(0.4, BLINK_INTERVAL)
    end = frames / fps
    while clock < end:
        near = pauses[np.abs(pauses - clock) < 0.7]
        middle = near[0] + rng.uniform(0.02, 0.12) if len(near) and rng.random() < 0.7 else clock
        down, shut, up = rng.uniform(0.06, 0.09), rng.uniform(0.03, 0.06), rng.uniform(0.11, 0.18)
        # A frame is shut if the shut time falls anywhere in it: at 24 fps a blink must not slip between frames.
        shut = max(shut, 1.02 / fps)
        falling = (time - (middle - shut / 2 - down)) / down
        rising = (middle + shut / 2 + up - time) / up
        shape = np.clip(np.minimum(falling, rising), 0, 1)
        lids = np.maximum(lids, rng.uniform(0.94, 1.0) * shape * shape * (3 - 2 * shape))
        clock = max(middle, clock) + max(SHORTEST_INTERVAL, rng.lognormal(np.log(BLINK_INTERVAL) - 0.18, 0.6))
    return lids


def gaze(fps: float, frames: int, head: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(frames, 2) rad pitch and yaw of both eyes in head axes: fixations near the listener, joined by saccades.

    head: (frames, 3) axis-angle head rotation; the eyes hold their target in the world (vestibulo-ocular reflex).
    Saccades last 2.2 ms per degree + 21 ms (Carpenter 1988); fixations 0.4 to 3 s, most of them on the listener.
    """
    time = np.arange(frames) / fps
    target = np.zeros((frames, 2))
    clock, here = 0.0, np.zeros(2)
    while clock < frames / fps:
        clock += 0.4 + rng.gamma(2.0, 0.55)
        away = rng.random() < 0.28
        spread = np.radians([4.0, 9.0]) if away else np.radians([0.7, 1.6])
        there = np.clip(rng.normal(0, 1, 2) * spread, -0.3, 0.3)
        duration = 0.021 + 0.0022 * np.degrees(np.abs(there - here).max())
        progress = np.clip((time - clock) / duration, 0, 1)[:, None]
        target += (there - here) * progress * progress * (3 - 2 * progress)
        here = there
    return target - head[:, :2]


def eye_channels(looking: np.ndarray) -> dict[str, np.ndarray]:
    """The eight eyeLook weights (frames,) that go with gaze (frames, 2) pitch and yaw, rad; ARKit: lids follow gaze."""
    pitch, yaw = looking[:, 0], looking[:, 1]
    down, up = np.clip(pitch / LID_RANGE, 0, 1), np.clip(-pitch / LID_RANGE, 0, 1)
    left, right = np.clip(yaw / SIDE_RANGE, 0, 1), np.clip(-yaw / SIDE_RANGE, 0, 1)
    return {
        "eyeLookDownLeft": down, "eyeLookDownRight": down, "eyeLookUpLeft": up, "eyeLookUpRight": up,
        "eyeLookOutLeft": left, "eyeLookInRight": left, "eyeLookInLeft": right, "eyeLookOutRight": right,
    }  # fmt: skip
