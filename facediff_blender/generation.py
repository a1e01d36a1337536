"""One performance on its way: which sound, for which head, how it is said, and how it is written when it has come."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import bpy

from ..engine.messages import Generate
from ..engine.messages import Job as Question
from ..engine.motion import FaceMotion
from . import compat, passages, strips, take_list, takes
from .bake import BakeError, Take
from .emotions import Feeling
from .jobs import Job
from .parts import Grid
from .recipe import Passage
from .references import Reference
from .strips import Timing
from .takes import VertexOptions


@dataclass(frozen=True)
class Speech:
    """What was heard of a strip when the button was pressed, in a private folder.

    timing: in frames of the sequencer's scene; span, content_start: where the strip lay then; digest: SHA-256 of the file.
    """

    path: Path
    seconds: float
    timing: Timing
    strip: str
    scene: Reference
    span: tuple[int, int]
    content_start: float
    digest: str

    @classmethod
    def of(cls, scene: bpy.types.Scene, strip: bpy.types.Strip, folder: Path) -> Speech:
        """Extract the strip's sound to a folder of its own. Raises StripError or OSError."""
        own = next(p for n in range(10**6) if not (p := folder / f"strip{n}").exists())
        own.mkdir()
        sound = strips.extract(scene, strip, own)
        digest = hashlib.sha256(sound.path.read_bytes()).hexdigest()
        span, start = strips.audible_span(strip), compat.strip_content_start(strip)
        return cls(
            sound.path, sound.seconds, sound.timing, strip.name, Reference.to("scenes", scene), span, start, digest
        )

    kind: ClassVar[str] = "sound"

    @property
    def name(self) -> str:
        """What takes call it."""
        return self.strip

    def strip_in(self, edit: bpy.types.Scene) -> bpy.types.Strip | None:
        """The strip in the sequencer's scene, or None."""
        return strips.find_strip(edit, self.strip)

    def timing_in(self, scene: bpy.types.Scene) -> Timing:
        """The timing in frames of the head's scene. A strip that was only moved since then takes the face along.

        The sequencer's scene and the strip must still be there.
        """
        edit = self.scene.find()
        strip = self.strip_in(edit)
        timing = self.timing
        first, after_last = strips.audible_span(strip)
        if after_last - first == self.span[1] - self.span[0]:
            timing = Timing(timing.start + compat.strip_content_start(strip) - self.content_start, timing.rate)
        return strips.in_scene_of_head(timing, scene, edit, strip)


@dataclass
class Generation:
    """model: "starter", or the folder of another as the user gave it, "//mead" beside the file. options: the fields of
    `Generate` besides id, audio, out, model and the emotion. shares: the take is one with those of the
    other strips of this head in the batch; otherwise it is a take of its own."""

    speech: Speech
    head: Reference
    scene: Reference
    feeling: Feeling
    options: dict[str, Any]
    model: str = "starter"
    extend_range: bool = False
    vertices: VertexOptions = field(default_factory=VertexOptions)
    shares: bool = False
    message: ClassVar[type[Question]] = Generate  # what the engine is asked
    job: Job | None = None
    motion: FaceMotion | None = None
    note: str = ""  # what the take says about its exactness

    def request(self, folder: Path) -> tuple[Path | None, dict[str, Any]]:
        """The sound and the options that the engine is given; files that they name go to the folder. Without a sound the
        options name where it is."""
        options = {**self.options, "model": bpy.path.abspath(self.model)}
        return self.speech.path, {**options, **self.feeling.options(folder, self.grid().rate)}

    def grid(self) -> Grid:
        """The frames of the head's scene that the strip's sound covers now."""
        return Grid.of(self.speech.timing_in(self.scene.find()), self.speech.seconds)

    def what_is_gone(self) -> str:
        """One sentence on what the generation was for and is no more, or ""."""
        head, scene, edit = self.head.find(), self.scene.find(), self.speech.scene.find()
        if scene is None or edit is None:
            return "The scene was deleted while its face was being generated, so nothing was changed."
        if head is None or scene not in head.users_scene:
            return "The head was deleted while its face was being generated, so nothing was changed."
        if self.speech.strip and self.speech.strip_in(edit) is None:
            what = f"The {self.speech.kind} strip was deleted or renamed"
            return f"{what} while the face was being generated, so nothing was changed."
        return ""

    def write(self, begun: dict[int, Reference]) -> Take:
        """Write the motion on the head. begun: the shared takes of this batch by the uid of their head; added to.

        Raises BakeError, with nothing changed, when that is impossible.
        """
        if gone := self.what_is_gone():
            raise BakeError(gone)
        if self.motion is None:
            raise BakeError("There is no finished generation to apply.")
        head, scene = self.head.find(), self.scene.find()
        timing = self.speech.timing_in(scene)
        shared = begun.get(self.head.uid) if self.shares else None
        action = shared.find() if shared is not None else None
        if action is not None:
            take = passages.add(head, action, self.motion, timing)
        else:
            what = f"{head.name} dialogue" if self.shares else self.speech.name
            label = f"{what} {self.manner()} {self.options['seed']}"
            facts = {"intensity": self.feeling.intensity}
            take = takes.write(head, self.motion, timing, label, facts, self.vertices)
            if self.shares:
                begun[self.head.uid] = Reference.to("actions", take.action)
        made = self.passage(take, timing)
        take_list.describe(head, take.action, [*take_list.passages_of(take.action), made])
        self.note = take.note
        if self.extend_range:
            scene.frame_end = max(scene.frame_end, take.frame_end)
        return take

    def manner(self) -> str:
        """A word or two in the take's name."""
        return self.feeling.label()

    def passage(self, take: Take, timing: Timing) -> Passage:
        """What the take keeps, to be made again from."""
        meta = self.motion.meta if self.motion is not None else {}
        return Passage(
            strip=self.speech.strip,
            scene=self.speech.scene.find().name,
            first=take.frame_start,
            last=take.frame_end,
            start=timing.start,
            rate=timing.rate,
            sound=self.speech.digest,
            feeling=self.feeling.to_facts(),
            model=self.model,
            seed=self.options["seed"],
            steps=meta.get("steps", self.options.get("steps")),
            mouth_variation=meta.get("mouth_variation", self.options.get("mouth_variation")),
            device=str(meta.get("device", self.options["device"])),
            vertices={"kind": self.vertices.kind, "tolerance": self.vertices.tolerance},
        )


@dataclass
class Batch:
    """Generations that were begun together, made and written one after the other behind one progress bar."""

    folder: Path
    waiting: list[Generation]
    total: int = 0
    begun: dict[int, Reference] = field(default_factory=dict)
    done: int = 0  # those that became a take
    seconds: float = 0.0
    problem: str = ""  # the first sentence of bad news
    failed: bool = False
    detail: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        self.total = len(self.waiting)

    def book(self, problem: str, failed: bool, detail: str = "") -> None:
        """Note that a generation came to nothing; the first such sentence is the one that is told."""
        if not self.problem:
            self.problem, self.failed, self.detail = problem, failed, detail

    def summary(self) -> str:
        """How it went, in a sentence or two."""
        if self.total > 1:
            return f"{self.done} of {self.total} done in {self.seconds:.1f} s. {self.problem}".strip()
        done = f"Done in {self.seconds:.1f} s." if self.seconds else "Done."
        return self.problem or f"{done} {self.note}".strip()
