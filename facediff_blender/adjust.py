"""What the sliders of "Adjust" do to a performance that is already made. NumPy only.

Everything acts on one value per whole frame. A slider in its middle changes nothing, to the last bit.

Lip closures have their own slider and survive the others. How closed the lips are is read off the weights: on the starter
head mouthClose seals a jaw that is as far open (see `engine.starter.contacts`), so the share of the opening that is closed
is mouthClose / jawOpen. From 0.6 to 0.9 it counts as a closure with a rising weight; an f or v (0.55) does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..engine.motion import FaceMotion
from .resample import mouth_times, values_at

MOUTH, UPPER, BLINK, GAZE, OTHER = "mouth", "upper", "blink", "gaze", "other"
PREFIXES = (
    ("eyeBlink", BLINK),
    ("eyeLook", GAZE),
    ("brow", UPPER),
    ("eye", UPPER),
    ("cheekSquint", UPPER),
    ("nose", UPPER),
    ("jaw", MOUTH),
    ("mouth", MOUTH),
    ("tongue", MOUTH),
    ("cheek", MOUTH),
)
SHARE_OPEN, SHARE_CLOSED = 0.6, 0.9  # of the jaw's opening: where a closure begins to count, and where it counts fully
GAP_OPEN, GAP_CLOSED = 0.06, 0.02  # weight; 25 mm to the unit: lips nearer than this count as closed when curves are smoothed
SLIGHT = 0.04  # a mouthClose below this fades out as a sign of closure: in pauses lips rest, and are not closed for a sound
# What `apply_contacts` adds to a closure under a raised upper lip, and how it presses and rolls the lips.
SNEER_CLOSE, SNEER_ROLL = 0.074, 0.26
PRESS, ROLL_LOWER, ROLL_UPPER = 0.30, 0.12, 0.10
PARTING = ("mouthLowerDown", "mouthUpperUp", "mouthFunnel", "tongueOut")  # what parts the lips fades where they close
SEALING = ("mouthClose", "mouthPress", "mouthRoll")
CONTACT = ("jawOpen", "jawForward", *PARTING, *SEALING)  # what a closure is made of


@dataclass(frozen=True)
class Settings:
    """mouth, upper, head, blinks: strengths, 1 as made. closure: strength of lip closures, 0 none, 1 as made, 2 sealed.

    smoothing: standard deviation, s, of the Gaussian over all but lids, gaze and closures. offset: s, later is positive.
    """

    mouth: float = 1.0
    upper: float = 1.0
    head: float = 1.0
    blinks: float = 1.0
    closure: float = 1.0
    smoothing: float = 0.0
    offset: float = 0.0


AS_MADE = Settings()


def kind_of(channel: str) -> str:
    """Which strength moves a shape key; "other" is moved by none."""
    return next((kind for prefix, kind in PREFIXES if channel.startswith(prefix)), OTHER)


def closedness(weights: np.ndarray, channels: Sequence[str]) -> np.ndarray:
    """(F,) float32 in 0..1: how much each frame is a closure that mouthClose makes; 0 without the two channels."""
    jaw, close = _pair(weights, channels)
    if jaw is None or close is None:
        return np.zeros(len(weights), np.float32)
    return _rise(close / np.maximum(jaw, 1e-3), SHARE_OPEN, SHARE_CLOSED) * np.clip(close / SLIGHT, 0.0, 1.0)


def adjusted(
    weights: np.ndarray, channels: Sequence[str], fps: float, settings: Settings, limits: np.ndarray | None = None
) -> np.ndarray:
    """The weights under the settings, but for the offset. weights: (F, K) float32, a frame apart at `fps`, Hz.

    limits: (K, 2) lowest and highest value of each key, 0 and 1 when absent; a strength never leads outside of them.
    Returns (F, K) float32.
    """
    weights = np.asarray(weights, np.float32)
    if replace(settings, offset=0.0, head=1.0) == AS_MADE or not len(weights):
        return weights.copy()
    closed = closedness(weights, channels)
    result = _smoothed(weights, channels, fps, settings.smoothing, closed)
    _strengthen(result, channels, settings, closed)
    _seal(result, channels, settings.closure, closed)
    low, high = (0.0, 1.0) if limits is None else np.asarray(limits, np.float32).T
    # What already lay outside of the limits, and was not touched, stays.
    return np.where(result == weights, weights, np.clip(result, low, high)).astype(np.float32)


def shifted(weights: np.ndarray, channels: Sequence[str], fps: float, offset: float) -> np.ndarray:
    """The weights `offset` s later, on the same frames; the first or last frame is held where none is left. (F, K).

    Between frames the values are interpolated, except that a lip closure goes whole to the frame nearest to it, as when a
    take is baked, and lids go to the nearest frame, so that both close as far as they did.
    """
    if not offset or not len(weights):
        return weights.copy()
    frames = np.arange(len(weights))
    delay = offset * fps
    plain = np.clip(frames - delay, 0, len(frames) - 1)
    result = values_at(weights, plain)
    kinds = [kind_of(name) for name in channels]
    lids = [k for k, kind in enumerate(kinds) if kind == BLINK]
    result[:, lids] = weights[np.rint(plain).astype(np.int64)][:, lids]
    mouth = [k for k, kind in enumerate(kinds) if kind == MOUTH]
    motion = FaceMotion(fps, tuple(channels), weights)
    result[:, mouth] = values_at(weights[:, mouth], mouth_times(motion, frames + delay, frames))
    return result


def turned(angles: np.ndarray, bone: str, fps: float, settings: Settings) -> np.ndarray:
    """A bone's curves under the settings, but for the offset: (F, 3) Euler angles, rad, or (F, 4) quaternions (w first).

    The head follows its own strength, the jaw the mouth's, the eyes none; eyes are not smoothed either.
    """
    angles = np.asarray(angles, np.float32)
    gain = {"head": settings.head, "jaw": settings.mouth}.get(bone, 1.0)
    smoothing = 0.0 if bone.endswith("eye") else settings.smoothing
    if gain == 1.0 and not smoothing:
        return angles.copy()
    result = gaussian(angles, smoothing * fps)
    if angles.shape[1] == 3:
        return result * np.float32(gain)
    w, axis = result[:, :1], result[:, 1:]
    length = np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-9)
    half = gain * np.arctan2(length, w)
    return np.concatenate([np.cos(half), np.sin(half) * axis / length], 1).astype(np.float32)


def shifted_angles(angles: np.ndarray, fps: float, offset: float) -> np.ndarray:
    """(F, N) angles or quaternion components `offset` s later, on the same frames, held at the ends."""
    if not offset or not len(angles):
        return angles.copy()
    return values_at(angles, np.clip(np.arange(len(angles)) - offset * fps, 0, len(angles) - 1))


def gaussian(values: np.ndarray, deviation: float) -> np.ndarray:
    """(F, K) float32 smoothed over time; deviation in frames. The ends are mirrored, so that a constant stays one."""
    if deviation <= 0.0 or len(values) < 2:
        return values.copy()
    reach = min(int(np.ceil(3 * deviation)), len(values) - 1)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="reflect")
    result = np.zeros_like(values)
    for k, tap in enumerate(taps):
        result += tap * padded[k : k + len(values)]
    return result


def _smoothed(
    weights: np.ndarray, channels: Sequence[str], fps: float, smoothing: float, closed: np.ndarray
) -> np.ndarray:
    if smoothing <= 0.0:
        return weights.copy()
    result = weights.copy()
    moved = [k for k, name in enumerate(channels) if kind_of(name) not in (BLINK, GAZE)]
    result[:, moved] = gaussian(weights[:, moved], smoothing * fps)
    jaw, close = _pair(weights, channels)
    if jaw is None or close is None:
        return result
    kept = np.maximum(closed, 1.0 - _rise(jaw - close, GAP_CLOSED, GAP_OPEN))[:, None]
    lips = [k for k, name in enumerate(channels) if name.startswith(CONTACT)]
    result[:, lips] = np.where(kept == 1.0, weights[:, lips], result[:, lips] + kept * (weights - result)[:, lips])
    return result


def _strengthen(result: np.ndarray, channels: Sequence[str], settings: Settings, closed: np.ndarray) -> None:
    """Multiply each region by its strength, in place; a sneer's share of a closure follows the sneer, not the mouth."""
    gains = {MOUTH: settings.mouth, UPPER: settings.upper, BLINK: settings.blinks}
    if all(gain == 1.0 for gain in gains.values()):
        return
    share = _sneer(result, channels) * closed
    for name, amount in (("mouthClose", SNEER_CLOSE), ("mouthRollLower", SNEER_ROLL)):
        if name in channels:
            column = result[:, channels.index(name)]
            made = np.minimum(amount * share, column)
            column += made * (settings.upper / settings.mouth - 1.0 if settings.mouth > 0.0 else -1.0)
    result *= np.array([gains.get(kind_of(name), 1.0) for name in channels], np.float32)


