"""The chosen sound strip -> exactly the sound that is heard of it, and which second of it each frame shows.

Blender's own mixdown does the work, with every other strip muted for the moment: trim, offsets, volume and its curve,
retiming, packed files, library paths, meta strips and the start offset of a video's audio stream are then Blender's
business, not a guess of ours. Everything that is touched in the scene is put back, also when the mixdown fails.
"""

from __future__ import annotations

import os
import tempfile
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from . import compat

RATE = 48_000  # Hz of the sound handed to the engine
HEADROOM = 0.125  # the mixdown clips at 1; mixing at an eighth keeps loud strips whole, and float samples lose nothing
SILENCE = 1e-5  # peak amplitude below which nothing can be heard (-100 dB)


class StripError(ValueError):
    """The strip cannot be used; the message is one sentence for the user."""


@dataclass(frozen=True)
class Timing:
    """Which frame of the head's scene shows which second of the sound: frame = start + rate * second.

    start: frame (it may be fractional) of the sound's second 0. rate: frames of the head's scene per second of sound.
    """

    start: float
    rate: float

    def frame(self, second: float | np.ndarray) -> float | np.ndarray:
        """The frame of the head's scene at a second of the sound."""
        return self.start + self.rate * second

    def second(self, frame: float | np.ndarray) -> float | np.ndarray:
        """The second of the sound that a frame of the head's scene shows."""
        return (frame - self.start) / self.rate


@dataclass(frozen=True)
class StripSound:
    """A WAV file (mono, 16-bit, 48 kHz) of what is heard of the strip, its length in s, and where its seconds fall."""

    path: Path
    seconds: float
    timing: Timing


def fps_of(scene: bpy.types.Scene) -> float:
    """Frames per second of a scene, fractional ones included (24 / 1.001)."""
    return scene.render.fps / scene.render.fps_base


def sound_strips(scene: bpy.types.Scene) -> list[bpy.types.Strip]:
    """The sound strips of a scene, in the order of time; those inside meta strips and the sound of movies too."""
    found = (strip for strip in compat.all_strips(scene) if strip.type == "SOUND")
    return sorted(found, key=lambda strip: (compat.strip_span(strip), strip.channel))


def find_strip(scene: bpy.types.Scene, name: str) -> bpy.types.Strip | None:
    """The sound strip of this name, or None."""
    return next((strip for strip in sound_strips(scene) if strip.name == name), None)


def why_unheard(scene: bpy.types.Scene, strip: bpy.types.Strip) -> str:
    """One sentence on why nothing is heard of the strip, or "". Looks at no file, so a panel may ask at every redraw."""
    for place in (strip, *_metas(strip)):
        if place.mute:
            what = f"The strip '{strip.name}'"
            if place != strip:
                what = f"The meta strip '{place.name}' around '{strip.name}'"
            return f"{what} is muted: unmute it first."
    if _channel_of(scene, strip).mute:
        return f"The channel of the strip '{strip.name}' is muted: unmute it first."
    if strip.sound is None:
        return f"The strip '{strip.name}' has no sound."
    first, after_last = audible_span(strip)
    if after_last <= first:
        return f"The strip '{strip.name}' is trimmed to nothing, or lies before frame 0."
    return ""


def why_unreadable(strip: bpy.types.Strip) -> str:
    """One sentence on why the strip's file cannot be read, or ""."""
    sound = strip.sound
    if sound.packed_file is None and not os.path.isfile(bpy.path.abspath(sound.filepath, library=sound.library)):
        return f"The sound file of the strip '{strip.name}' is missing: {sound.filepath}"
    return ""


def audible_span(strip: bpy.types.Strip) -> tuple[int, int]:
    """(first frame, frame after the last) of the sequencer's scene in which the strip is heard.

    The meta strips around it cut it too, and Blender plays nothing before frame 0.
    """
    spans = [compat.strip_span(place) for place in (strip, *_metas(strip))]
    return max(0, *(first for first, _ in spans)), min(after_last for _, after_last in spans)


def timing_in(head_scene: bpy.types.Scene, scene: bpy.types.Scene, strip: bpy.types.Strip) -> Timing:
    """Where the strip's audible part falls in the frames of the head's scene.

    In the same scene that is the strip's own frames. When the sequencer's scene shows the head's scene in a scene strip,
    that strip tells. Otherwise both scenes run by one clock, whose zero is frame 0 as in Blender's own sound player.
    """
    first, after_last = audible_span(strip)
    fps = fps_of(scene)
    if head_scene == scene:
        return Timing(float(first), fps)
    for view in compat.all_strips(scene):
        if view.type == "SCENE" and view.scene == head_scene and not view.mute:
            begin, end = compat.strip_span(view)
            if begin < after_last and first < end:
                shown = first - compat.strip_content_start(view) + compat.strip_skipped(view)
                return Timing(head_scene.frame_start + shown, fps)
    return Timing(first / fps * fps_of(head_scene), fps_of(head_scene))


