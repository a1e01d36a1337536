"""3D MEAD, VOCASET and BIWI as the reference lays them out on disk: what clips there are, and each one's arrays.

| dataset | under its folder |
|---|---|
| MEAD | `mead_v2.csv` (pid, emotion, intensity, flame_id, audio_id), `AUDIO/<pid>/<emotion>/<intensity>/<audio_id>`, `FLAME_ALL/<pid>/<pid>-<emotion>-<intensity>-<flame_id>` (.npz with expression (T, 50), pose (T, 6)); and a FLAME file |
| VOCASET | `vertices_npy/<subject>_sentence<NN>.npy` (T, 15069) at 60 Hz, `wav/` with the same names, `templates.pkl` (see `prepare_vocaset`) |
| BIWI | `vertices_npy/<subject>_<e or n><NN>.npy` (T, 70110) at 25 Hz, `wav/`, `templates.pkl` |
"""  # noqa: E501

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..audio import load_audio
from ..errors import InputError
from ..face.array_pickle import ArrayPickleError, load_array_pickle
from ..face.flame import FlameError, FlameModel, load_flame, pose_flame
from .datasets import DATASETS, SPLITS, WHERE, Dataset

MEAD_INTENSITY = "level_3"  # the only one the reference trains on
VOCASET_STRIDE = 2  # 60 Hz on disk, 30 in use
EMOTION_ALIASES = {
    "anger": "angry", "disgust": "disgusted", "fearful": "fear", "happiness": "happy", "sadness": "sad",
    "surprise": "surprised",
}  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One clip on disk. `identity`: column of the speaker one-hot, None for a speaker outside of it."""

    name: str
    subject: str
    sound: Path
    motion: Path
    identity: int | None
    emotion: str = ""


@dataclass(frozen=True)
class Clip:
    """samples: (S,) float32 at 16 kHz; displacement: (T, 3 V) float32 from template (3 V,); emotion: (E,) float32."""

    item: Item
    samples: np.ndarray
    displacement: np.ndarray
    template: np.ndarray
    emotion: np.ndarray


class MotionData:
    """One split of a dataset. Raises InputError, naming what is missing and where it comes from."""

    def __init__(self, dataset: str, folder: Path, split: str, flame: Path | None = None):
        self.facts: Dataset = DATASETS[dataset]
        self.folder = folder
        self.split = SPLITS[dataset][split]
        if not folder.is_dir():
            raise InputError(f"There is no folder '{folder}' with {self.facts.label}; it comes {WHERE[dataset]}.")
        if dataset == "mead":
            if flame is None:
                raise InputError("3D MEAD is stored as FLAME parameters: a FLAME file is needed (from flame.is.tue.mpg.de).")
            self.flame = _flame(flame)
            self.items = self._mead_items()
        else:
            self.templates = _templates(folder / "templates.pkl", self.facts)
            self.items = self._vertex_items()
        if not self.items:
            raise InputError(f"'{folder}' holds no clips of the {split} part of {self.facts.label}.")

    def __len__(self) -> int:
        return len(self.items)

    def clip(self, index: int) -> Clip:
        """Read one clip."""
        item = self.items[index]
        if self.facts.name == "mead":
            template, vertices = mead_vertices(self.flame, item.motion)
        else:
            template = self.templates[item.subject]
            vertices = _vertices(item.motion, len(template))[:: VOCASET_STRIDE if self.facts.name == "vocaset" else 1]
        emotion = np.array([float(item.emotion == e) for e in self.facts.emotions], np.float32)
        return Clip(item, load_audio(item.sound), vertices - template, template, emotion)

    def template(self) -> np.ndarray:
        """(3 V,) the neutral face a model trained on this data is given: FLAME's own, or the first subject's."""
        if self.facts.name == "mead":
            return neutral(self.flame)
        return self.templates[self.items[0].subject]

    def _mead_items(self) -> list[Item]:
        table = self.folder / "mead_v2.csv"
        try:
            with open(table, newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
            items = []
            for row in rows:
                emotion = EMOTION_ALIASES.get(row["emotion"], row["emotion"])
                if row["pid"] not in self.split.subjects or row["intensity"] != MEAD_INTENSITY:
                    continue
                place = (row["pid"], row["emotion"], row["intensity"])
                items.append(
                    Item(
                        name="_".join([*place, Path(row["audio_id"]).stem]),
                        subject=row["pid"],
                        sound=self.folder.joinpath("AUDIO", *place, row["audio_id"]),
                        motion=self.folder / "FLAME_ALL" / row["pid"] / f"{'-'.join(place)}-{row['flame_id']}",
                        identity=self.facts.identities.index(row["pid"]),
                        emotion=emotion if emotion in self.facts.emotions else "",
                    )
                )
        except FileNotFoundError:
            raise InputError(f"3D MEAD's index '{table}' is missing; it comes {WHERE['mead']}.") from None
        except (KeyError, OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"'{table}' is not 3D MEAD's index: {type(error).__name__} {error}.") from error
        self._refuse_missing(items)
        return items

    def _vertex_items(self) -> list[Item]:
        motions = self.folder / "vertices_npy"
        if not motions.is_dir():
            hint = "; prepare it with python -m engine prepare vocaset" if self.facts.name == "vocaset" else ""
            raise InputError(f"{self.facts.label}'s '{motions}' is missing{hint}; the data comes {WHERE[self.facts.name]}.")
        items = []
        for path in sorted(motions.glob("*.npy")):
            match = re.fullmatch(r"(.+)_\D*(\d+)", path.stem)
            if match is None or match[1] not in self.split.subjects or int(match[2]) not in self.split.sentences:
                continue
            # BIWI tells neutral and emotional readings apart by n and e; the reference uses the emotional ones.
            if self.facts.name == "biwi" and not path.stem.removeprefix(match[1] + "_").startswith("e"):
                continue
            column = self.facts.identities.index(match[1]) if match[1] in self.facts.identities else None
            items.append(Item(path.stem, match[1], self.folder / "wav" / f"{path.stem}.wav", path, column))
        self._refuse_missing(items)
        unknown = {i.subject for i in items} - self.templates.keys()
        if unknown:
            raise InputError(f"'{self.folder / 'templates.pkl'}' has no neutral face of {', '.join(sorted(unknown))}.")
        return items

    def _refuse_missing(self, items: list[Item]) -> None:
        missing = [p for i in items for p in (i.sound, i.motion) if not p.is_file()]
        if missing:
            raise InputError(
                f"{len(missing)} files of {self.facts.label} are missing, the first is '{missing[0]}'; "
                f"they come {WHERE[self.facts.name]}."
            )


def mead_vertices(flame: FlameModel, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Neutral face (3 V,) and vertices (T, 3 V) in metres of a MEAD clip: no global rotation, rounded to 4 decimals.

    The rounding is the reference's, and so part of what its released models have learned.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            expression, pose = np.asarray(data["expression"], np.float64), np.asarray(data["pose"], np.float64)
        if expression.ndim != 2 or pose.shape != (len(expression), 6):
            raise ValueError("other shapes")
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"'{path}' is not a motion of 3D MEAD ({type(error).__name__}).") from error
    posed = np.round(pose_flame(flame, expression, {"jaw": pose[:, 3:]}), 4)
    return neutral(flame), posed.reshape(len(posed), -1)


def neutral(flame: FlameModel) -> np.ndarray:
    """(3 V,) float32 metres, rounded as the clips are."""
    return np.round(pose_flame(flame, np.zeros((1, 1))), 4).reshape(-1)


def prepare_vocaset(folder: Path) -> int:
    """From VOCASET's four files (data_verts.npy, subj_seq_to_idx.pkl, raw_audio_fixed.pkl, templates.pkl) write
    `vertices_npy/` and `wav/`; returns the number of clips. The pickles are read without running what is in them."""
    import soundfile

    needed = ("data_verts.npy", "subj_seq_to_idx.pkl", "raw_audio_fixed.pkl", "templates.pkl")
    missing = [n for n in needed if not (folder / n).is_file()]
    if missing:
        raise InputError(f"'{folder}' lacks VOCASET's {', '.join(missing)}; they come {WHERE['vocaset']}.")
    try:
        frames = np.load(folder / "data_verts.npy", mmap_mode="r", allow_pickle=False)
        rows = load_array_pickle(folder / "subj_seq_to_idx.pkl")
        sounds = load_array_pickle(folder / "raw_audio_fixed.pkl")
        for name in ("vertices_npy", "wav"):
            (folder / name).mkdir(exist_ok=True)
        count = 0
        for subject, sequences in rows.items():
            for sequence, places in sequences.items():
                if sequence not in sounds.get(subject, {}):
                    continue  # a few recordings were published without sound
                order = [int(places[key]) for key in sorted(places)]
                stem = f"{subject}_{sequence}"
                np.save(folder / "vertices_npy" / f"{stem}.npy", np.asarray(frames[order], np.float32).reshape(len(order), -1))
                sound = sounds[subject][sequence]
                soundfile.write(folder / "wav" / f"{stem}.wav", np.asarray(sound["audio"]), int(sound["sample_rate"]))
                count += 1
        return count
    except (ArrayPickleError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"'{folder}' does not hold VOCASET as published ({type(error).__name__}: {error}).") from error


@lru_cache(maxsize=2)
def _flame(path: Path) -> FlameModel:
    try:
        return load_flame(path)
    except FlameError as error:
        raise InputError(str(error)) from None


def _templates(path: Path, facts: Dataset) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(f"{facts.label}'s neutral faces '{path}' are missing; they come {WHERE[facts.name]}.")
    try:
        content = load_array_pickle(path)
    except ArrayPickleError as error:
        raise InputError(str(error)) from None
    if not isinstance(content, Mapping):
        raise InputError(f"'{path}' holds no neutral faces by subject.")
    return {str(k): np.asarray(v, np.float32).reshape(-1) for k, v in content.items()}


def _vertices(path: Path, width: int) -> np.ndarray:
    try:
        vertices = np.load(path, allow_pickle=False)
        return np.asarray(vertices, np.float32).reshape(len(vertices), width)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise InputError(f"'{path}' does not hold vertices of {width // 3} points per frame.") from error
