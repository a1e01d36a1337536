"""Samples to `FaceMotion` with tiny converted models: timing, emotions, seeds, long clips, bad input."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine import cli
from engine.animate import AnimateOptions, animate
from engine.errors import Cancelled, InputError
from engine.face.flame import flame_from_arrays, pose_flame
from engine.lgldm import audio_encoders, pipeline
from engine.lgldm.audio_encoders import AudioEncoder, token_count
from engine.lgldm.model import LgldmModel, flame_tensors, load_model, save_model
from engine.motion import Blocks, FaceMotion

from .conftest import VERTICES, config_of, tensors_of
from .test_data import synthetic

RATE = 16_000


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for dataset in ("mead", "vocaset", "biwi"):
        config = config_of(dataset)
        made[dataset] = tmp_path_factory.mktemp("models") / dataset
        save_model(made[dataset], config, {**tensors_of(config), "template": torch.linspace(0, 1, 3 * VERTICES)})
    return made


@pytest.fixture(scope="module")
def models(folders) -> dict[str, LgldmModel]:
    return {d: load_model(f, torch.device("cpu")) for d, f in folders.items()}


def speech(seconds: float) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    rng = np.random.default_rng(0)
    return (np.sin(2 * np.pi * 140 * t) * (1 + np.sin(2 * np.pi * 3 * t)) / 4 + rng.normal(0, 0.01, len(t))).astype(np.float32)


def quiet(stage: str, step: int, total: int) -> None:
    pass


def run(model: LgldmModel, seconds: float = 1.3, emotion: dict[str, float] | None = None, seed: int = 0, **options: object):
    return pipeline.generate(model, speech(seconds), emotion or {}, seed, quiet, **{"steps": 4, **options})


@pytest.mark.parametrize(("dataset", "fps"), [("mead", 25), ("vocaset", 30), ("biwi", 25)])
def test_frames_cover_the_sound_at_the_models_rate_or_another(models, dataset, fps):
    for seconds in (0.03, 0.5, 1.3):
        motion = run(models[dataset], seconds)
        assert motion.fps == fps and motion.frames == np.ceil(round(seconds * fps, 6))
        assert motion.vertices.shape[1:] == (VERTICES, 3)
    own, other = run(models[dataset]), run(models[dataset], fps=60)
    assert other.frames == 78
    step = 60 // fps if 60 % fps == 0 else None
    if step:
        assert np.allclose(other.vertices[::step][: own.frames], own.vertices, atol=1e-5)


def test_seeds_emotions_and_speakers_change_the_motion_and_nothing_else_does(models):
    model = models["mead"]
    first = run(model, emotion={"happy": 1.0}).vertices
    assert np.array_equal(first, run(model, emotion={"happy": 1.0}).vertices)
    for other in (run(model, emotion={"happy": 1.0}, seed=1), run(model, emotion={"sad": 1.0}), run(model),
                  run(model, emotion={"happy": 0.5, "sad": 0.5}), run(model, emotion={"happy": 1.0}, identity=7)):  # fmt: skip
        assert not np.allclose(first, other.vertices, atol=1e-4)


def test_samplers_and_their_limits(models):
    model = models["biwi"]
    motions = {s: run(model, 0.4, sampler=s, steps=None if s == "ddpm" else 6) for s in pipeline.SAMPLERS}
    assert motions["ddpm"].meta["steps"] == 1000
    assert run(model, 0.4, steps=1000).meta["sampler"] == "ddpm"
    assert {"sampler": "ddim", "steps": 50}.items() <= run(model, 0.4, steps=None).meta.items()
    for steps, sampler in ((5, "ddpm"), (0, "ddim"), (1001, "dpm++")):
        with pytest.raises(InputError):
            pipeline.choose_sampler(sampler, steps if steps else -1, 1000)


def test_bad_input_is_one_sentence(models):
    for call in (
        lambda: run(models["mead"], emotion={"bored": 1.0}),
        lambda: run(models["vocaset"], emotion={"happy": 1.0}),
        lambda: run(models["mead"], 0.02),
        lambda: run(models["mead"], identity=25),
    ):
        with pytest.raises(InputError, match=r"^[A-Z].*\.$"):
            call()


def test_animate_and_its_motion_file_speak_vertices(folders, tmp_path):
    soundfile.write(tmp_path / "speech.wav", speech(0.6), RATE)
    stages: list[str] = []
    options = AnimateOptions(emotion={"angry": 1.0}, intensity=0.5, steps=3)
    motion = animate(tmp_path / "speech.wav", options, str(folders["mead"]), lambda s, *_: stages.append(s))
    assert motion.frames == 15 and motion.meta["emotion"] == {"angry": 0.5}
    assert {"load", "features", "sampling", "decode"} <= set(stages)
    motion.save(tmp_path / "motion.npz")
    with np.load(tmp_path / "motion.npz", allow_pickle=False) as data:
        assert data["vertices"].shape == (15, VERTICES, 3)
    with pytest.raises(InputError):
        animate(tmp_path / "speech.wav", replace(options, landmarks=True), str(folders["mead"]))
    with pytest.raises(Cancelled):
        animate(tmp_path / "speech.wav", options, str(folders["mead"]), cancelled=lambda: True)


def test_a_model_of_another_mesh_or_dataset_samples_nothing_and_leaves_no_folder(folders, tmp_path, capsys):
    synthetic.write_dataset("biwi", tmp_path / "data", vertices=VERTICES + 1, seconds=0.4, per_subject=1)
    common = ["sample", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    for dataset, model, said in (("biwi", "biwi", "another mesh"), ("biwi", "vocaset", "is of VOCASET, not of BIWI")):
        assert cli.main([*common, "--dataset", dataset, "--model", str(folders[model])]) != 0
        assert said in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_a_model_without_a_neutral_face_says_so(folders, models, tmp_path):
    config = config_of("mead")
    save_model(tmp_path / "bare", config, tensors_of(config))
    bare = run(load_model(tmp_path / "bare", torch.device("cpu")))
    whole = run(models["mead"])
    neutral = np.linspace(0, 1, 3 * VERTICES).reshape(VERTICES, 3)
    assert bare.meta["vertices"].startswith("displacements") and whole.meta["vertices"] == "positions"
    assert np.allclose(bare.vertices + neutral, whole.vertices, atol=1e-5)


def test_with_a_flame_file_mead_speaks_expression_and_jaw(tmp_path):
    """The model's random vertices are no face, so the fit is only held to what its parameters can do."""
    config = config_of("mead")
    flame = flame_from_arrays(synthetic.flame_arrays(VERTICES, np.random.default_rng(0)))
    tensors = {**tensors_of(config), **flame_tensors(flame), "template": torch.from_numpy(flame.template.reshape(-1))}
    tensors["vqvae.motion_out.weight"] = tensors["vqvae.motion_out.weight"] * 0.01
    save_model(tmp_path / "mead", config, tensors)
    motion = run(load_model(tmp_path / "mead", torch.device("cpu")), emotion={"happy": 1.0})
    assert motion.expression.shape == (motion.frames, 50) and motion.jaw_pose.shape == (motion.frames, 3)
    again = pose_flame(flame, motion.expression, {"jaw": motion.jaw_pose})
    moved = np.abs(motion.vertices - flame.template).max()
    assert np.abs(again - motion.vertices).max() < 0.2 * moved


