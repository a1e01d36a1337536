"""What is fuzzed: every parser that a stranger's file reaches, with files that are right to begin from, made by our own
writers where we have one, and attacks that chance would not find.
"""

from __future__ import annotations

import io
import json
import pickle
import sys
import tempfile
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from . import attacks, mutations
from .mutations import Rng

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "engine"))
sys.path.insert(0, str(ROOT / "scripts"))

STARTER = ROOT / "engine" / "assets" / "starter"
Damage = Callable[[bytes, Rng, Sequence[bytes]], bytes]


@dataclass(frozen=True)
class Target:
    """file: what the damaged bytes are called. parse: reads the file at that path as the engine does. seeds: whole files.
    attacks: files that were made to hurt, given as they are; mark: a folder that code in them would make. beside: other
    files of its folder, by name. share: of the number of inputs, for slow parsers."""

    file: str
    parse: Callable[[Path], object]
    seeds: Callable[[Path], list[bytes]]
    damage: Damage
    attacks: Callable[[str], list[bytes]] = lambda mark: []
    beside: Callable[[Path], dict[str, Path]] = lambda folder: {}
    share: float = 1.0


# --- parsers, as the engine calls them; imports are late, for every worker runs one of them


def _messages(path: Path) -> None:
    from engine.messages import ProtocolError, decode_event, decode_request

    for line in path.read_bytes().split(b"\n"):
        for decode in (decode_request, decode_event):
            try:
                decode(line)
            except ProtocolError as error:
                assert str(error)


def _motion(path: Path) -> None:
    from engine.motion import FaceMotion

    motion = FaceMotion.load(path)
    if motion.vertices is not None:
        np.asarray(motion.vertices[: min(5, motion.frames)])


def _curve(path: Path) -> None:
    from engine.emotion_curve import EMOTIONS, load_curve, weights_at

    weights_at(load_curve(path), EMOTIONS, 25.0, 100)


def _base(path: Path) -> None:
    from engine.parts import load_base

    load_base(str(path))


def _sound(path: Path) -> None:
    from engine.audio import load_audio, log_mel

    log_mel(load_audio(path)[: 10 * 16_000])


def _video(path: Path) -> None:
    from engine.video import read_frames, read_soundtrack

    times = [frame.time for frame in read_frames(path)]
    read_soundtrack(path, times[-1])


def _mask(path: Path) -> None:
    from engine.occlufacediff.mask_pictures import mask_pictures, visible_in_pictures

    visible_in_pictures(mask_pictures(path, 3), np.full((3, 4, 2), 5.0), (64, 48))


def _tensors(path: Path) -> None:
    from engine.tensor_file import read_tensors

    read_tensors(path)


def _starter(path: Path) -> None:
    from engine.animate import _load, load_model

    _load.cache_clear()
    load_model(str(path.parent), "numpy")


def _lgldm(path: Path) -> None:
    from engine.animate import _load, load_model

    _load.cache_clear()
    load_model(str(path.parent), "cpu")


def _tracker(path: Path) -> None:
    from engine.track import _load, load_tracker

    _load.cache_clear()
    load_tracker(path.parent, "cpu")


def _flame(path: Path) -> None:
    from engine.face.flame import load_flame, pose_flame

    pose_flame(load_flame(path), np.zeros((1, 1)))


def _template(path: Path) -> None:
    from engine.lgldm.template import load_template

    load_template(path)


def _mesh(path: Path) -> None:
    from engine.film import load_faces

    load_faces(path)


def _livelink(path: Path) -> None:
    from engine.face.livelink import read_csv

    read_csv(path)


def _mapping(path: Path) -> None:
    import conftest  # noqa: F401  gives the add-on's modules without bpy a package
    from facediff.facediff_blender.mapping import load

    load(path)


def _convert(path: Path, arguments: Sequence[str]) -> None:
    """The command, to a folder that must be there whole or not at all."""
    import argparse
    import contextlib
    import shutil

    from engine import convert

    parser = argparse.ArgumentParser()
    convert.add_arguments(parser)
    out = path.parent / "model"
    words = [str(path.parent / word[1:]) if word.startswith("@") else word for word in arguments]
    with contextlib.redirect_stdout(None):
        convert.run(parser.parse_args([*words, "--out", str(out)]))
    assert {p.name for p in out.iterdir()} == {"config.json", "model.safetensors"}
    shutil.rmtree(out)


# --- whole files


