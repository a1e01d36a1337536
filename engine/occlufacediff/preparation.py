"""The preparation of MEAD, step by step; see `mead.py` for the folders.

Every step can be stopped and run again: it makes what is missing, each file whole or not at all, and changes or deletes no
file that it did not make. What cannot be read is told and left out.
"""

from __future__ import annotations

import io
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import load_audio
from ..errors import InputError
from ..face.array_pickle import ArrayPickleError, load_array_pickle
from ..lgldm.audio_encoders import normalise as normalise_samples
from ..video import read_frames
from .landmarks import FPS, crop_of, fill_gaps, normalise
from .mead import (
    RECONSTRUCTION,
    WHERE_EMOTE,
    WHERE_MEAD,
    Place,
    clips_with,
    original_sounds,
    original_videos,
    split_of,
)

POINTS = 478
PUBLISHED = {"shape": 300, "exp": 100, "jaw": 3, "global_pose": 3, "cam": 3}  # columns by array of a reconstruction
HALF_FRAME = 0.5 / FPS  # s
Told = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Outcome:
    """made: files written now; kept: there already; bad: sentences about what could not be used."""

    made: int
    kept: int
    bad: tuple[str, ...]


def prepare_audio(root: Path, told: Told) -> Outcome:
    """Every sound to 16 kHz, mono, normalised over the whole utterance. Raises InputError where there is none."""
    sounds = original_sounds(root)
    if not sounds:
        example = "M003/audio/angry/level_1/001.m4a"
        raise InputError(f"'{root / 'original_data'}' has no sounds of MEAD like {example}; get it {WHERE_MEAD}.")
    jobs = {Place(root, clip).sound: path for clip, path in sounds.items()}
    return _each(jobs, lambda source, out: _save_array(out, normalise_samples(load_audio(source))), told)


def prepare_videos(root: Path, told: Told) -> Outcome:
    """Every front view to 25 frames per second, without its sound. Raises InputError where there is none."""
    videos = original_videos(root)
    if not videos:
        example = "M003/video/front/angry/level_1/001.mp4"
        raise InputError(f"'{root / 'original_data'}' has no videos of MEAD like {example}; get it {WHERE_MEAD}.")
    return _each({Place(root, clip).video: path for clip, path in videos.items()}, convert_video, told)


def prepare_landmarks(root: Path, told: Told) -> Outcome:
    """The published detections to gapless crop-normalised landmarks; clips without published ones are detected in the
    25 fps video. Raises InputError where there is neither."""
    clips = clips_with(root, "landmarks_original/mediapipe", "landmarks_original.pkl")
    jobs = {Place(root, clip).landmarks: Place(root, clip).detections for clip in clips}
    for clip in original_videos(root):
        place = Place(root, clip)
        if place.landmarks not in jobs and place.video.is_file():
            jobs[place.landmarks] = place.video
    if not jobs:
        raise InputError(
            f"'{root / 'processed'}' has no landmarks_original/mediapipe; get it {WHERE_EMOTE}, or run the step videos first."
        )
    return _each(jobs, _landmarks, told)


def prepare_reconstructions(root: Path, told: Told) -> Outcome:
    """The published FLAME parameters from HDF5 to .npz. Raises InputError where there are none, or h5py is missing."""
    clips = clips_with(root, f"reconstructions/{RECONSTRUCTION}", "shape_pose_cam.hdf5")
    if not clips and not clips_with(root, f"reconstructions/{RECONSTRUCTION}", "shape_pose_cam.npz"):
        raise InputError(f"'{root / 'processed' / 'reconstructions' / RECONSTRUCTION}' has no clips; get them {WHERE_EMOTE}.")
    places = [Place(root, clip).reconstruction for clip in clips]
    if any(not place.is_file() for place in places):
        _h5py()
    return _each({place: place.with_suffix(".hdf5") for place in places}, _reconstruction, told)


