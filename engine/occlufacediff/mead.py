"""MEAD as OccluFaceDiff uses it: who trains and who tests, and where everything lies under one folder.

A clip's id is `<subject>/front/<emotion>/<level>/<number>`, as in the reconstructions and landmarks that come with EMOTE.

| under the folder | what | from |
|---|---|---|
| `original_data/<subject>/audio/<emotion>/<level>/<number>.m4a` | sound | MEAD |
| `original_data/<subject>/video/front/<emotion>/<level>/<number>.mp4` | video (W021: `video/1/front`) | MEAD |
| `processed/landmarks_original/mediapipe/<id>/landmarks_original.pkl` | detections, px | EMOTE's landmarks.zip |
| `processed/reconstructions/EMICA-MEAD_flame2020/<id>/shape_pose_cam.hdf5` | FLAME parameters | EMOTE's reconstruction_v1.zip |
| `processed/audio_inputs/<subject>/<emotion>/<level>/<number>.npy` | (S,) normalised samples | step `audio` |
| `processed/videos_25fps/<subject>/video/front/<emotion>/<level>/<number>.mp4` | 25 frames per second | step `videos` |
| `processed/cropped_landmarks/<id>/landmarks_mediapipe.npz` | lmk_2d (n, 478, 2), valid_frames_idx | step `landmarks` |
| `processed/reconstructions/EMICA-MEAD_flame2020/<id>/shape_pose_cam.npz` | the same arrays, without HDF5 | step `reconstructions` |
| `processed/video_list.pkl`, `video_list_test.pkl`, `video_id_to_sent_id.npy` | which clips there are | step `index` |
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


def _numbers(sex: str, text: str) -> tuple[str, ...]:
    return tuple(f"{sex}{int(n):03d}" for n in text.split())


SUBJECTS = {
    "train": _numbers("M", "11 12 13 19 22 23 24 25 26 27 28 29 30 31 33 34 37 39 40 41")
    + _numbers("W", "9 14 15 16 18 19 23 24 25 26 28 29 33 35 36 37 38 40"),
    "test": _numbers("M", "3 5 7 9") + _numbers("W", "11"),
}
SENTENCES = {"train": range(10, 200), "test": range(10)}  # a clip must satisfy both, so some clips are in neither part
RECONSTRUCTION = "EMICA-MEAD_flame2020"
WHERE_MEAD = "from wywu.github.io/projects/MEAD/MEAD.html"
WHERE_EMOTE = "from emote.is.tue.mpg.de after registering (EMOTE's data for MEAD)"
FROM_SIDE = {"W021": "video/1/front"}  # the one subject whose videos lie elsewhere


@dataclass(frozen=True)
class Place:
    """Where the files of one clip are, under the data's folder."""

    root: Path
    clip: str

    @property
    def subject(self) -> str:
        """Such as M003."""
        return self.clip.split("/")[0]

    @property
    def number(self) -> int:
        """Of the sentence within its emotion, from 1."""
        return int(self.clip.split("/")[-1])

    @property
    def sound(self) -> Path:
        """Prepared samples."""
        return self.root.joinpath("processed", "audio_inputs", self.subject, *self._taken).with_suffix(".npy")

    @property
    def video(self) -> Path:
        """At 25 frames per second."""
        return self.root.joinpath("processed", "videos_25fps", self.subject, "video", "front", *self._taken).with_suffix(".mp4")

    @property
    def detections(self) -> Path:
        """As published."""
        return self.root / "processed" / "landmarks_original" / "mediapipe" / self.clip / "landmarks_original.pkl"

    @property
    def landmarks(self) -> Path:
        """Prepared landmarks."""
        return self.root / "processed" / "cropped_landmarks" / self.clip / "landmarks_mediapipe.npz"

    @property
    def reconstruction(self) -> Path:
        """Prepared FLAME parameters; the published ones have the suffix .hdf5."""
        return self.root / "processed" / "reconstructions" / RECONSTRUCTION / self.clip / "shape_pose_cam.npz"

    @property
    def _taken(self) -> tuple[str, ...]:
        """Emotion, level, number."""
        return tuple(self.clip.split("/")[2:])


def original_sounds(root: Path) -> dict[str, Path]:
    """Published sound files by clip id."""
    return {
        f"{p.parts[-5]}/front/{p.parts[-3]}/{p.parts[-2]}/{p.stem}": p
        for p in sorted(root.glob("original_data/*/audio/*/*/*.*"))
        if p.stem.isdigit()
    }


def original_videos(root: Path) -> dict[str, Path]:
    """Published front views by clip id."""
    found = {}
    for subject in sorted(p for p in root.glob("original_data/*") if p.is_dir()):
        for path in sorted((subject / FROM_SIDE.get(subject.name, "video/front")).glob("*/*/*.*")):
            if path.stem.isdigit():
                found[f"{subject.name}/front/{path.parts[-3]}/{path.parts[-2]}/{path.stem}"] = path
    return found


def clips_with(root: Path, folder: str, name: str) -> list[str]:
    """Ids of the clips that have a file of that name under `processed/<folder>`."""
    base = root / "processed" / folder
    return sorted(p.parent.relative_to(base).as_posix() for p in base.glob(f"*/*/*/*/*/{name}") if p.parent.name.isdigit())


def split_of(clip: str, sentence: int) -> str:
    """"train", "test", or "" for a clip that is in neither."""
    subject = clip.split("/")[0]
    return next((s for s in SUBJECTS if subject in SUBJECTS[s] and sentence in SENTENCES[s]), "")