def _seal(result: np.ndarray, channels: Sequence[str], strength: float, closed: np.ndarray) -> None:
    """Close the lips more (strength above 1) or less, in place, where they close and nowhere else."""
    if strength == 1.0 or not closed.any():
        return

    def columns(*prefixes: str) -> list[int]:
        return [k for k, name in enumerate(channels) if name.startswith(prefixes)]

    if strength < 1.0:
        result[:, columns(*SEALING)] *= (1.0 - closed * np.float32(1.0 - strength))[:, None]
        return
    more = closed * np.float32(min(strength - 1.0, 1.0))
    result[:, columns(*PARTING)] *= (1.0 - more)[:, None]
    jaw, close = _pair(result, channels)
    if jaw is not None and close is not None:
        close += more * np.maximum(jaw + SNEER_CLOSE * _sneer(result, channels) - close, 0.0)
    for prefix, amount in (("mouthPress", PRESS), ("mouthRollLower", ROLL_LOWER), ("mouthRollUpper", ROLL_UPPER)):
        result[:, columns(prefix)] += (amount * more)[:, None]


def _pair(weights: np.ndarray, channels: Sequence[str]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Views of the columns jawOpen and mouthClose; None where there is no such channel."""
    names = list(channels)
    jaw, close = (weights[:, names.index(n)] if n in names else None for n in ("jawOpen", "mouthClose"))
    return jaw, close


def _sneer(weights: np.ndarray, channels: Sequence[str]) -> np.ndarray:
    sides = [k for k, name in enumerate(channels) if name.startswith("noseSneer")]
    return np.clip(weights[:, sides], 0.0, 1.0).mean(axis=1) if sides else np.zeros(len(weights), np.float32)


def _rise(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth in between."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)
