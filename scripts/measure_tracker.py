"""How well the tracker follows real people, clip by clip and pooled, and how well it fills in a hidden mouth.

    .venv/bin/python scripts/measure_tracker.py [FOLDER] [--model starter] [--seeds 3] [--box 1.5] [--json OUT]

FOLDER: videos of one unhidden speaker each, with sound (default: ../shared/human_video).

Nothing hidden: distance of the mouth's 20 points from the detected ones, after a similarity alignment of every frame (by
all 68 points, or by the mouth's alone) and with each point's mean offset over the clip taken out, as a share of what a face
that never moves scores. Late: the delay in frames at which that distance is least.
Hidden all the time: Pearson r of the inner lips' distance (62 to 66) with the unhidden detection's. "mouth": a box about the
lips left out by name; "bottom": the lower half of the face left out by name; both in a film whose mouth the detector sees, so
that cheeks, or the nose and the eyes, still tell of it. "painted": a grey box painted over the mouth in the video itself,
1.5 times as wide and high as the lips ever get, and told to the tracker as a mask; "auto": the same film, `--occlusion
auto`. "sound": nobody looks, `--occlusion audio_only`.
"own": with the clip's sound. "wrong": with the sounds of the other clips and with its own moved round by 0.7, 1.1, 1.6 and
2.1 s, mean and standard deviation over all of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from painted_films import videos, write_silent  # noqa: E402

from engine.audio import SAMPLE_RATE, load_audio  # noqa: E402
from engine.detection import Detections, detect_landmarks, face_mesh  # noqa: E402
from engine.face.embedding.mean_face import IBUG68  # noqa: E402
from engine.face.starter_head import load_starter_head, pose_landmarks68  # noqa: E402
from engine.occlufacediff.landmarks import resampled  # noqa: E402
from engine.occlufacediff.preview import write_png  # noqa: E402
from engine.occlufacediff.starter.points import LIPS  # noqa: E402
from engine.track import TrackOptions, track  # noqa: E402
from engine.video import read_frames  # noqa: E402

MOUTH, EVERY = np.arange(48, 68), np.arange(68)
UPPER_LIP, LOWER_LIP = 62, 66
GREY = 128
SHIFTS = (0.7, 1.1, 1.6, 2.1)  # s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT.parent / "shared" / "human_video")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--seeds", type=int, default=3, help="takes of a hidden mouth with its own sound that are averaged over")
    parser.add_argument("--box", type=float, default=1.5, help="how large the painted box is, in times of the lips' bounds")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    clips = videos(arguments.folder)
    if not clips:
        sys.exit(f"There is no video in '{arguments.folder}'.")
    with face_mesh() as detector:
        rows = [measure(clip, clips, remembering(detector), arguments.model, arguments.seeds, arguments.box) for clip in clips]
    rows.append(pooled(rows))
    columns = [c for c in rows[0] if c not in ("errors", "wrong")]
    print("  ".join(c.rjust(max(7, len(c))) for c in columns))
    for row in rows:
        print("  ".join(_text(row[c]).rjust(max(7, len(c))) for c in columns))
    for name in ("mouth", "bottom", "painted", "sound"):
        drawn = np.array([r for row in rows[:-1] for r in row["wrong"][name]])
        print(f"{name}: own {rows[-1][name + ' own']:.3f}, wrong {drawn.mean():.3f} +- {drawn.std():.3f} of {len(drawn)}")
    if arguments.json:
        arguments.json.write_text(json.dumps([{c: row[c] for c in columns} for row in rows], indent=1) + "\n")
    return 0


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def measure(clip: Path, clips: list[Path], detector: Callable, model: str, seeds: int, size: float) -> dict:
    """One clip's figures by column name."""
    found = detect_landmarks(clip, detector)
    pixels = resampled(found.points, found.times, found.detected, found.detected[:, None].repeat(478, 1), found.seconds)[0]
    truth = pixels[:, IBUG68] * [1, -1]
    gap = np.linalg.norm(truth[:, UPPER_LIP] - truth[:, LOWER_LIP], axis=1)

    def run(film: Path = clip, audio: Path | None = None, **options) -> np.ndarray:
        audio = clip if audio is None and film != clip else audio
        return track(film, TrackOptions(landmarks=True, audio=audio, **options), model, detector=detector).landmarks68

    def correlation(**options) -> float:
        drawn = lips_gap(run(**options))
        return float(np.corrcoef(drawn[: len(gap)], gap[: len(drawn)])[0, 1])

    def own(**options) -> float:
        return float(np.mean([correlation(seed=seed, **options) for seed in range(seeds)]))

    tracked = run()
    head = load_starter_head()
    still = pose_landmarks68(head, np.zeros((len(tracked), 52), np.float32))
    whole = {name: (distance(tracked, truth, by), distance(still, truth, by)) for name, by in (("68", EVERY), ("20", MOUTH))}
    low, high = box_of(found, size)
    with tempfile.TemporaryDirectory() as folder:
        mask, film = Path(folder) / "mask.png", Path(folder) / "painted.mkv"
        box = np.zeros((found.size[1], found.size[0]), bool)
        box[low[1] : high[1], low[0] : high[0]] = True
        write_png(mask, np.repeat(255 * box.astype(np.uint8)[..., None], 3, axis=2))
        shown = (np.where(box[..., None], np.uint8(GREY), frame.image) for frame in read_frames(clip))
        write_silent(film, shown, len(found.times) / found.seconds)
        hidden = {"film": film, "occlusion": str(mask)}
        wrong = [other for other in clips if other != clip] + moved_round(clip, Path(folder))
        kinds = {"mouth": {"occlusion": "mouth"}, "bottom": {"occlusion": "bottom"}, "painted": hidden}
        kinds["sound"] = {"occlusion": "audio_only"}
        with_wrong = {name: [correlation(audio=sound, **options) for sound in wrong] for name, options in kinds.items()}
        figures = {
            "clip": clip.stem,
            "error by 68": whole["68"][0] / whole["68"][1],
            "by 20": whole["20"][0] / whole["20"][1],
            "late": lateness(tracked, truth),
            "r seen": float(np.corrcoef(lips_gap(tracked), gap)[0, 1]),
        }
        for name, options in kinds.items():
            figures[f"{name} own"] = own(**options)
            figures[f"{name} wrong"] = float(np.mean(with_wrong[name]))
        figures["auto own"] = own(film=film, occlusion="auto")
        return {**figures, "errors": whole, "wrong": with_wrong}