@pytest.mark.parametrize("dataset", ["mead", "vocaset", "biwi"])
def test_a_long_clip_has_no_seams(models, dataset, monkeypatch):
    """Small windows on a short clip are many joins: vertex speed there stays within the clip's own 95th percentile, no more
    often beyond it than the same moments are in a clip without windows, and is no higher on average."""
    emotion = {"happy": 1.0} if dataset == "mead" else {}
    monkeypatch.setattr(pipeline, "OVERLAP", 20)

    def at_joins(window: int) -> tuple[np.ndarray, float]:
        """Vertex speed at the joins of windows of 60, as a share of the mean, and the clip's 95th percentile of it."""
        monkeypatch.setattr(pipeline, "WINDOW", window)
        motion = run(models[dataset], 12.0, emotion=emotion, steps=8)
        speed = np.linalg.norm(np.diff(motion.vertices, axis=0), axis=-1).mean(axis=1)
        windows = pipeline.Windows(motion.frames + 1, 60, 20)
        joins = sorted({e for p in windows for e in (p.start, p.stop) if 0 < e < len(speed)})
        assert len(joins) > 8
        found = np.array([speed[j - 1 : j + 1].mean() for j in joins])
        return found / speed.mean(), float(np.percentile(speed, 95) / speed.mean())

    (found, limit), (without, _) = at_joins(60), at_joins(1000)
    assert found.mean() < 1.1 * max(1.0, without.mean())
    assert (found > limit).mean() <= 0.05


