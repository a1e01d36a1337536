"""Every table that a starter head's shapes are judged by: measured, expected, pass.

    .venv/bin/python scripts/measure_head.py [--contact] [--lids] [--folds] [--mirror] [--teeth] [--detector] [--json OUT.json]
        [--head robin] [--story ../shared/human_speech/rhubarb_cues/threelittlekittens_01_rountreesmith.ogg]
        [--speech ../shared/human_speech] [--takes 10]

Without a table's name: all of them (minutes). The takes are made by the starter model from real speech and kept in --cache.
--detector needs bpy and mediapipe. Exit status 1 when a row fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from engine.face.arkit import ARKIT_52, mirrored  # noqa: E402
from engine.face.checks.contact import lip_gap, lips_of  # noqa: E402
from engine.face.checks.folds import Folds  # noqa: E402
from engine.face.checks.lids import SHUT_FROM, Lids, gaze, posed_eyes  # noqa: E402
from engine.face.checks.teeth import Teeth  # noqa: E402
from engine.face.starter_head import HeadModel, load_starter_head, pose_vertices  # noqa: E402

SPEECH = ROOT.parent / "shared" / "human_speech"
STORY = SPEECH / "rhubarb_cues" / "threelittlekittens_01_rountreesmith.ogg"
STORY_SECONDS, TAKE_SECONDS, FPS = 60.0, 12.0, 30.0
LEAST_GAP = -0.2  # mm: how far lips may seem to pass into each other
MIXES, MIX_SHAPES, SEED = 120, 6, 5
FEELINGS = ("neutral", "happy", "sad", "angry", "fear", "surprised", "disgusted", "contempt")
BLOCK = 64
Row = dict[str, object]


def row(name: str, measured: str, expected: str, passed: bool) -> Row:
    """One line of a table."""
    return {"row": name, "measured": measured, "expected": expected, "pass": bool(passed)}


def weights_of(**shapes: float) -> np.ndarray:
    """(52,) weights; a name without its side means both."""
    weights = np.zeros(len(ARKIT_52), np.float32)
    for name, weight in shapes.items():
        for full in [name] if name in ARKIT_52 else [name + "Left", name + "Right"]:
            weights[ARKIT_52.index(full)] = weight
    return weights


def poses(head: HeadModel, weights: np.ndarray) -> Iterable[np.ndarray]:
    """Each of (T, 52) poses as (V, 3) m, head and eyes at rest."""
    for start in range(0, len(weights), BLOCK):
        yield from pose_vertices(head, weights[start : start + BLOCK])


# --- takes


def take(audio: Path, feeling: str, seconds: float, cache: Path) -> np.ndarray:
    """(T, 52) weights that the starter model makes for the first seconds of a recording, at FPS."""
    import soundfile

    from engine.animate import AnimateOptions, animate, model_folder

    weights_file = next(iter(sorted(model_folder("starter").glob("*.safetensors"))))
    key = hashlib.sha256(f"{weights_file.stat().st_mtime_ns}{audio.name}{feeling}{seconds}".encode()).hexdigest()[:16]
    kept = cache / f"take-{key}.npy"
    if not kept.is_file():
        sound, rate = soundfile.read(audio, frames=int(seconds * soundfile.info(audio).samplerate))
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder) / "part.wav"
            soundfile.write(part, sound, rate)
            motion = animate(part, AnimateOptions({feeling: 1.0}, fps=FPS, seed=1))
        found = np.zeros((motion.frames, len(ARKIT_52)), np.float32)
        for column, name in enumerate(ARKIT_52):
            if name in motion.channels:
                found[:, column] = motion.channel(name)
        cache.mkdir(parents=True, exist_ok=True)
        np.save(kept, found)
    return np.load(kept)


def ten_takes(options: argparse.Namespace) -> Iterable[tuple[str, np.ndarray]]:
    """Name and weights of takes of ten recordings, the feelings in turn."""
    files = sorted(p for p in options.speech.rglob("*") if p.suffix in (".wav", ".flac", ".ogg") and p != options.story)
    chosen = [files[i] for i in np.linspace(0, len(files) - 1, options.takes).round().astype(int)]
    for number, file in enumerate(chosen):
        feeling = FEELINGS[number % len(FEELINGS)]
        yield f"{file.name} {feeling}", take(file, feeling, TAKE_SECONDS, options.cache)


# --- tables


def contact(head: HeadModel, options: argparse.Namespace) -> list[Row]:
    """Signed gap between the lips' surfaces, mm."""
    lips = lips_of(head)

    def gaps(weights: np.ndarray) -> np.ndarray:
        return np.array([1000 * lip_gap(lips, posed) for posed in poses(head, weights)])

    rows = []

    def judge(name: str, weights: np.ndarray, strict: bool = True) -> None:
        gap = gaps(weights)
        grazing = float((gap < LEAST_GAP).mean())
        measured = f"least {gap.min():+.2f} mm; {100 * grazing:.1f} % of {len(gap)} under {LEAST_GAP}"
        rows.append(row(name, measured, f">= {LEAST_GAP} mm", gap.min() >= LEAST_GAP or not strict))

    grid = [
        weights_of(jawOpen=o, mouthClose=c) for o in np.linspace(0, 1, 11) for c in np.linspace(0, 1, 11) if c <= o + 1e-6
    ]
    judge("jawOpen x mouthClose, close <= open", np.array(grid))
    sides = np.linspace(0.25, 1, 4)
    judge("jawLeft, jawRight", np.array([weights_of(**{s: w}) for s in ("jawLeft", "jawRight") for w in sides]))
    judge("each shape at 1 (mouthClose with jawOpen)", single_poses())
    judge(f"{MIXES} random mixes of {MIX_SHAPES}, close <= open", random_mixes())
    story = take(options.story, "neutral", STORY_SECONDS, options.cache)
    judge(f"{STORY_SECONDS:.0f} s of {options.story.name}", story)
    return rows


