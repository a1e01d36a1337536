"""A movie strip, or a video file, as the tracker needs it: which seconds of the file the scene shows, and at which frames."""

from __future__ import annotations

import hashlib
import os
import wave
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np

from . import compat, strips
from .generation import Speech
from .references import Reference
from .strips import StripError, Timing

ENDS = 1 << 20  # bytes at both ends of a file that stand for all of it in its digest


@dataclass(frozen=True)
class Film:
    """A video file as Blender reads it. size: (width, height) px."""

    path: Path
    fps: float
    frames: int
    size: tuple[int, int]


@dataclass(frozen=True)
class Footage(Speech):
    """The part of a film that a strip shows, or a whole film (strip ""); path, seconds and timing are of that part.

    start: s of the film at which it begins. zero: the frame of the sequencer's scene, may be fractional, that shows the
    film's second 0. sound: a WAV file that begins with the part, instead of the film's own sound, and sound_strip its strip.
    """

    film: Film = field(kw_only=True)
    start: float = field(kw_only=True)
    zero: float = field(kw_only=True)
    sound: Path | None = None
    sound_strip: str = ""
    kind = "movie"

    @property
    def name(self) -> str:
        """The strip's name, or the file's."""
        return self.strip or self.path.name

    def strip_in(self, edit: bpy.types.Scene) -> bpy.types.Strip | None:
        """The movie strip, or None."""
        return find_strip(edit, self.strip)

    def timing_in(self, scene: bpy.types.Scene) -> Timing:
        """As of a sound strip; a film without a strip stays where it was put."""
        return super().timing_in(scene) if self.strip else self.timing


def movie_strips(scene: bpy.types.Scene) -> list[bpy.types.Strip]:
    """The movie strips of a scene, in the order of time."""
    return strips.strips_of(scene, "MOVIE")


def find_strip(scene: bpy.types.Scene, name: str) -> bpy.types.Strip | None:
    """The movie strip of this name, or None."""
    return next((strip for strip in movie_strips(scene) if strip.name == name), None)


def why_unseen(strip: bpy.types.Strip) -> str:
    """One sentence on why nothing is seen of the movie strip, or ""."""
    first, after_last = strips.audible_span(strip)
    if after_last <= first:
        return f"Nothing of the movie strip '{strip.name}' is shown: it is cut off, or lies before frame 0."
    if strip.mute or any(meta.mute for meta in compat.metas_around(strip)):
        return f"The movie strip '{strip.name}' is muted."
    if strip.use_reverse_frames:
        return f"The movie strip '{strip.name}' plays backwards."
    return why_unreadable(path_of(strip))


def why_unreadable(path: Path) -> str:
    """One sentence when there is no such file, or ""."""
    return "" if path.is_file() else f"The video file is missing: {path}"


def path_of(strip: bpy.types.Strip) -> Path:
    """The file of a movie strip."""
    return Path(bpy.path.abspath(strip.filepath, library=strip.id_data.library))


def film_of(path: Path) -> Film:
    """What Blender reads of the file. Raises StripError."""
    if problem := why_unreadable(path):
        raise StripError(problem)
    try:
        clip = bpy.data.movieclips.load(str(path))
    except RuntimeError as error:
        raise StripError(f"The video '{path.name}' cannot be read.") from error
    try:
        fps, frames, (width, height) = float(clip.fps), int(clip.frame_duration), clip.size
    finally:
        bpy.data.movieclips.remove(clip)
    if min(fps, frames, width, height) <= 0:
        raise StripError(f"The video '{path.name}' cannot be read.")
    return Film(path, fps, frames, (width, height))


def of_strip(scene: bpy.types.Scene, strip: bpy.types.Strip) -> Footage:
    """The part that the strip shows, with the film's own sound. scene: the sequencer's. Raises StripError."""
    if problem := why_unseen(strip):
        raise StripError(problem)
    film = film_of(path_of(strip))
    before, after = compat.movie_trims(strip)
    scene_fps = strips.fps_of(scene)
    speed = compat.movie_speed(strip, film.frames - before - after, film.fps / scene_fps)
    if speed is None:
        raise StripError(f"The speed of the movie strip '{strip.name}' changes on the way: cut it where it changes.")
    rate = film.fps / speed
    content = compat.strip_content_start(strip)
    zero = content - before / speed
    first, after_last = strips.audible_span(strip)
    start = max(before / film.fps, (first - zero) / rate)
    end = min((film.frames - after) / film.fps, (after_last - zero) / rate)
    if end <= start:
        raise StripError(f"The movie strip '{strip.name}' shows nothing of its film.")
    return Footage(
        path=film.path,
        seconds=end - start,
        timing=Timing(zero + rate * start, rate),
        strip=strip.name,
        scene=Reference.to("scenes", scene),
        span=(first, after_last),
        content_start=content,
        digest=digest_of(film.path),
        film=film,
        start=start,
        zero=zero,
    )


def of_file(scene: bpy.types.Scene, path: Path, frame: int) -> Footage:
    """The whole film at its own speed, its first frame on `frame` of the head's scene. Raises StripError."""
    film = film_of(path)
    seconds, rate = film.frames / film.fps, strips.fps_of(scene)
    return Footage(
        path=path,
        seconds=seconds,
        timing=Timing(float(frame), rate),
        strip="",
        scene=Reference.to("scenes", scene),
        span=(frame, round(frame + seconds * rate)),
        content_start=float(frame),
        digest=digest_of(path),
        film=film,
        start=0.0,
        zero=float(frame),
    )


def sound_for(footage: Footage, speech: Speech, folder: Path) -> Path:
    """A WAV file of what a sound strip of the same scene plays while the footage is shown, silent where it plays nothing."""
    with wave.open(str(speech.path), "rb") as source:
        rate = source.getframerate()
        samples = np.frombuffer(source.readframes(source.getnframes()), "<i2").astype(np.float64)
    frames = footage.timing.frame(np.arange(round(footage.seconds * rate)) / rate)
    places = speech.timing.second(frames) * rate
    heard = np.interp(places, np.arange(len(samples)), samples, left=0.0, right=0.0)
    path = folder / "sound.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.round(heard).astype("<i2").tobytes())
    return path


def digest_of(path: Path) -> str:
    """SHA-256 of a file's size and both its ends: films are too large to read whole while somebody waits."""
    size = os.path.getsize(path)
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        digest.update(file.read(ENDS))
        file.seek(max(0, size - ENDS))
        digest.update(file.read(ENDS))
    return digest.hexdigest()