def remembering(detector: Callable) -> Callable:
    """The same detector, asked but once for every picture."""
    known: dict[bytes, list[np.ndarray]] = {}

    def find(image: np.ndarray) -> list[np.ndarray]:
        key = hashlib.sha256(image.tobytes()).digest()
        if key not in known:
            known[key] = detector(image)
        return known[key]

    return find


def moved_round(clip: Path, folder: Path) -> list[Path]:
    """The clip's sound, begun later and its beginning put behind its end."""
    samples, paths = load_audio(clip), []
    for seconds in SHIFTS:
        paths.append(folder / f"round_{seconds}.wav")
        soundfile.write(paths[-1], np.roll(samples, -round(seconds * SAMPLE_RATE)), SAMPLE_RATE)
    return paths


def pooled(rows: list[dict]) -> dict:
    """Means over the clips; the errors' shares are of the sums."""
    columns = [c for c in rows[0] if c not in ("errors", "wrong", "clip")]
    out: dict = {c: float(np.mean([r[c] for r in rows])) for c in columns}
    out["clip"], out["late"] = "pooled", max((r["late"] for r in rows), key=abs)
    for column, name in (("error by 68", "68"), ("by 20", "20")):
        out[column] = sum(r["errors"][name][0] for r in rows) / sum(r["errors"][name][1] for r in rows)
    return out


def lips_gap(landmarks: np.ndarray) -> np.ndarray:
    """(T,) distance of the inner lips' middles."""
    return np.linalg.norm(landmarks[:, UPPER_LIP] - landmarks[:, LOWER_LIP], axis=1)


def distance(tracked: np.ndarray, truth: np.ndarray, by: np.ndarray) -> float:
    """Mean distance of the mouth's points, in widths of the face: tracked (T, 68, 3) seen from the front onto truth
    (T, 68, 2), frame by frame, by the points `by`; without each point's mean offset."""
    ours, theirs = tracked[..., :2] @ [1, 1j], truth @ [1, 1j]
    a, b = ours[:, by].mean(1, keepdims=True), theirs[:, by].mean(1, keepdims=True)
    centred = ours[:, by] - a
    turn = (centred.conj() * (theirs[:, by] - b)).sum(1, keepdims=True) / (np.abs(centred) ** 2).sum(1, keepdims=True)
    wrong = ((ours - a) * turn + b - theirs)[:, MOUTH]
    width = np.abs(theirs[:, 16] - theirs[:, 0]).mean()
    return float(np.abs(wrong - wrong.mean(0)).mean() / width)


def lateness(tracked: np.ndarray, truth: np.ndarray, most: int = 5) -> int:
    """Frames by which the tracked mouth is best moved earlier; negative: it is early."""
    frames = len(truth)

    def shifted(late: int) -> float:
        return distance(tracked[max(late, 0) : frames + min(late, 0)], truth[max(-late, 0) : frames - max(late, 0)], EVERY)

    return min(range(-most, most + 1), key=shifted)


def box_of(found: Detections, size: float) -> tuple[np.ndarray, np.ndarray]:
    """The painted box's corners, pixels: `size` times as wide and high as the lips ever get."""
    lips = found.points[found.detected][:, LIPS]
    low, high = lips.min(axis=(0, 1)), lips.max(axis=(0, 1))
    middle, half = (low + high) / 2, (high - low) / 2 * size
    return np.maximum(np.floor(middle - half), 0).astype(int), np.ceil(middle + half).astype(int)


if __name__ == "__main__":
    sys.exit(main())