def single_poses() -> np.ndarray:
    """(52, 52) each shape at 1; mouthClose, which is made for an open jaw, with jawOpen."""
    weights = np.eye(len(ARKIT_52), dtype=np.float32)
    weights[ARKIT_52.index("mouthClose"), ARKIT_52.index("jawOpen")] = 1
    return weights


def random_mixes() -> np.ndarray:
    """(MIXES, 52): six shapes each, uniformly weighted, mouthClose never above jawOpen."""
    rng = np.random.default_rng(SEED)
    weights = np.zeros((MIXES, len(ARKIT_52)), np.float32)
    for mix in weights:
        mix[rng.choice(len(ARKIT_52), MIX_SHAPES, replace=False)] = rng.uniform(0, 1, MIX_SHAPES)
    close, jaw = (ARKIT_52.index(n) for n in ("mouthClose", "jawOpen"))
    weights[:, close] = np.minimum(weights[:, close], weights[:, jaw])
    return weights


def lids(head: HeadModel, _options: argparse.Namespace) -> list[Row]:
    """How much of the eyeball shows between shut lids, and how near it comes to their skin."""
    measure = Lids(head)
    rows = []
    for pitch in (-1, 0, 1):
        for yaw in (-1, 0, 1):
            weights, turn = gaze(pitch, yaw)
            shut = posed_eyes(head, weights | dict.fromkeys(("eyeBlinkLeft", "eyeBlinkRight"), 1.0), turn)
            seen = max(measure.uncovered(shut, "Left", *view) for view in SHUT_FROM)  # MIRROR answers for the right eye
            blink = [
                posed_eyes(head, weights | dict.fromkeys(("eyeBlinkLeft", "eyeBlinkRight"), w), turn)
                for w in np.linspace(0, 1, 7)
            ]
            clear = min(measure.clearance(posed, "Left") for posed in blink)
            name = f"gaze {('up', 'level', 'down')[pitch + 1]} {('right', 'ahead', 'left')[yaw + 1]}"
            rows.append(row(f"{name}: shut", f"{seen:.1f} mm2 of eyeball seen", "0 mm2", seen == 0))
            rows.append(row(f"{name}: blinking", f"clearance {clear:+.2f} mm", "> 0 mm", clear > 0))
    for name in ("eyeSquint", "cheekSquint"):
        both = dict.fromkeys((f"{name}Left", f"{name}Right", "eyeBlinkLeft", "eyeBlinkRight"), 1.0)
        shut = posed_eyes(head, both, np.zeros(3))
        seen = max(measure.uncovered(shut, "Left", *view) for view in SHUT_FROM)
        clear = measure.clearance(shut, "Left")
        measured = f"{seen:.1f} mm2 seen, clearance {clear:+.2f} mm"
        rows.append(row(f"eyeBlink + {name}", measured, "0 mm2, > 0 mm", seen == 0 and clear > 0))
    return rows


def folds(head: HeadModel, options: argparse.Namespace) -> list[Row]:
    """Triangles turned inside out."""
    search = Folds(head)
    of = np.array([m.name for m in head.materials])[head.material_index[search.faces]]
    resting = of[search.folded_at_rest()]
    hair = int((resting == "hair").sum())
    said = f"{len(resting) - hair} folded; {hair} in the hair, whose locks overlap"
    rows = [row("at rest", said, "0 but in hair", len(resting) == hair)]
    count = {name: len(search.flipped(posed)) for name, posed in zip(ARKIT_52, poses(head, single_poses()))}
    bad = ", ".join(f"{name} {n}" for name, n in count.items() if n)
    rows.append(row("each shape at 1 (mouthClose with jawOpen)", bad or "0 flipped", "0", not bad))
    for name, weights in ten_takes(options):
        found = [len(search.flipped(posed)) for posed in poses(head, weights)]
        measured = f"{sum(map(bool, found))} of {len(found)} frames, at most {max(found)}"
        rows.append(row(name, measured, "0 frames", not any(found)))
    return rows


