"""ARKit CSV in the layout of Epic's Live Link Face app: written from a FaceMotion, and read back. NumPy only.

The app documents no layout; this one is read off a recording of it. 63 columns: `Timecode` as HH:MM:SS:FF.mmm, where FF.mmm
counts sixtieths of a second whatever the camera's rate; `BlendShapeCount`, always 61; ARKit's 52 names with a capital, in the
app's order; yaw, pitch and roll of head, left eye, right eye, in radians.
Signs, from how the recording's eye angles go with its eyeLook weights: pitch looks down, yaw turns to the subject's right,
and rotation = Rx(pitch) Ry(-yaw) Rz(roll) in our axes (+x the subject's left, +y up, +z forward), for with it the torsion of
the recorded eyes vanishes to the last digit. The recording's head stands still, so the head's signs follow its eyes'.
"""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..motion import FaceMotion
from .arkit import ARKIT_52
from .starter_head import rotation_matrices

_EYE = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide")
LIVE_LINK_52: tuple[str, ...] = (
    *(f"{shape}Left" for shape in _EYE), *(f"{shape}Right" for shape in _EYE),
    "jawForward", "jawRight", "jawLeft", "jawOpen",
    "mouthClose", "mouthFunnel", "mouthPucker", "mouthRight", "mouthLeft", "mouthSmileLeft", "mouthSmileRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
JOINTS = (("head", "Head"), ("left_eye", "LeftEye"), ("right_eye", "RightEye"))  # FaceMotion's name, the column's prefix
COLUMNS = (
    "Timecode",
    "BlendShapeCount",
    *(name[0].upper() + name[1:] for name in LIVE_LINK_52),
    *(prefix + angle for _, prefix in JOINTS for angle in ("Yaw", "Pitch", "Roll")),
)
TIMECODE_RATE = 60  # Hz
DAY = 24 * 3600  # s; timecodes begin anew at midnight
STANDARD_RATES = (24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 48.0, 50.0, 60000 / 1001, 60.0, 120.0)


class LiveLinkError(ValueError):
    """A motion that this CSV cannot hold, or a file that is no such CSV; the message is one sentence for the user."""


def write_csv(motion: FaceMotion, path: str | os.PathLike[str], start_seconds: float = 0.0) -> None:
    """Write the motion's ARKit weights, clamped to [0, 1], and the rotations of head and eyes.

    start_seconds: the time of day, s, of frame 0. What the motion lacks is written as 0; what is not ARKit's is left out.
    The file appears under its name complete or not at all. Raises LiveLinkError when no channel is ARKit's, OSError.
    """
    if not set(motion.channels) & set(ARKIT_52):
        raise LiveLinkError("The motion has none of ARKit's channels, such as 'jawOpen', and cannot become an ARKit CSV.")
    table = np.zeros((motion.frames, len(COLUMNS) - 2))
    for column, name in enumerate(LIVE_LINK_52):
        if name in motion.channels:
            table[:, column] = np.clip(motion.channel(name), 0.0, 1.0)
    for number, (joint, _) in enumerate(JOINTS):
        if joint in motion.rotation_names:
            first = len(LIVE_LINK_52) + 3 * number
            table[:, first : first + 3] = angles_of(motion.rotation(joint))
    table += 0.0  # no "-0.0000000000"
    path = Path(path)
    partial = path.parent / f".livelink-{secrets.token_hex(8)}.part"
    try:
        with open(partial, "x", encoding="ascii", newline="") as stream:
            stream.write(",".join(COLUMNS) + "\n")
            for number, row in enumerate(table.tolist()):
                values = ",".join([f"{value:.10f}" for value in row])
                stream.write(f"{timecode(start_seconds + number / motion.fps)},{len(row)},{values}\n")
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_csv(path: str | os.PathLike[str]) -> FaceMotion:
    """A CSV of the app, or of `write_csv`, as a FaceMotion of ARKit's 52 channels, head and eyes.

    The frame rate is that of the timecodes; rows that the app dropped are filled in linearly. Columns may lie in any
    order and case; absent ones are 0. Raises LiveLinkError (not such a CSV) or OSError.
    """
    path = Path(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            header, *rows = (row for row in csv.reader(stream) if row)
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise LiveLinkError(f"'{path.name}' is not an ARKit CSV.") from error
    columns = {name.strip().lower(): number for number, name in enumerate(header)}
    if "timecode" not in columns or not {n.lower() for n in ARKIT_52} & columns.keys():
        raise LiveLinkError(f"'{path.name}' has no column 'Timecode' or none of ARKit's names: it is not an ARKit CSV.")
    if not rows:
        raise LiveLinkError(f"'{path.name}' has no frames.")

    def column(name: str) -> np.ndarray:
        number = columns.get(name.lower())
        return np.array([float(row[number]) for row in rows]) if number is not None else np.zeros(len(rows))

    try:
        times = np.array([seconds_of(row[columns["timecode"]]) for row in rows])
        weights = np.stack([column(name) for name in ARKIT_52], 1)
        angles = np.stack([np.stack([column(p + a) for a in ("Yaw", "Pitch", "Roll")], 1) for _, p in JOINTS], 1)
    except (ValueError, IndexError) as error:
        raise LiveLinkError(f"'{path.name}' has a row that does not fit its columns.") from error
    if not (np.isfinite(weights).all() and np.isfinite(angles).all()):
        raise LiveLinkError(f"'{path.name}' holds a number that is not finite.")
    times = times + DAY * np.cumsum(np.r_[0, np.diff(times) < -DAY / 2]) - times[0]
    if (np.diff(times) <= 0).any():
        raise LiveLinkError(f"The timecodes of '{path.name}' do not go forward.")
    fps = _rate(times)
    even = np.arange(int(np.rint(times[-1] * fps)) + 1) / fps
    weights = np.stack([np.interp(even, times, values) for values in weights.T], 1)
    flat = angles.reshape(len(rows), -1)
    angles = np.stack([np.interp(even, times, values) for values in flat.T], 1).reshape(-1, len(JOINTS), 3)
    turned = np.stack([axis_angle_of(angles[:, j]) for j in range(len(JOINTS))], 1)
    return FaceMotion(
        fps=fps,
        channels=ARKIT_52,
        weights=np.clip(weights, 0.0, 1.0),
        rotation_names=tuple(joint for joint, _ in JOINTS),
        rotations=turned,
        meta={"source": "Live Link Face CSV"},
    )


def timecode(seconds: float) -> str:
    """HH:MM:SS:FF.mmm of a time of day; FF.mmm in sixtieths of a second. Past midnight it begins anew."""
    ticks = int(np.rint(seconds * TIMECODE_RATE * 1000)) % (DAY * TIMECODE_RATE * 1000)
    whole, part = divmod(ticks, TIMECODE_RATE * 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{part / 1000:06.3f}"


def seconds_of(code: str) -> float:
    """Seconds since midnight of a timecode. Raises ValueError."""
    hours, minutes, seconds, frames = code.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(frames) / TIMECODE_RATE


def angles_of(rotations: np.ndarray) -> np.ndarray:
    """(T, 3) axis-angle, rad, in our axes -> (T, 3) yaw, pitch, roll, rad, as the app counts them."""
    m = rotation_matrices(rotations)  # Rx(p) Ry(-y) Rz(r): its first row is (cy cr, -cy sr, -sin(yaw))
    pitch = np.arctan2(-m[:, 1, 2], m[:, 2, 2])
    return np.stack([-np.arcsin(np.clip(m[:, 0, 2], -1, 1)), pitch, np.arctan2(-m[:, 0, 1], m[:, 0, 0])], 1)


def axis_angle_of(angles: np.ndarray) -> np.ndarray:
    """(T, 3) yaw, pitch, roll, rad, as the app counts them -> (T, 3) axis-angle, rad, in our axes, each below pi long."""
    yaw, pitch, roll = np.asarray(angles, np.float64).T / 2
    q = _times(_times(_about(0, pitch), _about(1, -yaw)), _about(2, roll))
    q = q * np.where(q[:, :1] < 0, -1.0, 1.0)
    sine = np.linalg.norm(q[:, 1:], axis=1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[:, :1])
    return np.where(sine > 1e-12, q[:, 1:] * angle / np.maximum(sine, 1e-12), 2 * q[:, 1:])


def _about(axis: int, half: np.ndarray) -> np.ndarray:
    q = np.zeros((len(half), 4))
    q[:, 0], q[:, 1 + axis] = np.cos(half), np.sin(half)
    return q


def _times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton's product of (T, 4) quaternions, w first."""
    w = a[:, :1] * b[:, :1] - (a[:, 1:] * b[:, 1:]).sum(1, keepdims=True)
    return np.concatenate([w, a[:, :1] * b[:, 1:] + b[:, :1] * a[:, 1:] + np.cross(a[:, 1:], b[:, 1:])], 1)


def _rate(times: Sequence[float] | np.ndarray) -> float:
    """Frames per second of these (T,) times, s: a standard rate where one explains them within a thousandth."""
    if len(times) < 2:
        return float(TIMECODE_RATE)
    step = float(np.median(np.diff(times)))
    steps = np.rint(np.diff(times) / step)
    rate = float(np.maximum(steps, 1).sum() / (times[-1] - times[0]))
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    return nearest if abs(nearest - rate) < 2e-4 * rate else rate
