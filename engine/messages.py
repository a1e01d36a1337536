"""The words that Blender and the engine process say to each other. Standard library only.

One JSON object per line, UTF-8: Blender writes requests to the engine's stdin, the engine writes events to its stdout.
Every message is a dataclass here; `encode` makes a line of it and `decode_request` / `decode_event` make it again from
a line, checked. Fields that a reader does not know are ignored, so a newer side may say more; a field that is missing
or of the wrong type is a `ProtocolError`. Bulk data never travels here: motions are files (see motion.py).
"""

from __future__ import annotations

import json
import math
import types
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

PROTOCOL = 1  # raised whenever an old reader would misunderstand a new writer
MAX_LINE = 1 << 20  # bytes; a longer line is damage, for the longest honest message is a few kilobytes

NO_MEMORY = "There is not enough memory for this clip; try a shorter one or the CPU."
EXIT_NO_MEMORY = 12  # the engine's exit status when it could not even send that sentence

SCRATCH_PREFIX = "facediff-engine-"  # how the private folder of a host begins, which the engine removes when it is alone


class ProtocolError(ValueError):
    """A line that is not a message of this protocol; the text says in one sentence what is wrong with it."""


# --- requests, from Blender to the engine -------------------------------------------------------------------------


@dataclass(frozen=True)
class HelloRequest:
    """Who are you? Answered by a `Hello` as soon as the engine is loaded."""

    protocol: int = PROTOCOL


@dataclass(frozen=True)
class Generate:
    """Make a motion from sound. Answered by `Progress` ... and one of `Result`, `Failure`, `Cancelled`.

    audio: path of the sound file; out: path of the motion file to write; model: a model's name or folder;
    emotion: weights by name, empty for neutral; intensity: 0..1; steps: sampler steps, None for the model's own;
    device: "auto" or an id of `Hello.devices`; fps: frames per second, None for the model's own;
    mouth_variation: 0..1, None for the model's own; landmarks, vertices: put these arrays in the file too.

    emotion_curve: path of a motion file whose channels are emotions, weights 0..1 over time; it replaces emotion and
    intensity. base: path of a motion file (frame 0 at second 0 of the audio) of which only a part is made anew: the frames
    from second `start` to before second `end` (None: to either end) of `channels`, names of weights and rotations (None:
    all). The result has the base's frame rate, frames and channels, everything outside the part bit for bit, and inside it
    the base's own values on the frames that its meta lists as "pinned": {"jawOpen": [12, 13], "head": [40]}.
    """

    id: str
    audio: str
    out: str
    model: str = "starter"
    emotion: dict[str, float] = field(default_factory=dict)
    intensity: float = 1.0
    seed: int = 0
    steps: int | None = None
    device: str = "auto"
    fps: float | None = None
    mouth_variation: float | None = None
    landmarks: bool = False
    vertices: bool = False
    emotion_curve: str | None = None
    base: str | None = None
    start: float | None = None
    end: float | None = None
    channels: list[str] | None = None


@dataclass(frozen=True)
class Check:
    """How well do the lips follow the sound? Answered as `Generate`; the motion file at `out` says it in its meta, "sync".

    audio, out, device: as of `Generate`. motion: path of a motion file of ARKit's weights (frame 0 at second 0 of the audio).
    """

    id: str
    audio: str
    out: str
    motion: str
    device: str = "auto"


@dataclass(frozen=True)
class Track:
    """Follow an actor's face through a video. Answered as `Generate`, by a motion of 25 frames per second from `start` on.

    video: path; audio: path of the sound instead of the video's own, which begins at `start`, or None; out, device, seed,
    steps, landmarks, vertices: as of `Generate`; model: "starter" or a folder. occlusion: what hides the face: "none",
    "auto", "mouth", "bottom", "upper", "left", "right", "audio_only", or the path of a mask picture or of a folder of them. start,
    end: s after the video's first frame, None: its end. masks_fps: pictures per second of a mask folder, the first shown at
    second masks_start of the video; None: one per frame of what is followed.
    """

    id: str
    video: str
    out: str
    audio: str | None = None
    occlusion: str = "none"
    model: str = "starter"
    seed: int = 0
    steps: int | None = None
    device: str = "auto"
    landmarks: bool = False
    vertices: bool = False
    start: float = 0.0
    end: float | None = None
    masks_fps: float | None = None
    masks_start: float = 0.0


@dataclass(frozen=True)
class FindPoints:
    """Where are the points of this face? Answered as `Generate`; out is a file of points, see face/transfer/file.py.

    mesh: path of a mesh file; name: what to call it in sentences. Its face looks along +z with +y up.
    """

    id: str
    mesh: str
    out: str
    name: str = "the mesh"


@dataclass(frozen=True)
class GiveShapes:
    """Make ARKit's 52 shapes for a mesh. Answered as `Generate`; out is a file of shapes, see face/transfer/file.py.

    mesh: path of a mesh file with points; name: what to call it in sentences.
    """

    id: str
    mesh: str
    out: str
    name: str = "the mesh"


@dataclass(frozen=True)
class Cancel:
    """Give up the job of this id, running or queued; honoured between sampler steps, answered by `Cancelled`."""

    id: str


@dataclass(frozen=True)
class Shutdown:
    """End the process. Closing the engine's stdin does the same."""


# --- events, from the engine to Blender ---------------------------------------------------------------------------


