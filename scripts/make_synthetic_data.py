"""Write a small made-up dataset in the layout of 3D MEAD, VOCASET or BIWI, or of OccluFaceDiff's MEAD: the real ones are licensed.

The "faces" are a few vertices that open and close with the loudness of a made-up sound, far wider than a face
would, so that a model learns it within a minute. VOCASET comes as its four published files and as what `python -m engine
prepare vocaset` makes of them; OccluFaceDiff's MEAD (`occlufacediff`) comes with made-up FLAME files, and prepared but for
the videos, which nobody needs for training.
`python scripts/make_synthetic_data.py mead DIR`
"""

from __future__ import annotations

import argparse
import csv
import pickle
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import soundfile

from engine.face.flame import flame_from_arrays, pose_flame
from engine.lgldm.datasets import DATASETS, SPLITS
from engine.occlufacediff.landmarks import CROP, crop_of, mean_face
from engine.occlufacediff.mead import SUBJECTS, Place
from engine.occlufacediff.preparation import STEPS
from engine.occlufacediff.regions import EMBEDDING, LOWER_LIP, UPPER_LIP

RATE = 16_000
JOINTS = 5


def write_dataset(dataset: str, folder: Path, vertices: int = 24, seconds: float = 1.6, per_subject: int = 2) -> None:
    """A few clips for every split; MEAD's FLAME-format model is `flame.pkl` in the same folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    if dataset == "occlufacediff":
        _occlufacediff(folder, vertices, seconds, per_subject, rng)
    elif dataset == "mead":
        _mead(folder, vertices, seconds, per_subject, rng)
    else:
        _vertex_set(dataset, folder, vertices, seconds, per_subject, rng)


def speech(seconds: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(S,) samples at 16 kHz and the openness 0..1 (S,) behind them: a hum that swells a few times a second."""
    t = np.arange(int(seconds * RATE)) / RATE
    openness = np.clip(0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(2, 4) * t + rng.uniform(0, 6)), 0, 1) ** 2
    carrier = sum(np.sin(2 * np.pi * f * t) / n for n, f in enumerate((130, 260, 390, 650), 1))
    return (0.3 * openness * carrier + rng.normal(0, 0.003, len(t))).astype(np.float32), openness


def sampled(curve: np.ndarray, fps: float, frames: int) -> np.ndarray:
    """(S,) at 16 kHz to (frames,)."""
    return curve[np.minimum((np.arange(frames) * RATE / fps).astype(int), len(curve) - 1)]


