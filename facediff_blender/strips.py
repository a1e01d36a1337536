"""The chosen sound strip -> exactly the sound that is heard of it, and which second of it each frame shows.

Trim, offsets, a constant change of speed, volume and its curve, packed files, library paths and meta strips are worked
out here; the scene is not touched. A strip whose speed changes on the way, or of a video, is left to Blender's own mixdown.
"""

from __future__ import annotations

import os
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import aud
import bpy
import numpy as np

from . import compat
from .mixdown import RATE as MIXDOWN_RATE
from .mixdown import MixdownError, mixdown

PLAIN_FILES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff")  # in others, such as .mp4, the sound may begin late,
# and by how much only Blender's own player is told
SILENCE = 1e-5  # peak amplitude below which nothing can be heard (-100 dB)


class StripError(ValueError):
    """The strip cannot be used; the message is one sentence for the user."""


Time = TypeVar("Time", float, np.ndarray)  # one, or an array of them


@dataclass(frozen=True)
class Timing:
    """Which frame of a scene shows which second of the sound: frame = start + rate * second.

    start: frame (it may be fractional) of the sound's second 0. rate: frames of the scene per second of sound.
    """

    start: float
    rate: float

    def frame(self, second: Time) -> Time:
        """The frame of the head's scene at a second of the sound."""
        return self.start + self.rate * second

    def second(self, frame: Time) -> Time:
        """The second of the sound that a frame of the head's scene shows."""
        return (frame - self.start) / self.rate


@dataclass(frozen=True)
class StripSound:
    """A WAV file (mono, 16-bit) of what is heard of the strip, its length in s, and where its seconds fall in the frames
    of the sequencer's scene."""

    path: Path
    seconds: float
    timing: Timing


def fps_of(scene: bpy.types.Scene) -> float:
    """Frames per second of a scene, fractional ones included (24 / 1.001)."""
    return scene.render.fps / scene.render.fps_base


def strips_of(scene: bpy.types.Scene, kind: str) -> list[bpy.types.Strip]:
    """The strips of one of Blender's kinds, in the order of time; those inside meta strips too."""
    found = (strip for strip in compat.all_strips(scene) if strip.type == kind)
    return sorted(found, key=lambda strip: (compat.strip_span(strip), strip.channel))


def sound_strips(scene: bpy.types.Scene) -> list[bpy.types.Strip]:
    """The sound strips of a scene, in the order of time; those inside meta strips and the sound of movies too."""
    return strips_of(scene, "SOUND")


def choose(scene: bpy.types.Scene, found: list[bpy.types.Strip], name: str) -> bpy.types.Strip | None:
    """Of the strips that were found the one of that name; without a name the active one, else the first. Or None."""
    if name:
        return next((strip for strip in found if strip.name == name), None)
    active = scene.sequence_editor.active_strip if scene.sequence_editor is not None else None
    return active if active in found else next(iter(found), None)


def find_strip(scene: bpy.types.Scene, name: str) -> bpy.types.Strip | None:
    """The sound strip of this name, or None."""
    return next((strip for strip in sound_strips(scene) if strip.name == name), None)


def why_unheard(scene: bpy.types.Scene, strip: bpy.types.Strip) -> str:
    """One sentence on why nothing is heard of the strip, or "". Looks at no file, so a panel may ask at every redraw."""
    for place in (strip, *compat.metas_around(strip)):
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
    spans = [compat.strip_span(place) for place in (strip, *compat.metas_around(strip))]
    return max(0, *(first for first, _ in spans)), min(after_last for _, after_last in spans)


def in_scene_of_head(
    timing: Timing, head_scene: bpy.types.Scene, scene: bpy.types.Scene, strip: bpy.types.Strip
) -> Timing:
    """The timing of a strip's sound in frames of its own scene -> in frames of the head's scene.

    Within one scene they are the same. When the sequencer's scene shows the head's scene in a scene strip, that strip
    tells. Otherwise both scenes run by one clock, whose zero is frame 0 as in Blender's own sound player.
    """
    if head_scene == scene:
        return timing
    first, after_last = audible_span(strip)
    for view in compat.all_strips(scene):
        if view.type == "SCENE" and view.scene == head_scene and not view.mute:
            begin, end = compat.strip_span(view)
            if begin < after_last and first < end:
                shift = head_scene.frame_start - compat.strip_content_start(view) + compat.strip_skipped(view)
                return Timing(timing.start + shift, timing.rate)
    ratio = fps_of(head_scene) / fps_of(scene)
    return Timing(timing.start * ratio, timing.rate * ratio)