def mirror(head: HeadModel, _options: argparse.Namespace) -> list[Row]:
    """Left and right shapes against each other."""
    flip = np.array([-1, 1, 1], np.float32)
    order = np.lexsort(np.rint(head.vertices * 1e7).T.astype(np.int64))
    other = np.lexsort(np.rint(head.vertices * flip * 1e7).T.astype(np.int64))
    twin = np.empty(len(order), int)
    twin[order] = other
    rest = np.abs(head.vertices[twin] * flip - head.vertices).max() * 1000
    rows = [row("at rest", f"{rest:.5f} mm", "0 mm", rest < 1e-5)]
    worst, where = 0.0, "-"
    for name, shape in zip(ARKIT_52, head.blendshapes):
        there = head.blendshapes[ARKIT_52.index(mirrored(name))]
        error = float(np.abs(there[twin] * flip - shape).max() * 1000)
        worst, where = max((worst, where), (error, name))
    rows.append(row("52 shapes", f"{worst:.5f} mm ({where})", "0 mm", worst < 1e-5))
    for name, shape in zip(head.corrective_names, head.correctives):
        pair = "*".join("-".join(map(mirrored, factor.split("-"))) for factor in name.split("*"))
        error = float(np.abs(head.correctives[head.corrective_names.index(pair)][twin] * flip - shape).max() * 1000)
        if error >= 1e-5:
            rows.append(row(name, f"{error:.5f} mm", "0 mm", False))
    rows.append(row(f"{len(head.corrective_names)} correctives", "all compared", "0 mm", all(r["pass"] for r in rows)))
    return rows


def teeth(head: HeadModel, options: argparse.Namespace) -> list[Row]:
    """Teeth through the face, over the story."""
    measure = Teeth(head)
    story = take(options.story, "neutral", STORY_SECONDS, options.cache)[::6]
    closed, opened = weights_of()[None], weights_of(jawOpen=1, mouthClose=1)[None]
    rows = []
    for name, weights in (("at rest", closed), ("jawOpen + mouthClose", opened), ("each shape at 1", single_poses()),
                          (f"{STORY_SECONDS:.0f} s take, every sixth frame", story)):  # fmt: skip
        out = [measure.poking_out(posed) for posed in poses(head, weights)]
        flesh = [measure.in_flesh(posed) for posed in poses(head, weights)]
        worst = int(np.argmax(out))
        said = f"nearest {out[worst]:+.2f} mm from the face's outside; {max(n for n, _ in flesh)} vertices up to "
        said += f"{max(d for _, d in flesh):.1f} mm in flesh" + (f" ({ARKIT_52[worst]})" if name.startswith("each") else "")
        rows.append(row(name, said, "< 0 mm", out[worst] < 0))
    return rows


def detector(head: HeadModel, options: argparse.Namespace) -> list[Row]:
    """What MediaPipe FaceMesh sees."""
    from head_detector import found_faces, shape_table

    story = take(options.story, "neutral", STORY_SECONDS, options.cache)
    frames = story[np.linspace(0, len(story) - 1, 20).round().astype(int)]
    return [row(*line) for line in (*found_faces(head, frames), *shape_table(head))]


TABLES: dict[str, Callable[[HeadModel, argparse.Namespace], list[Row]]] = {
    "contact": contact, "lids": lids, "folds": folds, "mirror": mirror, "teeth": teeth, "detector": detector,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in TABLES:
        parser.add_argument(f"--{name}", action="store_true", help="only this table, and others so named")
    parser.add_argument("--head", default="robin", help="a head's name, or a head.npz")
    parser.add_argument("--story", type=Path, default=STORY, help="a recording of at least a minute")
    parser.add_argument("--speech", type=Path, default=SPEECH, help="a folder of recordings")
    parser.add_argument("--takes", type=int, default=10)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "facediff-measure-head")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    head = load_starter_head(options.head)
    chosen = [name for name in TABLES if getattr(options, name)] or list(TABLES)
    results: dict[str, list[Row]] = {}
    for name in chosen:
        start = time.perf_counter()
        results[name] = TABLES[name](head, options)
        print(f"\n== {name}: {(TABLES[name].__doc__ or '').rstrip('.')} ({time.perf_counter() - start:.0f} s)")
        width = max(len(str(r["row"])) for r in results[name])
        for r in results[name]:
            print(f"{'ok  ' if r['pass'] else 'FAIL'} {r['row']:<{width}}  {r['measured']}  (expected {r['expected']})", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"head": head.name, "tables": results}, indent=1))
    return 0 if all(r["pass"] for rows in results.values() for r in rows) else 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.exit(status)
