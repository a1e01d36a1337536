"""A smoke-size training from a tiny corpus: every stage runs, resumes, and the result animates."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.animate import AnimateOptions, animate
from engine.starter.data import CHUNK_SECONDS, ChunkMaker, EncoderExamples, load_corpus, loudness
from engine.starter.phones import PHONES
from engine.starter.train import Plan, Trainer, coarse, train


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two shards of tones with phone labels: the format of `synthesis.build_corpus` without a synthesiser."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for shard in range(2):
        audio, starts, owner, phone, begin, end = [], [0], [], [], [], []
        for u in range(6):
            count = int(rng.integers(20, 40))
            edges = np.concatenate([[0], np.cumsum(rng.uniform(0.05, 0.15, count))])
            samples = (3000 * np.sin(np.arange(int(edges[-1] * 16000)) * 0.05)).astype(np.int16)
            audio.append(samples)
            starts.append(starts[-1] + len(samples))
            owner += [u] * count
            phone += rng.integers(0, len(PHONES), count).tolist()
            begin += edges[:-1].tolist()
            end += edges[1:].tolist()
        np.savez(
            folder / f"shard_{shard:04d}.npz",
            audio=np.concatenate(audio), utterance_start=np.array(starts), language=np.array(["en"] * 6),
            voice=np.array(["flite:a", "festival:b", "espeak:c", "flite:a", "flite:out", "festival:b"]),
            held_out=np.array([False] * 4 + [True, False]), text=np.array(["x"] * 6),
            segment_utterance=np.array(owner, np.int32), segment_phone=np.array(phone, np.int16),
            segment_start=np.array(begin, np.float32), segment_end=np.array(end, np.float32),
        )  # fmt: skip
    return folder


def test_held_out_voices_stay_out(corpus):
    assert set(load_corpus(corpus)) == {"flite:a", "festival:b", "espeak:c"}
    assert set(load_corpus(corpus, held_out=True)) == {"flite:out"}
    with pytest.raises(FileNotFoundError):
        load_corpus(corpus / "nothing")


def test_chunks_are_covered_by_segments_in_order(corpus):
    maker = ChunkMaker(load_corpus(corpus))
    for seed in range(8):
        chunk = maker.draw(np.random.default_rng(seed), warped=True)
        assert chunk.starts[0] == 0 and chunk.ends[-1] == pytest.approx(CHUNK_SECONDS)
        np.testing.assert_allclose(chunk.starts[1:], chunk.ends[:-1], atol=2e-3)
        spoken = [p != "sil" for p in chunk.phones]
        energy = loudness(chunk.samples)
        middle = [(s + e) / 2 for s, e in zip(chunk.starts, chunk.ends, strict=True)]
        for at, phone, voiced in zip(middle, chunk.phones, spoken, strict=True):
            if voiced:
                assert energy[int(at * 25)] > 0.2, phone


def test_examples_depend_on_seed_and_index_alone(corpus):
    a, b = EncoderExamples(corpus, 10, 3), EncoderExamples(corpus, 10, 3)
    for x, y in zip(a[7], b[7], strict=True):
        np.testing.assert_array_equal(x, y)
    assert np.abs(a[7][0] - a[8][0]).max() > 0
    mel, phones, controls = a[2]
    assert (mel.shape, phones.shape, controls.shape) == ((1024, 160), (512,), (512, 9))


def test_smoke_training_makes_a_model_that_animates(corpus, tmp_path):
    """`scripts/train_starter.py`, which makes the committed weights, at its smallest size."""
    script = Path(__file__).resolve().parents[2] / "scripts" / "train_starter.py"
    folders = ["--work", tmp_path / "work", "--corpus", corpus, "--assets", tmp_path / "model"]
    done = subprocess.run([sys.executable, script, "--size", "smoke", *folders], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["name"] == "starter" and len(config["emotions"]) == 7
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["config.json", "starter.safetensors"]
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(size=16000) * 0.1, 16000)
    motion = animate(tmp_path / "a.wav", AnimateOptions({"happy": 1.0}), model=str(tmp_path / "model"))
    assert motion.frames == 25 and np.isfinite(motion.weights).all()
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "work").glob("*.pt")}
    train(corpus, tmp_path / "work", tmp_path / "model", Plan.smoke(), print)  # nothing left to do
    assert before == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "work").glob("*.pt")}


def test_a_resumed_run_continues_exactly(tmp_path):
    def run(folder, stops):
        folder.mkdir()
        for stop in stops:
            torch.manual_seed(0)
            model = torch.nn.Linear(4, 2)
            trainer = Trainer("toy", model, 400, 1e-2, folder, lambda _line: None)
            while trainer.step < stop:
                x = torch.from_numpy(np.random.default_rng(trainer.step).normal(size=(8, 4)).astype(np.float32))

                def loss(x=x, model=model):
                    value = (model(x).float() - x[:, :2]).square().mean()
                    return value, {}

                trainer.update(loss)
        return trainer.finished().weight.detach().numpy()

    np.testing.assert_array_equal(run(tmp_path / "once", [400]), run(tmp_path / "twice", [200, 400]))


def test_the_kept_weights_are_the_mean_over_the_named_steps_and_survive_a_stop(tmp_path):
    def run(folder, stops, steps, means):
        folder.mkdir()
        for stop in stops:
            torch.manual_seed(0)
            model = torch.nn.Linear(4, 2)
            trainer = Trainer("toy", model, steps, 1e-2, folder, lambda _line: None, means=means)
            while trainer.step < stop:
                x = torch.from_numpy(np.random.default_rng(trainer.step).normal(size=(8, 4)).astype(np.float32))
                trainer.update(lambda x=x, model=model: ((model(x).float() - x[:, :2]).square().mean(), {}))
        return trainer.average["weight"].clone(), [k["weight"] for k in trainer.kept]

    mean, kept = run(tmp_path / "a", [300], 300, (100, 300))
    assert len(kept) == 2 and not torch.equal(kept[0], kept[1])
    torch.testing.assert_close(mean, (kept[0] + kept[1]) / 2)
    stopped, _ = run(tmp_path / "b", [200, 300], 300, (100, 300))
    torch.testing.assert_close(stopped, mean)


def test_coarse_weights_keep_eight_binary_digits():
    weights = torch.randn(1000).sign() * torch.logspace(-3, 1, 1000)
    rounded = coarse(weights)
    assert rounded.dtype == torch.float16
    assert ((rounded.float() - weights).abs() / weights.abs()).max() < 2**-8 + 2**-11
    assert (rounded.view(torch.int16).abs() & 0b111).max() == 0 and coarse(torch.zeros(2)).abs().max() == 0