def extract(scene: bpy.types.Scene, strip: bpy.types.Strip, folder: Path | str) -> StripSound:
    """Write what is heard of the strip to a WAV file in `folder`. scene: the sequencer's scene.

    A strip that plays faster or slower than recorded gives its sound as recorded, for that is how speech is understood;
    the timing says where its seconds fall. The caller removes the file when it is done with it.
    Raises StripError (one sentence) when nothing can be heard or the sound cannot be read.
    """
    if problem := why_unheard(scene, strip) or why_unreadable(strip):
        raise StripError(problem)
    folder = Path(folder)
    try:
        samples, rate, timing = _plain(scene, strip, folder) or _mixed(scene, strip, folder)
    except aud.error as error:
        raise StripError(f"The sound of the strip '{strip.name}' cannot be read ({error}).") from error
    except MixdownError as error:
        raise StripError(str(error)) from error
    if not np.isfinite(samples).all():
        raise StripError(f"The sound of the strip '{strip.name}' is damaged: it holds numbers that are no loudness.")
    if not np.abs(samples).max(initial=0.0) > SILENCE:
        raise StripError(f"Nothing can be heard in the strip '{strip.name}': it is silent.")
    path = folder / "speech.wav"
    _write_wav(path, samples, rate)
    return StripSound(path, len(samples) / rate, timing)


def _plain(
    scene: bpy.types.Scene, strip: bpy.types.Strip, folder: Path
) -> tuple[np.ndarray, int, Timing] | None:
    """Samples (N,) float32, their rate in Hz, and their timing, straight from the file; None when the strip is not plain."""
    fps = fps_of(scene)
    if not strip.sound.filepath.lower().endswith(PLAIN_FILES):
        return None
    with _sound_file(strip, folder) as path:
        sound = aud.Sound.file(path)
        rate = round(sound.specs[0])
        speed = compat.speed_of(strip, round(sound.length / rate * fps))
        if speed is None or (speed != 1.0 and strip.sound_offset != 0.0) or _is_driven(scene, strip):
            return None
        # Frame of the sequencer's scene = zero + second * pace.
        pace = fps / speed
        zero = compat.strip_content_start(strip) + strip.sound_offset * fps
        first, after_last = audible_span(strip)
        begin = max(0.0, (first - zero) / pace)
        end = min(sound.length / rate, (after_last - zero) / pace)
        if end <= begin:
            raise StripError(f"Nothing can be heard in the strip '{strip.name}': its sound lies outside of it.")
        samples = sound.limit(begin, end).data().mean(axis=1)
    timing = Timing(zero + begin * pace, pace)
    return samples * _volume(scene, strip, timing.frame(np.arange(len(samples)) / rate)), rate, timing


def _mixed(scene: bpy.types.Scene, strip: bpy.types.Strip, folder: Path) -> tuple[np.ndarray, int, Timing]:
    """As `_plain`, for every other strip: what Blender itself makes of it.

    Where the speed changes on the way the first frame is left out: Blender 4.5 (seen in 4.5.15) now and then reads a
    speed of nearly 0 there that it never wrote, divides by it, and is gone.
    """
    first, after_last = audible_span(strip)
    if len(getattr(strip, "retiming_keys", ())) > 2:
        first += 1
    return mixdown(scene, strip, first, after_last, folder), MIXDOWN_RATE, Timing(float(first), fps_of(scene))


@contextmanager
def _sound_file(strip: bpy.types.Strip, folder: Path) -> Iterator[str]:
    """The path of the strip's sound; that of a packed one is a copy that lasts as long as the context."""
    sound = strip.sound
    if sound.packed_file is None:
        yield bpy.path.abspath(sound.filepath, library=sound.library)
        return
    copy = folder / f"packed{Path(sound.filepath).suffix}"
    copy.write_bytes(sound.packed_file.data)
    try:
        yield str(copy)
    finally:
        copy.unlink()


def _is_driven(scene: bpy.types.Scene, strip: bpy.types.Strip) -> bool:
    """Whether a driver sets the strip's volume, which only Blender can evaluate."""
    data, path = scene.animation_data, strip.path_from_id("volume")
    return data is not None and any(driver.data_path == path for driver in data.drivers)


def _volume(scene: bpy.types.Scene, strip: bpy.types.Strip, frames: np.ndarray) -> np.ndarray | np.float32:
    """The strip's volume at these frames (N,) of its scene, from its curve where it has one."""
    curve = compat.curves_of(scene).get((strip.path_from_id("volume"), 0))
    if curve is None:
        return np.float32(strip.volume)
    whole = np.arange(int(frames[0]), int(frames[-1]) + 2)
    return np.interp(frames, whole, [max(0.0, curve.evaluate(f)) for f in whole]).astype(np.float32)


def _channel_of(scene: bpy.types.Scene, strip: bpy.types.Strip) -> bpy.types.SequenceTimelineChannel:
    meta = strip.parent_meta()
    return (meta if meta is not None else scene.sequence_editor).channels[strip.channel]


def _write_wav(path: Path, samples: np.ndarray, rate: int) -> None:
    """(N,) float32 -> a 16-bit mono WAV; sound louder than full scale is turned down, never clipped."""
    scale = 32767.0 / max(1.0, float(np.abs(samples).max()))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.round(samples * scale).astype("<i2").tobytes())
