"""One command from a sound to a moving face of a published LG-LDM model: a motion file and a film with the sound.

    .venv/bin/python scripts/demo_lgldm.py --model mead --audio line.wav --emotion happy --out out/mead
    .venv/bin/python scripts/demo_lgldm.py --model vocaset --audio line.wav --mesh FLAME_sample.ply --out out/vocaset
    .venv/bin/python scripts/demo_lgldm.py --model biwi --audio line.wav --mesh BIWI.ply --out out/biwi

--model is a folder that `python -m engine convert` or `train` made. MEAD models that were converted with a FLAME file know
their triangles; others are drawn as dots unless --mesh gives them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.cli import parse_emotion
from engine.errors import InputError


def main() -> int:
    """Write OUT/motion.npz and OUT/film.mp4."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--audio", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--emotion", default="", help="of a MEAD model: happy, or happy:0.6,surprised:0.4")
    parser.add_argument("--mesh", type=Path, help=".obj or .ply with the triangles")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", default="auto")
    try:
        return run(parser.parse_args())
    except InputError as error:
        print(error, file=sys.stderr)
        return 1


def run(options: argparse.Namespace) -> int:
    """As `main`. Raises InputError."""
    from engine.animate import AnimateOptions, animate, load_model
    from engine.audio import load_audio
    from engine.devices import pick_device
    from engine.film import load_faces, write_film
    from engine.lgldm.model import LgldmModel

    faces = load_faces(options.mesh) if options.mesh else None
    model = load_model(str(options.model), str(pick_device(options.device)))
    if not isinstance(model, LgldmModel):
        raise InputError(f"'{options.model}' is not an LG-LDM model; scripts/demo.py shows the others.")
    if model.template is None:
        raise InputError(f"'{options.model}' has no neutral face to show: convert it with --flame or --template.")
    if faces is None and model.flame is not None:
        faces = model.flame.faces
    emotion = parse_emotion(options.emotion) if options.emotion else {}
    wanted = AnimateOptions(emotion=emotion, seed=options.seed, steps=options.steps, device=options.device)
    motion = animate(options.audio, wanted, str(options.model))
    options.out.mkdir(parents=True, exist_ok=True)
    motion.save(options.out / "motion.npz")
    write_film(options.out / "film.mp4", motion.vertices, motion.fps, load_audio(options.audio), faces)
    print(f"{options.out}: motion.npz and film.mp4, {motion.frames} frames")
    return 0


if __name__ == "__main__":
    sys.exit(main())