def flame_arrays(vertices: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A FLAME-format model: random bases, lower half skinned to the jaw."""
    template = rng.normal(0, 0.08, (vertices, 3))
    weights = np.zeros((vertices, JOINTS))
    weights[:, 1] = 1
    low = template[:, 1] < np.median(template[:, 1])
    weights[low, 1], weights[low, 2] = 0.2, 0.8
    regressor = rng.random((JOINTS, vertices)) ** 8
    return {
        "v_template": template,
        "shapedirs": rng.normal(0, 0.03, (vertices, 3, 400)),
        "posedirs": rng.normal(0, 0.0005, (vertices, 3, 9 * (JOINTS - 1))),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], range(JOINTS)], np.uint32),
        "f": rng.integers(0, vertices, (2 * vertices, 3)).astype(np.uint32),
    }


def _mead(folder: Path, vertices: int, seconds: float, per_subject: int, rng: np.random.Generator) -> None:
    (folder / "flame.pkl").write_bytes(pickle.dumps(flame_arrays(vertices, rng), protocol=2))
    facts = DATASETS["mead"]
    directions = rng.normal(0, 0.5, (len(facts.emotions), 50))
    rows = []
    subjects = [s for split in SPLITS["mead"].values() for s in split.subjects[:3]]
    for number, pid in enumerate(dict.fromkeys(subjects)):
        for take in range(per_subject):
            emotion = facts.emotions[(number + take) % len(facts.emotions)]
            place = (pid, emotion, "level_3")
            samples, openness = speech(seconds, rng)
            frames = int(seconds * facts.fps)
            opened = sampled(openness, facts.fps, frames)
            expression = 0.4 * directions[facts.emotions.index(emotion)] + opened[:, None] * directions[0]
            pose = np.zeros((frames, 6))
            pose[:, 3] = 0.3 * opened
            sound = folder.joinpath("AUDIO", *place, f"{take + 1:03d}.wav")
            motion = folder / "FLAME_ALL" / pid / f"{'-'.join(place)}-{take + 1:03d}.npz"
            for path in (sound, motion):
                path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(sound, samples, RATE)
            np.savez(motion, expression=expression.astype(np.float32), pose=pose.astype(np.float32))
            rows.append([*place, f"{take + 1:03d}.npz", sound.name])
    with open(folder / "mead_v2.csv", "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["pid", "emotion", "intensity", "flame_id", "audio_id"], *rows])


def _vertex_set(dataset: str, folder: Path, vertices: int, seconds: float, per_subject: int, rng: np.random.Generator) -> None:
    facts = DATASETS[dataset]
    for name in ("vertices_npy", "wav", *(["raw_text"] if dataset == "biwi" else [])):
        (folder / name).mkdir(exist_ok=True)
    template = rng.normal(0, 0.08, (vertices, 3))
    opening = rng.normal(0, 0.2, (vertices, 3))
    templates, frames = {}, []
    rows: dict[str, dict[str, dict[int, int]]] = {}
    sounds: dict[str, dict[str, dict[str, object]]] = {}
    stored_fps = 60 if dataset == "vocaset" else facts.fps
    for split in SPLITS[dataset].values():
        for subject in split.subjects[:3]:
            templates[subject] = template + rng.normal(0, 0.002, template.shape)
            for sentence in split.sentences[-per_subject:]:
                samples, openness = speech(seconds, rng)
                opened = sampled(openness, stored_fps, int(seconds * stored_fps))
                name = f"{'sentence' if dataset == 'vocaset' else 'e'}{sentence:02d}"
                stem = f"{subject}_{name}"
                motion = templates[subject] + opened[:, None, None] * opening
                np.save(folder / "vertices_npy" / f"{stem}.npy", motion.reshape(len(motion), -1).astype(np.float32))
                soundfile.write(folder / "wav" / f"{stem}.wav", samples, RATE)
                if dataset == "biwi":
                    (folder / "raw_text" / f"{stem}.txt").write_text("made up\n", encoding="utf-8")
                rows.setdefault(subject, {})[name] = {i: len(frames) + i for i in range(len(motion))}
                sounds.setdefault(subject, {})[name] = {"audio": np.int16(samples * 32767), "sample_rate": RATE}
                frames += [frame.astype(np.float32) for frame in motion]
    if dataset == "vocaset":
        np.save(folder / "data_verts.npy", np.stack(frames))
        for file, content in {"subj_seq_to_idx.pkl": rows, "raw_audio_fixed.pkl": sounds}.items():
            (folder / file).write_bytes(pickle.dumps(content, protocol=2))
    (folder / "templates.pkl").write_bytes(pickle.dumps(templates, protocol=2))


def _occlufacediff(folder: Path, vertices: int, seconds: float, per_subject: int, rng: np.random.Generator) -> None:
    """Three speakers who train and two who test; a camera that follows the face, as the crop does."""
    arrays = flame_arrays(vertices, rng)
    flame = flame_from_arrays(arrays)
    (folder / "flame.pkl").write_bytes(pickle.dumps(arrays, protocol=2))
    corners = rng.integers(0, len(flame.faces), len(EMBEDDING))
    weights = rng.dirichlet(np.ones(3), len(EMBEDDING)).astype(np.float32)
    # The lips' pairs lie on the same triangles, nearer to one corner and to another.
    corners[LOWER_LIP] = corners[UPPER_LIP]
    np.savez(folder / "mediapipe_landmark_embedding.npz", lmk_face_idx=corners, lmk_b_coords=weights, landmark_indices=EMBEDDING)
    masks = {"lips": np.arange(vertices // 4), "face": np.arange(vertices // 2)}
    (folder / "FLAME_masks.pkl").write_bytes(pickle.dumps(masks, protocol=2))
    directions = rng.normal(0, 1.0, 100)
    frames = int(seconds * 25)
    for split, subjects in {"train": SUBJECTS["train"][:3], "test": SUBJECTS["test"][:2]}.items():
        for subject in subjects:
            shape = np.zeros((frames, 300), np.float32)
            shape[:, :10] = rng.normal(0, 0.3, 10)
            for take in range(per_subject):
                clip = f"{subject}/front/neutral/level_1/{(11 if split == 'train' else 1) + take:03d}"
                place = Place(folder, clip)
                samples, openness = speech(seconds, rng)
                opened = sampled(openness, 25, frames)[:, None].astype(np.float32)
                values = {"shape": shape, "exp": opened * directions, "jaw": np.zeros((frames, 3)), "cam": np.zeros((frames, 3))}
                values["jaw"][:, :1] = 0.3 * opened
                values["global_pose"] = np.cumsum(rng.normal(0, 0.005, (frames, 3)), axis=0)
                turned = {"jaw": values["jaw"], "global": values["global_pose"]}
                posed = pose_flame(flame, values["exp"], turned, shape[0])
                points = (posed[:, flame.faces[corners]] * weights[..., None]).sum(axis=2)
                found = []
                for i, own in enumerate(points):
                    pixels, values["cam"][i] = _seen(own, rng)
                    found.append([] if i % 19 == 7 else [np.column_stack([pixels, np.zeros(len(pixels))])])
                sound = folder / "original_data" / subject / "audio" / "neutral" / "level_1" / f"{place.number:03d}.wav"
                for path in (sound, place.detections, place.reconstruction):
                    path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(sound, samples, RATE)
                place.detections.write_bytes(pickle.dumps(found, protocol=2))
                np.savez(place.reconstruction, **{n: np.asarray(v, np.float32) for n, v in values.items()})
    for step in ("audio", "landmarks", "index"):
        STEPS[step](folder, lambda *_: None)


def _seen(points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The 105 points (P, 3) in metres as 478 pixels of a picture, and the camera (3,) that puts them where the crop will."""
    scale, shift = 900.0, np.array([320.0, 240.0]) + rng.normal(0, 2, 2)  # pixels per metre, and where the origin is
    face = np.concatenate([mean_face()[:, :2], np.zeros((10, 2))]) / 1000
    face[EMBEDDING] = points[:, :2]
    pixels = face * [scale, -scale] + shift
    crop = crop_of(pixels)
    per_pixel = (CROP - 1) / crop.size / CROP * 2
    origin = (shift - crop.centre + crop.size / 2) * per_pixel - 1
    return pixels, np.array([scale * per_pixel, origin[0] / (scale * per_pixel), -origin[1] / (scale * per_pixel)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", choices=[*DATASETS, "occlufacediff"])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    occlu = options.dataset == "occlufacediff"
    write_dataset(options.dataset, options.folder, seconds=3.0 if occlu else 1.6)
    label = "OccluFaceDiff's MEAD" if occlu else DATASETS[options.dataset].label
    print(f"{options.folder}: made-up clips in the layout of {label}")