@dataclass(frozen=True)
class DeviceInfo:
    """A device as the engine sees it: usable or not, and if not, the reason in one sentence."""

    id: str
    label: str
    usable: bool
    reason: str = ""


@dataclass(frozen=True)
class Hello:
    """The engine is loaded and takes jobs. python: its version; default_device: what "auto" means here."""

    protocol: int
    engine_version: str
    python: str = ""
    devices: list[DeviceInfo] = field(default_factory=list)
    default_device: str = "cpu"
    models: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Alive:
    """Sent about once a second while the engine loads or works, so that silence means it hangs."""


@dataclass(frozen=True)
class Progress:
    """A job is at `step` of `total` in `stage`; fraction: 0..1 of the whole job; seconds_left: None when unknown."""

    id: str
    stage: str
    step: int
    total: int
    fraction: float = 0.0
    seconds_left: float | None = None


@dataclass(frozen=True)
class Result:
    """The motion file is complete at `path`; seconds: time spent per stage."""

    id: str
    path: str
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A job (id) or the engine itself (None) failed. code: one of ERROR_CODES; message: one sentence for the user;
    detail: what a developer wants to see, such as the end of a traceback."""

    id: str | None
    code: str
    message: str
    detail: str = ""


@dataclass(frozen=True)
class Cancelled:
    """The job of this id ended without a result because somebody asked for it."""

    id: str


ERROR_CODES = ("input", "memory", "disk_full", "file", "protocol", "install", "internal", "engine")

Job = Generate | Check | Track | FindPoints | GiveShapes
Request = HelloRequest | Job | Cancel | Shutdown
Event = Hello | Alive | Progress | Result | Failure | Cancelled

REQUESTS: dict[str, type] = {
    "hello": HelloRequest,
    "generate": Generate,
    "check": Check,
    "track": Track,
    "find_points": FindPoints,
    "give_shapes": GiveShapes,
    "cancel": Cancel,
    "shutdown": Shutdown,
}
EVENTS: dict[str, type] = {
    "hello": Hello,
    "alive": Alive,
    "progress": Progress,
    "result": Result,
    "error": Failure,
    "cancelled": Cancelled,
}
_WORDS = {cls: word for table in (REQUESTS, EVENTS) for word, cls in table.items()}


def encode(message: Request | Event) -> bytes:
    """The message as one line with its newline. ASCII only, so that file names that are not UTF-8 survive too.

    Raises ProtocolError when the line would be longer than MAX_LINE bytes or holds a number that is not finite.
    """
    try:
        text = json.dumps({"type": _WORDS[type(message)], **asdict(message)}, allow_nan=False)
    except ValueError as error:
        raise ProtocolError("The message holds a number that is not finite.") from error
    line = text.encode("ascii") + b"\n"
    if len(line) > MAX_LINE:
        raise ProtocolError(f"The message is {len(line)} bytes long; {MAX_LINE} are allowed.")
    return line


def decode_request(line: bytes) -> Request:
    """The request in a line (with or without its newline). Raises ProtocolError, and nothing else."""
    return _decode(line, REQUESTS)


def decode_event(line: bytes) -> Event:
    """The event in a line (with or without its newline). Raises ProtocolError, and nothing else."""
    return _decode(line, EVENTS)


def _decode(line: bytes, table: dict[str, type]) -> Any:
    if len(line) > MAX_LINE:
        raise ProtocolError(f"The line is longer than {MAX_LINE} bytes.")
    try:
        data = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise ProtocolError("The line is not JSON.") from error
    if not isinstance(data, dict):
        raise ProtocolError("The line is not a JSON object.")
    word = data.get("type")
    if not isinstance(word, str) or word not in table:
        raise ProtocolError(f"There is no message of the type {str(word)[:40]!r}.")
    return _build(table[word], data, word)


def _build(cls: type, data: dict[str, Any], where: str) -> Any:
    """A `cls` from a JSON object, every field checked against its annotation."""
    values = {}
    for name, annotation, required in _schema(cls):
        if name in data:
            values[name] = _check(annotation, data[name], f"{where}.{name}")
        elif required:
            raise ProtocolError(f"The field '{where}.{name}' is missing.")
    return cls(**values)


@cache
def _schema(cls: type) -> tuple[tuple[str, Any, bool], ...]:
    hints = get_type_hints(cls)
    return tuple((f.name, hints[f.name], f.default is MISSING and f.default_factory is MISSING) for f in fields(cls))


def _check(annotation: Any, value: Any, where: str) -> Any:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):  # here always "something or None"
        if value is None:
            return None
        return _check(next(a for a in get_args(annotation) if a is not type(None)), value, where)
    if origin is dict and isinstance(value, dict):
        return {key: _check(get_args(annotation)[1], item, f"{where}.{key[:40]}") for key, item in value.items()}
    if origin is list and isinstance(value, list):
        return [_check(get_args(annotation)[0], item, where) for item in value]
    if annotation is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _finite(value, where)
    if is_dataclass(annotation) and isinstance(value, dict):
        return _build(annotation, value, where)  # type: ignore[arg-type]
    if annotation in (str, int, bool) and type(value) is annotation:
        return value
    raise ProtocolError(f"The field '{where}' has a value of the wrong type ({type(value).__name__}).")


def _finite(value: int | float, where: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ProtocolError(f"The field '{where}' is not a finite number.")
    return number
