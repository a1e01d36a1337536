"""Blender's own mixdown of one strip alone, for what only Blender knows of a strip: how its speed changes on the way, or
when the sound of a video begins. Everything that is touched in the scene is put back, also when it fails.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np

from . import compat

RATE = 48_000  # Hz of what it gives
STALL_SECONDS = 10.0  # a mixdown that writes nothing for so long has failed
HEADROOM = 0.125  # the mixdown clips at 1; mixing at an eighth keeps loud strips whole, and float samples lose nothing


class MixdownError(RuntimeError):
    """Blender did not give the sound; the message is one sentence."""


def mixdown(scene: bpy.types.Scene, strip: bpy.types.Strip, first: int, after_last: int, folder: Path) -> np.ndarray:
    """What is heard of the strip in these frames of its scene, as (N,) float32 mono at RATE. Raises MixdownError.

    Some Blenders (5.2.2) mix in a thread and return at once, so the scene stays as it must be until the file has grown
    to its length; a minute of sound takes about a tenth of a second.
    """
    count = round((after_last - first) * scene.render.fps_base / scene.render.fps * RATE)
    path = folder / "mixdown.wav"
    override = {"scene": scene, "view_layer": scene.view_layers[0]}
    try:
        with _alone(scene, strip, first, after_last - 1), bpy.context.temp_override(**override):
            bpy.ops.sound.mixdown(
                filepath=str(path),
                check_existing=False,
                relative_path=False,
                container="WAV",
                codec="PCM",
                format="F32",
                channels="STEREO",
                mixrate=RATE,
            )
            if not _grown(path, count * 8):
                raise MixdownError(f"Blender could not mix the sound of the strip '{strip.name}'.")
        return _read(path)[:count]
    except RuntimeError as error:
        if isinstance(error, MixdownError):
            raise
        raise MixdownError(f"Blender could not mix the sound of the strip '{strip.name}': {error}") from error
    finally:
        _remove(path)


@contextmanager
def _alone(scene: bpy.types.Scene, strip: bpy.types.Strip, first: int, last: int) -> Iterator[None]:
    """The scene with this strip as the only one heard, at HEADROOM, and these frames as its range; put back afterwards."""
    heard = {strip.name, *(meta.name for meta in compat.metas_around(strip))}
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


def _grown(path: Path, size: int) -> bool:
    """Wait until the file holds that many bytes of sound; False when it stops growing before."""
    told, moved = -1, time.monotonic()
    while time.monotonic() - moved < STALL_SECONDS:
        now = path.stat().st_size if path.is_file() else -1
        if now >= size + 44:  # a WAV file's header has at least 44 bytes
            return True
        if now != told:
            told, moved = now, time.monotonic()
        time.sleep(0.005)
    return False


def _read(path: Path) -> np.ndarray:
    """The samples of Blender's float32 stereo WAV as (N,) float32 mono, back at their own loudness."""
    data = path.read_bytes()
    at = data.find(b"data")
    if data[:4] != b"RIFF" or at < 0:
        raise MixdownError("Blender's mixdown of the strip is not a WAV file.")
    body = data[at + 8 :]
    samples = np.frombuffer(body[: len(body) // 8 * 8], "<f4").reshape(-1, 2)
    return (samples.mean(1) / np.float32(HEADROOM)).astype(np.float32)


def _remove(path: Path) -> None:
    """Delete the file; Windows refuses as long as the thread that wrote it has not closed it."""
    for _ in range(100):
        try:
            return path.unlink(missing_ok=True) if path.is_file() else None
        except PermissionError:
            time.sleep(0.01)