def prepare_index(root: Path, told: Told) -> Outcome:
    """The three index files that the published loader needs, of the clips that have all that training needs.

    `video_id_to_sent_id.npy` was never published. One that is there is kept; otherwise a sentence's number is that of its
    file within the emotion, less one: MEAD's sentences that all emotions share, 001 to 003, then test and never train.
    Raises InputError where no clip is whole.
    """
    processed = root / "processed"
    whole, bad = [], []
    for clip in clips_with(root, f"reconstructions/{RECONSTRUCTION}", "shape_pose_cam.npz"):
        place = Place(root, clip)
        missing = [p for p in (place.sound, place.landmarks) if not p.is_file()]
        if missing:
            bad.append(f"{clip}: '{missing[0].relative_to(root)}' is missing")
            continue
        whole.append((clip, frames_of(place)))
        told(len(whole), 0, clip)
    if not whole:
        raise InputError(f"'{processed}' has no clip with sound, landmarks and reconstruction; run the other steps first.")
    numbers_file = processed / "video_id_to_sent_id.npy"
    kept = int(numbers_file.is_file())
    sentences = load_sentences(numbers_file) if kept else {}
    sentences |= {clip: Place(root, clip).number - 1 for clip, _ in whole if clip not in sentences}
    contents: dict[Path, bytes] = {
        processed / "video_list.pkl": pickle.dumps(whole, protocol=2),
        processed / "video_list_test.pkl": pickle.dumps(
            [(c, n) for c, n in whole if split_of(c, sentences[c]) == "test"], protocol=2
        ),
    }
    if not kept:
        stream = io.BytesIO()
        np.save(stream, np.array(sentences, dtype=object), allow_pickle=True)
        contents[numbers_file] = stream.getvalue()
    for path, content in contents.items():
        _write(path, lambda out, content=content: out.write(content))
    return Outcome(len(contents), kept, tuple(bad))


STEPS: dict[str, Callable[[Path, Told], Outcome]] = {
    "audio": prepare_audio,
    "videos": prepare_videos,
    "landmarks": prepare_landmarks,
    "reconstructions": prepare_reconstructions,
    "index": prepare_index,
}


def load_sentences(path: Path) -> dict[str, int]:
    """Sentence by clip id from the .npy of a dictionary that the published loader reads. Nothing in it is run. Raises
    InputError."""
    try:
        with open(path, "rb") as stream:
            np.lib.format.read_magic(stream)
            np.lib.format.read_array_header_1_0(stream)
            (numbers,) = _ObjectReader(stream).load().state[-1]
        return {str(clip): int(number) for clip, number in numbers.items()}
    except (OSError, ValueError, TypeError, AttributeError, IndexError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"'{path}' is not a dictionary of sentences by clip.") from error


def load_index(path: Path) -> list[tuple[str, int]]:
    """(clip id, frames) of `video_list.pkl`. Raises InputError."""
    try:
        return [(str(clip), int(frames)) for clip, frames in load_array_pickle(path)]
    except FileNotFoundError:
        raise InputError(f"The index '{path}' is missing; make it with python -m engine prepare mead --step index.") from None
    except (OSError, ValueError, TypeError, ArrayPickleError) as error:
        raise InputError(f"'{path}' is not an index of clips.") from error


