"""An actor's face on its way to the head: which film, what hides the face, and what the take keeps of both."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..engine.messages import Track
from . import footage, mask_frames, strips
from .bake import Take
from .footage import Footage
from .generation import Generation, Speech
from .recipe import Passage
from .strips import StripError, Timing

PARTS = ("none", "auto", "mouth", "bottom", "upper", "left", "right", "audio_only")


@dataclass(frozen=True)
class Occlusion:
    """What hides the face. kind: one of PARTS; "picture" or "folder": `path`, as the user gave it; "mask": Blender's mask of
    this name, whose frame 1 is the film's first frame (clock "FILE") or whose frames are the scene's ("SCENE")."""

    kind: str = "auto"
    path: str = ""
    mask: str = ""
    clock: str = "FILE"

    def label(self) -> str:
        """A few words for a list."""
        return self.mask if self.kind == "mask" else Path(self.path).name if self.path else self.kind.replace("_", " ")

    def why_not(self) -> str:
        """One sentence on what is missing, or ""."""
        place = Path(bpy.path.abspath(self.path)) if self.path else None
        if self.kind == "picture" and (place is None or not place.is_file()):
            return f"There is no mask picture '{self.path}'." if self.path else "Choose a mask picture."
        if self.kind == "folder" and (place is None or not place.is_dir()):
            return f"There is no folder '{self.path}' of masks." if self.path else "Choose a folder of masks."
        if self.kind != "mask":
            return ""
        mask = bpy.data.masks.get(self.mask)
        if mask is None:
            return f"There is no mask '{self.mask}'." if self.mask else "Choose a mask."
        covers = any(layer.splines for layer in mask.layers if not layer.hide_render)
        return "" if covers else f"The mask '{self.mask}' has no splines."

    def options(self, film: Footage, folder: Path) -> dict[str, Any]:
        """The fields of `Track` that say it; pictures of a mask are drawn to the folder. Raises StripError."""
        if problem := self.why_not():
            raise StripError(problem)
        if self.kind == "picture":
            return {"occlusion": bpy.path.abspath(self.path)}
        if self.kind == "folder":
            return {"occlusion": bpy.path.abspath(self.path), "masks_fps": film.film.fps}
        if self.kind != "mask":
            return {"occlusion": self.kind}
        pictures = folder / "masks"
        first, last, fps, start = _mask_span(film, self.clock)
        shift = 1 if self.clock == "FILE" else 0
        mask_frames.render(bpy.data.masks[self.mask], film.film.size, first + shift, last + shift, pictures)
        return {"occlusion": str(pictures), "masks_fps": fps, "masks_start": start}


def _mask_span(film: Footage, clock: str) -> tuple[int, int, float, float]:
    """The first and last frame (inclusive) of the film, or of the scene, that the part shows; how many of them there are to
    a second of the film; and the second of the film at which the first is shown."""
    begin = Timing(film.zero, film.timing.rate) if clock == "SCENE" else Timing(0.0, film.film.fps)
    edges = float(begin.frame(film.start)), float(begin.frame(film.start + film.seconds))
    first = max(0, int(np.floor(edges[0] + 1e-3)))
    return first, max(first, int(np.ceil(edges[1] - 1e-3)) - 1), begin.rate, float(begin.second(first))


@dataclass
class Tracking(Generation):
    """speech: the `Footage`. options: the fields of `Track` besides id, video, audio, out, model, start and end."""

    occlusion: Occlusion = field(kw_only=True)
    file: str = ""  # the film's path as the user gave it, where it has no strip
    message = Track

    @property
    def film(self) -> Footage:
        """What is followed."""
        assert isinstance(self.speech, Footage)
        return self.speech

    def request(self, folder: Path) -> tuple[Path | None, dict[str, Any]]:
        """The part of the film, and its sound unless that is the film's own."""
        film = self.film
        part = {"video": str(film.path), "start": film.start, "end": film.start + film.seconds}
        return film.sound, {**self.options, **part, "model": bpy.path.abspath(self.model)}

    def manner(self) -> str:
        """A word in the take's name."""
        return "tracked"

    def passage(self, take: Take, timing: Timing) -> Passage:
        """What the take keeps, to be made again from."""
        film = self.film
        video = {
            "file": self.file,
            "frame": film.span[0],
            "start": film.start,
            "seconds": film.seconds,
            "sound_strip": film.sound_strip,
            "occlusion": asdict(self.occlusion),
        }
        return replace(super().passage(take, timing), video=video)


def occlusion_of(passage: Passage) -> Occlusion:
    """What hid the face of a tracked passage."""
    return Occlusion(**(passage.video or {})["occlusion"])


def with_sound(film: Footage, edit: bpy.types.Scene, name: str, folder: Path) -> Footage:
    """The footage with the sound of a sound strip of the same sequencer instead of the film's own. Raises StripError."""
    strip = strips.find_strip(edit, name)
    if strip is None:
        raise StripError(f"The scene '{edit.name}' has no sound strip '{name}'.")
    speech = Speech.of(edit, strip, folder)
    return replace(film, sound=footage.sound_for(film, speech, folder), sound_strip=name)


def why_not_repeatable(passage: Passage) -> str:
    """One sentence on why a tracked passage cannot be tracked again, or ""."""
    video = passage.video or {}
    edit = bpy.data.scenes.get(passage.scene)
    if edit is None:
        return f"The scene '{passage.scene}' of the video is gone."
    if passage.strip:
        strip = footage.find_strip(edit, passage.strip)
        problem = footage.why_unseen(strip) if strip is not None else f"The movie strip '{passage.strip}' is gone."
    else:
        problem = footage.why_unreadable(Path(bpy.path.abspath(video["file"])))
    if not problem and video["sound_strip"]:
        strip = strips.find_strip(edit, video["sound_strip"])
        gone = f"The sound strip '{video['sound_strip']}' is gone."
        problem = strips.why_unheard(edit, strip) if strip is not None else gone
    return problem or occlusion_of(passage).why_not()


def same_film(passage: Passage, folder: Path) -> Footage:
    """The footage of a tracked passage. Raises StripError when it shows something else by now, or cannot be read."""
    video, edit = passage.video or {}, bpy.data.scenes[passage.scene]
    if passage.strip:
        film = footage.of_strip(edit, footage.find_strip(edit, passage.strip))
    else:
        film = footage.of_file(edit, Path(bpy.path.abspath(video["file"])), video["frame"])
    same_part = np.allclose((film.start, film.seconds), (video["start"], video["seconds"]), atol=1e-3)
    if film.digest != passage.sound or not same_part:
        raise StripError(f"The video '{film.name}' shows something else by now: press Track for a new take.")
    return with_sound(film, edit, video["sound_strip"], folder) if video["sound_strip"] else film