def _message_lines(folder: Path) -> list[bytes]:
    from engine.messages import Cancel, DeviceInfo, Failure, Generate, Hello, Progress, Result, encode

    cpu = DeviceInfo("cpu", "CPU", True)
    job = Generate("a", "a.wav", "a.npz", emotion={"happy": 0.5}, start=0.5, end=2.0, channels=["jawOpen"], steps=8)
    return [encode(m)[:-1] for m in (
        job, Cancel("a"), Hello(1, "0.1.0", "3.11", [cpu]), Progress("a", "sampling", 1, 8, 0.1, 2.0),
        Result("a", "a.npz", {"sampling": 1.0}), Failure(None, "input", "No.", "detail"),
    )]  # fmt: skip


def _motions(folder: Path) -> list[bytes]:
    from engine.motion import FaceMotion

    rng, path = np.random.default_rng(0), folder / "m.npz"
    plain = FaceMotion(25.0, ("jawOpen", "mouthClose"), rng.random((9, 2)), meta={"seed": 1, "pinned": {"jawOpen": [2]}})
    full = FaceMotion(
        30.0, ("jawOpen",), rng.random((5, 1)), ("head", "jaw"), rng.random((5, 2, 3)), rng.random((5, 50)),
        rng.random((5, 3)), rng.random((5, 12, 3)), rng.random((5, 68, 3)), {"model": "starter"},
    )  # fmt: skip
    return [_saved(m, path) for m in (plain, full)]


def _curves(folder: Path) -> list[bytes]:
    from engine.emotion_curve import from_spans
    from engine.motion import FaceMotion

    spans = from_spans([("happy", 0.8, 0.0, 1.0), ("sad", 0.4, 1.0, 2.0)])
    return [_saved(m, folder / "c.npz") for m in (spans, FaceMotion(24.0, ("neutral", "fear"), np.full((30, 2), 0.5)))]


def _saved(motion: object, path: Path) -> bytes:
    motion.save(path)  # type: ignore[attr-defined]
    return path.read_bytes()


def _speech(seconds: float, rate: int) -> np.ndarray:
    t = np.arange(int(seconds * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * 220 * t) * np.sin(2 * np.pi * 3 * t)).astype(np.float32)


def _wavs(folder: Path) -> list[bytes]:
    """PCM of several widths, floating point, and what only the full engine's decoders read."""
    import soundfile

    found = []
    for rate, channels, width in ((16_000, 1, 2), (44_100, 2, 3), (8_000, 1, 1)):
        out = io.BytesIO()
        with wave.open(out, "wb") as stream:
            stream.setparams((channels, width, rate, 0, "NONE", ""))
            stream.writeframes(np.random.default_rng(rate).bytes(rate // 4 * channels * width))
        found.append(out.getvalue())
    for kind in ("FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM", "PCM_32"):
        out = io.BytesIO()
        soundfile.write(out, _speech(0.2, 22_050), 22_050, subtype=kind, format="WAVEX" if kind == "FLOAT" else "WAV")
        found.append(out.getvalue())
    return found


def _other_sounds(folder: Path) -> list[bytes]:
    import soundfile

    found = []
    for kind in ("FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "W64"):
        out = io.BytesIO()
        soundfile.write(out, _speech(0.3, 44_100), 44_100, format=kind)
        found.append(out.getvalue())
    return [*found, _film(folder / "a.m4a", picture=False), _film(folder / "a.mkv", picture=False)]


def _videos(folder: Path) -> list[bytes]:
    return [_film(folder / f"v.{kind}", sound) for kind, sound in (("mp4", True), ("mkv", True), ("avi", False), ("mov", True))]


def _film(path: Path, sound: bool = True, picture: bool = True) -> bytes:
    import av

    with av.open(str(path), "w") as container:
        streams = []
        if picture:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            streams.append((stream, [av.VideoFrame.from_ndarray(np.full((48, 64, 3), 9 * i, np.uint8)) for i in range(6)]))
        if sound:
            stream = container.add_stream("aac", rate=16_000, layout="mono")
            samples, frames = _speech(0.25, 16_000), []
            for start in range(0, len(samples) - 1023, 1024):
                frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024].copy(), format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 16_000, start
                frames.append(frame)
            streams.append((stream, frames))
        for stream, frames in streams:
            for frame in [*frames, None]:
                container.mux(stream.encode(frame))
    return path.read_bytes()


def _pictures(folder: Path) -> list[bytes]:
    import av

    found = []
    kinds = "png rgba, png gray, mjpeg yuvj420p, bmp bgr24, tiff rgb24"
    for codec, layout in (kind.split() for kind in kinds.split(", ")):
        context = av.CodecContext.create(codec, "w")
        context.width, context.height, context.pix_fmt = 32, 24, layout
        context.time_base = Fraction(1, 25)
        pixels = np.random.default_rng(len(codec)).integers(0, 255, (24, 32, 4), np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format=layout)
        found.append(b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)]))
    return found