def load_arrays(path: Path, widths: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Arrays (n, *width) of a prepared .npz, all of one length n. Raises InputError."""
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: np.asarray(data[name], np.float32) for name in widths}
        if len({len(a) for a in arrays.values()}) != 1 or any(a.shape[1:] != widths[n] for n, a in arrays.items()):
            raise ValueError("other shapes")
        if not all(np.isfinite(a).all() for a in arrays.values()):
            raise ValueError("not finite")
        return arrays
    except FileNotFoundError:
        raise InputError(f"'{path}' is missing; make it with python -m engine prepare mead.") from None
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"'{path}' is not a prepared clip of MEAD; remove it and prepare it again.") from error


def frames_of(place: Place) -> int:
    """Frames that both landmarks and reconstruction have. Raises InputError."""
    landmarks = load_arrays(place.landmarks, {"lmk_2d": (POINTS, 2)})["lmk_2d"]
    return min(len(landmarks), len(load_arrays(place.reconstruction, {"exp": (PUBLISHED["exp"],)})["exp"]))


def convert_video(source: Path, out: Path) -> None:
    """25 frames per second from the first frame on, each the one shown nearest to its time; H.264. Raises InputError."""
    import av

    handle, partial = tempfile.mkstemp(dir=out.parent, prefix=f".{out.stem}-", suffix=".mp4")
    os.close(handle)
    try:
        with av.open(partial, "w") as container:
            stream: Any = None
            for image in _at_rate(source):
                if stream is None:
                    stream = container.add_stream("libx264", rate=Fraction(int(FPS)), options={"crf": "16"})
                    stream.height, stream.width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
                    stream.pix_fmt = "yuv420p"
                even = np.ascontiguousarray(image[: stream.height, : stream.width])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            container.mux(stream.encode())
        os.replace(partial, out)
    finally:
        Path(partial).unlink(missing_ok=True)


def crop_landmarks(points: np.ndarray, detected: np.ndarray) -> np.ndarray:
    """(n, 478, 2) px with gaps to (n, 478, 2) float32 in the crop's -1..1, each frame in a crop of its own."""
    filled = fill_gaps(points, detected)
    return np.stack([normalise(own, crop_of(own)) for own in filled]).astype(np.float32)


def _at_rate(source: Path) -> Iterator[np.ndarray]:
    """Images at k / 25 s. A frame stays until half a frame before the next is shown."""
    due, last = 0, None
    for frame in read_frames(source):
        while last is not None and due / FPS + HALF_FRAME <= frame.time:
            yield last
            due += 1
        last = frame.image
    if last is not None:
        yield last


def _landmarks(source: Path, out: Path) -> None:
    if source.suffix == ".mp4":
        from ..detection import detect_landmarks, face_mesh

        with face_mesh() as detector:
            found = detect_landmarks(source, detector)
        points, detected = found.points, found.detected
    else:
        points, detected = _published_detections(source)
    content = {"lmk_2d": crop_landmarks(points, detected), "valid_frames_idx": np.flatnonzero(detected)}
    _write(out, lambda stream: np.savez(stream, **content))


def _published_detections(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(n, 478, 2) px and (n,) bool from a list per frame of lists of detections, of which the first counts."""
    try:
        frames = load_array_pickle(path)
        detected = np.array([len(found) > 0 for found in frames])
        points = np.zeros((len(frames), POINTS, 2))
        for i in np.flatnonzero(detected):
            points[i] = np.asarray(frames[i][0], np.float64).reshape(POINTS, -1)[:, :2]
    except (ArrayPickleError, ValueError, TypeError, IndexError) as error:
        raise InputError(f"'{path.name}' is not a list of detections of {POINTS} points.") from error
    if not detected.any() or not np.isfinite(points).all():
        raise InputError("no frame shows a face" if not detected.any() else "a point is no number")
    return points, detected


def _reconstruction(source: Path, out: Path) -> None:
    with _h5py().File(source, "r") as data:
        try:
            arrays = {name: np.asarray(data[name], np.float32)[0] for name in PUBLISHED}
        except (KeyError, IndexError, ValueError) as error:
            raise InputError(f"'{source.name}' has not the arrays {', '.join(PUBLISHED)}.") from error
    if any(a.ndim != 2 or a.shape != (len(arrays["exp"]), PUBLISHED[n]) for n, a in arrays.items()):
        raise InputError(f"'{source.name}' has arrays of other shapes than EMICA's.")
    _write(out, lambda stream: np.savez(stream, **arrays))


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise InputError("EMOTE's reconstructions are HDF5 files, which need the package h5py: pip install h5py.") from None
    return h5py


def _each(jobs: dict[Path, Path], make: Callable[[Path, Path], None], told: Told) -> Outcome:
    """Make every missing file of `jobs` (made: source)."""
    made, kept, bad = 0, 0, []
    for done, (out, source) in enumerate(jobs.items(), 1):
        if out.is_file():
            kept += 1
            continue
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            make(source, out)
            made += 1
        except (InputError, OSError) as error:
            bad.append(f"{source}: {error}")
        told(done, len(jobs), str(source))
    return Outcome(made, kept, tuple(bad))


def _save_array(path: Path, array: np.ndarray) -> None:
    _write(path, lambda stream: np.save(stream, array))


def _write(path: Path, fill: Callable[[Any], object]) -> None:
    """A file, whole or not at all."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            fill(stream)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)



class _Inert:
    """Takes the place of whatever the pickle of an array of objects names, and only remembers its state."""

    state: Any = None

    def __init__(self, *args: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _ObjectReader(pickle.Unpickler):
    """The state of an array of objects is (version, shape, dtype, order, [its objects])."""

    def find_class(self, module: str, name: str) -> type[_Inert]:
        if module.split(".")[0] != "numpy":
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _Inert
