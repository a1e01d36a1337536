"""Names that make trouble, and disks that do: the file whole or not at all, and one sentence."""

from __future__ import annotations

import os
import resource
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from engine import cli
from engine.failures import describe_failure
from engine.motion import FaceMotion

NAMES = ["a b", "it's \"quoted\"", "Größe 日本 é", "-o", "n" * 246]


def sound(path: Path) -> Path:
    """A second of noise."""
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(np.random.default_rng(0).normal(0, 3000, 16_000).astype("<i2").tobytes())
    return path


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes: what a full disk is, without making one."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("name", NAMES)
def test_animate_takes_any_name(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    audio, out = sound(folder / f"{name}.wav"), folder / f"{name}.npz"
    assert cli.main(["animate", str(audio), "--device", "numpy", "--out", str(out)]) == 0
    assert FaceMotion.load(out).frames == 25 and set(os.listdir(folder)) == {audio.name, out.name}


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, capsys):
    audio, out = sound(tmp_path / "s.wav"), tmp_path / "out"
    out.mkdir()
    with full_disk(64 << 10):
        assert cli.main(["animate", str(audio), "--device", "numpy", "--vertices", "--out", str(out / "m.npz")]) == 1
    assert capsys.readouterr().err.startswith("The disk is full") and not list(out.iterdir())


def test_a_full_disk_in_the_words_of_safetensors_is_understood():
    from safetensors import SafetensorError

    error = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert describe_failure("a", error).code == "disk_full"