def _safetensors(folder: Path) -> list[bytes]:
    import torch
    from safetensors.torch import save

    kinds = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
    return [save({"a": torch.ones(3, 4, dtype=k), "b.c": torch.zeros(2, dtype=k), "e": torch.ones(0, 3, dtype=k)}) for k in kinds]


def _flame_arrays() -> dict[str, np.ndarray]:
    from make_synthetic_data import flame_arrays

    return flame_arrays(12, np.random.default_rng(0))


def _flame_pickles(folder: Path) -> list[bytes]:
    import scipy.sparse

    arrays = dict(_flame_arrays())
    arrays["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    return [pickle.dumps(arrays, protocol=p) for p in (2, 4, 5)]


def _flame_archives(folder: Path) -> list[bytes]:
    out, packed = io.BytesIO(), io.BytesIO()
    np.savez(out, **_flame_arrays())
    np.savez_compressed(packed, **_flame_arrays())
    return [out.getvalue(), packed.getvalue()]


def _templates(folder: Path) -> list[bytes]:
    return [pickle.dumps({"F1": np.zeros((12, 3)), "M2": np.ones((12, 3), np.float32)}, protocol=2), *_flame_pickles(folder)[:1]]


def _arrays(folder: Path) -> list[bytes]:
    found = []
    for array in (np.zeros((12, 3), np.float32), np.asfortranarray(np.ones((4, 9))), np.arange(9)):
        out = io.BytesIO()
        np.save(out, array)
        found.append(out.getvalue())
    return found


def _meshes(folder: Path) -> list[bytes]:
    return [b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nf 1/1 2/2 3/3\nf 1 2 4 3\n"]


def _plys(folder: Path) -> list[bytes]:
    head = b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nelement face 2\nend_header\n"
    return [head + b"0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n4 0 1 2 1\n"]


def _csvs(folder: Path) -> list[bytes]:
    from engine.face.arkit import ARKIT_52
    from engine.face.livelink import write_csv
    from engine.motion import FaceMotion

    write_csv(FaceMotion(60.0, ARKIT_52, np.random.default_rng(0).random((8, 52))), folder / "l.csv")
    return [(folder / "l.csv").read_bytes()]


def _mappings(folder: Path) -> list[bytes]:
    import conftest  # noqa: F401
    from facediff.facediff_blender.mapping import Row, to_json

    rows = (Row("jawOpen", "Open", 1.0), Row("mouthClose", "Lips \u00fc", -0.5), Row("mouthClose", "Close", 2.0))
    return [to_json(rows, "a head").encode(), to_json(rows[:1]).encode()]


def _released(folder: Path, system: str) -> dict[str, Path]:
    """The files of a small model as the reference's trainers write them, by the names that `_convert` gives them."""
    if system == "occlufacediff":
        from occlufacediff.conftest import released_files, tensors_of

        first, second = released_files(folder, tensors_of())
        return {"denoiser.pt": first, "flint.ckpt": second}
    from lgldm.conftest import config_of, released_files, tensors_of

    config = config_of(system)
    first, second = released_files(folder, config, tensors_of(config))
    return {"stage1.mpt": first, "stage2.mpt": second}


def _checkpoint(system: str, name: str, share: float) -> Target:
    """A released file that is damaged, converted together with its whole partner."""
    if system == "occlufacediff":
        words = ["occlufacediff", "--denoiser", "@denoiser.pt", "--flint", "@flint.ckpt"]
    else:
        words = ["lgldm", "--dataset", system, "--stage1", "@stage1.mpt", "--stage2", "@stage2.mpt"]
    return Target(
        name,
        partial(_convert, arguments=words),
        lambda folder: [_released(folder, system)[name].read_bytes()],
        attacks.damage_checkpoint,
        attacks.checkpoints,
        lambda folder: {n: p for n, p in _released(folder, system).items() if n != name},
        share,
    )


def _model(kind: str, folder: Path) -> Path:
    """A folder with a small model of the kind, as its own writer leaves it."""
    if kind == "lgldm":
        from lgldm.conftest import config_of, tensors_of

        from engine.lgldm.model import save_model

        save_model(folder / "own", config_of("mead"), tensors_of(config_of("mead")))
    else:
        from occlufacediff.conftest import CONFIG, tensors_of

        from engine.occlufacediff.model import save_model

        save_model(folder / "own", CONFIG, tensors_of())
    return folder / "own"


def _config(parse: Callable[[Path], object], kind: str, share: float) -> Target:
    """The config.json of a model folder, damaged; the weights beside it are whole."""

    def seeds(folder: Path) -> list[bytes]:
        if kind == "lgldm":
            from lgldm.conftest import config_of

            config = config_of("mead")
        else:
            from occlufacediff.conftest import CONFIG as config
        return [json.dumps(config.to_json(), indent=1).encode() + b"\n"]

    def beside(folder: Path) -> dict[str, Path]:
        return {"model.safetensors": _model(kind, folder) / "model.safetensors"}

    return Target("config.json", parse, seeds, mutations.damage_json, attacks.configs, beside, share)


def _weights(parse: Callable[[Path], object], kind: str, share: float) -> Target:
    def seeds(folder: Path) -> list[bytes]:
        return [(_model(kind, folder) / "model.safetensors").read_bytes()]

    def beside(folder: Path) -> dict[str, Path]:
        return {"config.json": _model(kind, folder) / "config.json"}

    return Target("model.safetensors", parse, seeds, mutations.damage_safetensors, attacks.safetensors, beside, share)


TARGETS: dict[str, Target] = {
    "messages": Target("m.jsonl", _messages, _message_lines, mutations.damage_json, attacks.messages),
    "motion": Target("m.npz", _motion, _motions, mutations.damage_zip, attacks.motions),
    "emotion-curve": Target("c.npz", _curve, _curves, mutations.damage_zip, attacks.motions),
    "base-motion": Target("b.npz", _base, _motions, mutations.damage_zip, attacks.motions, share=0.5),
    "wav": Target("a.wav", _sound, _wavs, mutations.damage_bytes, attacks.wavs),
    "sound": Target("a.snd", _sound, _other_sounds, mutations.damage_bytes, attacks.playlists),
    "video": Target("v.mp4", _video, _videos, mutations.damage_bytes, attacks.videos, share=0.5),
    "mask": Target("m.png", _mask, _pictures, mutations.damage_bytes, attacks.pictures),
    "tensors": Target("t.safetensors", _tensors, _safetensors, mutations.damage_safetensors, attacks.safetensors),
    "starter-config": Target(
        "config.json", _starter, lambda _: [(STARTER / "config.json").read_bytes()], mutations.damage_json, attacks.configs,
        lambda _: {"starter.safetensors": STARTER / "starter.safetensors"}, 0.25,
    ),
    "lgldm-config": _config(_lgldm, "lgldm", 0.5),
    "occlu-config": _config(_tracker, "occlufacediff", 0.5),
    "lgldm-weights": _weights(_lgldm, "lgldm", 0.5),
    "occlu-weights": _weights(_tracker, "occlufacediff", 0.5),
    "flame-pkl": Target("f.pkl", _flame, _flame_pickles, mutations.damage_bytes, attacks.pickles),
    "flame-npz": Target("f.npz", _flame, _flame_archives, mutations.damage_zip, attacks.archives),
    "template-pkl": Target("t.pkl", _template, _templates, mutations.damage_bytes, attacks.pickles, share=0.5),
    "template-npy": Target("t.npy", _template, _arrays, mutations.damage_npy, attacks.arrays, share=0.5),
    "mead-stage1": _checkpoint("mead", "stage1.mpt", 0.25),
    "mead-stage2": _checkpoint("mead", "stage2.mpt", 0.25),
    "vocaset-stage1": _checkpoint("vocaset", "stage1.mpt", 0.25),
    "biwi-stage2": _checkpoint("biwi", "stage2.mpt", 0.25),
    "occlu-denoiser": _checkpoint("occlufacediff", "denoiser.pt", 0.25),
    "occlu-flint": _checkpoint("occlufacediff", "flint.ckpt", 0.25),
    "mapping": Target("m.json", _mapping, _mappings, mutations.damage_json, attacks.mappings),
    "mesh-obj": Target("m.obj", _mesh, _meshes, mutations.damage_text),
    "mesh-ply": Target("m.ply", _mesh, _plys, mutations.damage_text, attacks.plys),
    "arkit-csv": Target("l.csv", _livelink, _csvs, mutations.damage_text),
}


def seeds_of(name: str) -> list[bytes]:
    """The whole files of a target that damage begins with."""
    with tempfile.TemporaryDirectory() as folder:
        return TARGETS[name].seeds(Path(folder))


def prepare(name: str) -> tuple[Target, list[bytes], dict[str, bytes]]:
    """The target, its seeds, and the files that lie beside."""
    with tempfile.TemporaryDirectory() as folder:
        beside = {n: p.read_bytes() for n, p in TARGETS[name].beside(Path(folder)).items()}
    return TARGETS[name], seeds_of(name), beside