def extract(
    scene: bpy.types.Scene, strip: bpy.types.Strip, head_scene: bpy.types.Scene, folder: Path | str | None = None
) -> StripSound:
    """Write what is heard of the strip to a WAV file in `folder` (default: a new private folder).

    scene: the sequencer's scene. head_scene: the scene of the face. The caller removes the file when it is done with it.
    Raises StripError (one sentence) when nothing can be heard or the sound cannot be read.
    """
    if problem := why_unheard(scene, strip) or why_unreadable(strip):
        raise StripError(problem)
    first, after_last = audible_span(strip)
    folder = Path(folder or tempfile.mkdtemp(prefix="facediff-", dir=bpy.app.tempdir or None))
    raw, path = folder / "mixdown.wav", folder / "speech.wav"
    try:
        _mixdown(scene, strip, first, after_last, raw)
        samples = _read_mixdown(raw)[: round((after_last - first) / fps_of(scene) * RATE)]
    finally:
        raw.unlink(missing_ok=True)
    if not np.isfinite(samples).all():
        raise StripError(f"The sound of the strip '{strip.name}' is damaged: it holds numbers that are no loudness.")
    peak = float(np.abs(samples).max(initial=0.0))
    if not peak > SILENCE:
        raise StripError(f"Nothing can be heard in the strip '{strip.name}': it is silent or its file cannot be read.")
    _write_wav(path, samples)
    return StripSound(path, len(samples) / RATE, timing_in(head_scene, scene, strip))


def _metas(strip: bpy.types.Strip) -> Iterator[bpy.types.Strip]:
    while (meta := strip.parent_meta()) is not None:
        yield meta
        strip = meta


def _channel_of(scene: bpy.types.Scene, strip: bpy.types.Strip) -> bpy.types.SequenceTimelineChannel:
    meta = strip.parent_meta()
    return (meta if meta is not None else scene.sequence_editor).channels[strip.channel]


@contextmanager
def _alone(scene: bpy.types.Scene, strip: bpy.types.Strip, first: int, last: int) -> Iterator[None]:
    """The scene with this strip as the only one heard, at HEADROOM, and these frames as its range; put back afterwards."""
    heard = {strip.name, *(meta.name for meta in _metas(strip))}
    silenced = [other for other in compat.all_strips(scene) if other.name not in heard and not other.mute]
    before = (scene.frame_start, scene.frame_end, scene.use_audio, scene.audio_volume)
    try:
        for other in silenced:
            other.mute = True
        scene.frame_start, scene.frame_end = first, last
        scene.use_audio, scene.audio_volume = True, HEADROOM
        yield
    finally:
        for other in silenced:
            other.mute = False
        scene.frame_start, scene.frame_end, scene.use_audio, scene.audio_volume = before


def _mixdown(scene: bpy.types.Scene, strip: bpy.types.Strip, first: int, after_last: int, path: Path) -> None:
    override = {"scene": scene, "view_layer": scene.view_layers[0]}
    with _alone(scene, strip, first, after_last - 1), bpy.context.temp_override(**override):
        try:
            bpy.ops.sound.mixdown(
                filepath=str(path),
                check_existing=False,
                container="WAV",
                codec="PCM",
                format="F32",
                channels="STEREO",
                mixrate=RATE,
            )
        except RuntimeError as error:
            raise StripError(f"Blender could not read the sound of the strip '{strip.name}': {error}") from error
    if not path.is_file():
        raise StripError(f"Blender could not write the sound of the strip '{strip.name}'.")


def _read_mixdown(path: Path) -> np.ndarray:
    """The samples of Blender's float32 stereo WAV as (N,) float32 mono, back at their own loudness."""
    data = path.read_bytes()
    at = data.find(b"data")
    if data[:4] != b"RIFF" or at < 0:
        raise StripError("Blender's mixdown of the strip is not a WAV file.")
    body = data[at + 8 :]
    samples = np.frombuffer(body[: len(body) // 8 * 8], "<f4").reshape(-1, 2)
    return (samples.mean(1) / np.float32(HEADROOM)).astype(np.float32)


def _write_wav(path: Path, samples: np.ndarray) -> None:
    """(N,) float32 -> a 16-bit mono WAV at RATE; sound louder than full scale is turned down, never clipped."""
    scale = 32767.0 / max(1.0, float(np.abs(samples).max()))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(np.round(samples * scale).astype("<i2").tobytes())