def test_decoding_in_one_go_is_what_frames_see_around_them(models):
    """Each frame sees 40 frames around it, at the ends the first or last 40; up to 40 frames it is the plain decoder."""
    vqvae = models["biwi"].vqvae
    latent = torch.randn(1, 150, 16)
    with torch.inference_mode():
        found = vqvae.motion_out(vqvae.decoder_features(latent, 40))
        assert torch.equal(vqvae.motion_out(vqvae.decoder_features(latent[:, :40], 40)), vqvae.decode(latent[:, :40]))
        attention, x = vqvae.decoder.blocks[0].attention, torch.randn(1, 150, 16)
        windowed = attention(x, 40)
        for frame in (0, 7, 20, 21, 75, 129, 130, 149):
            first = min(max(frame - 20, 0), 110)
            assert torch.allclose(windowed[:, frame], attention(x[:, first : first + 40])[:, frame - first], atol=1e-5)
    assert found.shape == (1, 150, 3 * VERTICES)


def test_large_results_come_in_blocks_and_are_the_same(models, monkeypatch, tmp_path):
    whole = {fps: run(models["biwi"], fps=fps) for fps in (None, 60, 24)}
    monkeypatch.setattr(pipeline, "BLOCKS_FROM", 100)
    for fps, motion in whole.items():
        lazy = run(models["biwi"], fps=fps)
        assert isinstance(lazy.vertices, Blocks) and lazy.frames == motion.frames
        lazy.save(tmp_path / "m.npz")
        assert np.allclose(FaceMotion.load(tmp_path / "m.npz").vertices, motion.vertices, atol=1e-6)
        for start, stop in ((0, 1), (5, 9), (3, 3)):
            assert np.allclose(lazy.vertices[start:stop], motion.vertices[start:stop], atol=1e-6)


def test_one_window_is_the_plain_network(models):
    model = models["mead"]
    audio = torch.randn(1, 40, 16)
    emotion, identity = torch.eye(7)[:1], torch.eye(25)[:1]
    x = torch.randn(1, 40, 16)
    plain = model.denoiser(x, torch.tensor([10]), audio, emotion, identity)
    assert torch.equal(pipeline.joined_denoiser(model, audio, emotion, identity)(x, 10), plain)


@pytest.mark.parametrize("family", ["hubert", "wav2vec2"])
def test_audio_features_of_long_clips_in_pieces_are_those_of_the_whole(models, family, monkeypatch):
    encoder: AudioEncoder = models["mead" if family == "hubert" else "biwi"].audio
    samples = torch.from_numpy(speech(4.0))[None]
    with torch.inference_mode():
        convolved, whole = encoder.convolve(samples), encoder.hidden_states(samples)
        monkeypatch.setattr(audio_encoders, "LAYER_NORM_PIECE", 37)
        monkeypatch.setattr(audio_encoders, "MAX_TOKENS", 100)
        monkeypatch.setattr(audio_encoders, "TOKEN_OVERLAP", 60)
        pieces, windowed = encoder.convolve(samples), encoder.hidden_states(samples)
    assert pieces.shape == convolved.shape and windowed.shape == whole.shape
    if family == "hubert":
        assert torch.allclose(pieces, convolved, atol=1e-5)
    assert torch.nn.functional.cosine_similarity(windowed, whole, dim=-1).median() > 0.95


def test_token_counts_of_the_published_networks():
    kernels = (10, 3, 3, 3, 3, 2, 2)
    counts = {1: 49, 2: 99, 4: 199, 10: 499, 24: 1199}
    assert {s: token_count(s * RATE, kernels) for s in counts} == counts
    assert audio_encoders.receptive_field(kernels) == audio_encoders.MIN_SAMPLES == 400
    assert [token_count(n, kernels) for n in (399, 400)] == [0, 1]


def test_the_demo_leaves_a_motion_and_a_film(folders, tmp_path, monkeypatch, capsys):
    path = Path(__file__).parents[3] / "scripts" / "demo_lgldm.py"
    spec = importlib.util.spec_from_file_location("demo_lgldm", path)
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    soundfile.write(tmp_path / "speech.wav", speech(0.5), RATE)
    common = ["demo", "--audio", str(tmp_path / "speech.wav"), "--steps", "2", "--device", "cpu", "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", [*common, "--model", str(folders["vocaset"])])
    assert demo.main() == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["film.mp4", "motion.npz"]
    monkeypatch.setattr("sys.argv", [*common, "--model", str(folders["vocaset"]), "--emotion", "happy"])
    assert demo.main() != 0
    assert "has none" in capsys.readouterr().err
