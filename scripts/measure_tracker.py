"""How well the tracker follows real people, clip by clip and pooled, and how well it fills in a hidden mouth.

    .venv/bin/python scripts/measure_tracker.py [FOLDER] [--model starter] [--seeds 3] [--json OUT]

FOLDER: videos of one unhidden speaker each, with sound (default: ../shared/human_video). Nothing of them is tuned on here.

Nothing hidden: distance of the mouth's 20 points from the detected ones, after a similarity alignment of every frame (by
all 68 points, or by the mouth's alone) and with each point's mean offset over the clip taken out, as a share of what a face
that never moves scores. Late: the delay in frames at which that distance is least.
Mouth hidden all the time: Pearson r of the inner lips' distance (62 to 66) with the unhidden detection's. "named": left out
by name, `--occlusion mouth`. "painted": a grey box painted over the mouth in every frame before the detector sees it, 1.5
times as wide and high as the lips ever get, and told to the tracker as a mask. Each with the clip's sound, the sound of
the other clips, and the video's sound alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.detection import Detections, detect_landmarks, face_mesh  # noqa: E402
from engine.face.starter_head import load_starter_head, pose_landmarks68  # noqa: E402
from engine.occlufacediff.landmarks import resampled  # noqa: E402
from engine.occlufacediff.starter.points import IBUG68, LIPS  # noqa: E402
from engine.track import TrackOptions, track  # noqa: E402

VIDEOS = {".mp4", ".mpg", ".mpeg", ".mov", ".avi", ".mkv", ".webm"}
MOUTH, EVERY = np.arange(48, 68), np.arange(68)
UPPER_LIP, LOWER_LIP = 62, 66
BOX = 1.5  # times the lips' bounds over the clip
GREY = 128


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT.parent / "shared" / "human_video")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--seeds", type=int, default=3, help="takes of a hidden mouth that are averaged over")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    clips = sorted(p for p in arguments.folder.iterdir() if p.suffix.lower() in VIDEOS)
    if not clips:
        sys.exit(f"There is no video in '{arguments.folder}'.")
    with face_mesh() as detector:
        rows = [measure(clip, clips, detector, arguments.model, arguments.seeds) for clip in clips]
    rows.append(pooled(rows))
    columns = [c for c in rows[0] if c not in ("errors", "stills")]
    print("  ".join(c.rjust(max(7, len(c))) for c in columns))
    for row in rows:
        print("  ".join(_text(row[c]).rjust(max(7, len(c))) for c in columns))
    if arguments.json:
        arguments.json.write_text(json.dumps([{c: row[c] for c in columns} for row in rows], indent=1) + "\n")
    return 0


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def measure(clip: Path, clips: list[Path], detector: Callable, model: str, seeds: int) -> dict:
    """One clip's figures by column name."""
    found = detect_landmarks(clip, detector)
    pixels = resampled(found.points, found.times, found.detected, found.detected[:, None].repeat(478, 1), found.seconds)[0]
    truth = pixels[:, IBUG68] * [1, -1]
    gap = np.linalg.norm(truth[:, UPPER_LIP] - truth[:, LOWER_LIP], axis=1)

    def run(detect: Callable | None = detector, **options) -> np.ndarray:
        return track(clip, TrackOptions(landmarks=True, **options), model, detector=detect).landmarks68

    def correlation(detect: Callable | None = detector, **options) -> float:
        drawn = [lips_gap(run(detect, seed=seed, **options)) for seed in range(seeds)]
        return float(np.mean([np.corrcoef(d, gap)[0, 1] for d in drawn]))

    def with_other_sounds(**options) -> float:
        others = [c for c in clips if c != clip] or [clip]
        return float(np.mean([correlation(audio=other, **options) for other in others]))

    tracked = run()
    head = load_starter_head()
    still = pose_landmarks68(head, np.zeros((len(tracked), 52), np.float32))
    whole = {name: (distance(tracked, truth, by), distance(still, truth, by)) for name, by in (("68", EVERY), ("20", MOUTH))}
    low, high = box_of(found)
    with tempfile.TemporaryDirectory() as folder:
        mask = Path(folder) / "mask.png"
        write_mask(mask, low, high, found.size)
        hidden = {"detect": painted(detector, low, high), "occlusion": str(mask)}
        return {
            "clip": clip.stem,
            "error by 68": whole["68"][0] / whole["68"][1],
            "by 20": whole["20"][0] / whole["20"][1],
            "late": lateness(tracked, truth),
            "r seen": float(np.corrcoef(lips_gap(tracked), gap)[0, 1]),
            "r named": correlation(occlusion="mouth"),
            "other sound": with_other_sounds(occlusion="mouth"),
            "r painted": correlation(**hidden),
            "other sound ": with_other_sounds(**hidden),
            "r auto": correlation(hidden["detect"], occlusion="auto"),
            "r sound": correlation(occlusion="audio_only"),
            "other sound  ": with_other_sounds(occlusion="audio_only"),
            "errors": whole,
        }


def pooled(rows: list[dict]) -> dict:
    """Means over the clips; the errors' shares are of the sums."""
    out = {c: "" if isinstance(v, str) else float(np.mean([r[c] for r in rows])) for c, v in rows[0].items() if c != "errors"}
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


def box_of(found: Detections) -> tuple[np.ndarray, np.ndarray]:
    """The painted box's corners, pixels."""
    lips = found.points[found.detected][:, LIPS]
    low, high = lips.min(axis=(0, 1)), lips.max(axis=(0, 1))
    middle, half = (low + high) / 2, (high - low) / 2 * BOX
    return np.maximum(np.floor(middle - half), 0).astype(int), np.ceil(middle + half).astype(int)


def painted(detector: Callable, low: np.ndarray, high: np.ndarray) -> Callable:
    """A detector that sees a grey box."""

    def detect(image: np.ndarray) -> list[np.ndarray]:
        image = image.copy()
        image[low[1] : high[1], low[0] : high[0]] = GREY
        return detector(image)

    return detect


def write_mask(path: Path, low: np.ndarray, high: np.ndarray, size: tuple[int, int]) -> None:
    """A picture that is white where the box is."""
    import av

    mask = np.zeros((size[1], size[0], 3), np.uint8)
    mask[low[1] : high[1], low[0] : high[0]] = 255
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = *size, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(mask, format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    sys.exit(main())
