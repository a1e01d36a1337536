"""The commands `arkit-flame` and `convert-motion`, and the table's file: on a FLAME-format head, and on what is none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.cli import main
from engine.errors import InputError
from engine.face.arkit import ARKIT_52
from engine.face.arkit_flame import make
from engine.face.arkit_flame.file import load_table, save_table
from engine.face.arkit_flame.fit import Table
from engine.face.flame import flame_from_arrays, pose_flame
from engine.face.starter_head import ASSET, load_starter_head
from engine.motion import FaceMotion

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from synthetic_flame import SyntheticFlame, synthetic_flame  # noqa: E402

SPOKEN = ROOT / "tests" / "blender" / "demo_take.npz"


@pytest.fixture(scope="module")
def synthetic() -> SyntheticFlame:
    head = load_starter_head()
    with np.load(ASSET.with_name("facemesh_points.npz")) as data:
        points = (head.vertices[data["triangles"].astype(int)] * data["weights"][..., None]).sum(axis=1)
    return synthetic_flame(head, points)


class Known:
    """Landmarks that lie where they truly are."""

    def __init__(self, synthetic: SyntheticFlame) -> None:
        self.synthetic = synthetic

    def points468(self, vertices: np.ndarray) -> np.ndarray:
        return self.synthetic.points468

    def points68(self, vertices: np.ndarray) -> np.ndarray:
        return self.synthetic.points68


def some_table() -> Table:
    rng = np.random.default_rng(0)
    return Table(ARKIT_52, rng.normal(size=(52, 23)), np.eye(23), np.zeros(52), np.ones(20), 100, "some.pkl")


def take() -> np.ndarray:
    motion = FaceMotion.load(SPOKEN)
    weights = np.zeros((motion.frames, len(ARKIT_52)))
    weights[:, [ARKIT_52.index(c) for c in motion.channels]] = motion.weights
    return weights


def test_the_commands(synthetic, tmp_path, capsys, monkeypatch):
    np.savez(tmp_path / "made-up.npz", **synthetic.arrays)
    monkeypatch.setattr(make, "embed_landmarks", lambda *mesh: Known(synthetic))
    model = flame_from_arrays(synthetic.arrays)
    lips = np.unique(((model.template[:, None] - synthetic.points68[48:]) ** 2).sum(axis=2).argmin(axis=0))
    assert main(["arkit-flame", str(tmp_path / "made-up.npz")]) == 0
    assert "52 shapes in 100 expressions and the jaw" in capsys.readouterr().out
    table = load_table(tmp_path / "made-up.arkit.npz")
    assert table.source == "made-up.npz" and table.vertices == len(model.template)
    there = [str(SPOKEN), "--to", "flame", "--flame", str(tmp_path / "made-up.npz"), "--out", str(tmp_path / "there.npz")]
    monkeypatch.setattr(make, "fit_table", None)  # the table beside the file is read, not made again
    assert main(["convert-motion", *there]) == 0
    moved = FaceMotion.load(tmp_path / "there.npz")
    assert moved.channels == () and moved.expression.shape[1] == 100 and "made-up.npz" in moved.meta["converted"]
    before = FaceMotion.load(SPOKEN)
    assert np.array_equal(moved.rotation("head"), before.rotation("head")) and "jaw" not in moved.rotation_names
    posed = pose_flame(model, moved.expression, {"jaw": moved.jaw_pose})[:, lips]
    wanted = model.template[lips] + np.einsum("tk,kvc->tvc", take(), synthetic.shapes[:, lips])
    assert 1000 * np.linalg.norm(posed - wanted, axis=2).mean() < 0.7, "the shapes were guessed from the file alone"
    back = ["--to", "arkit", "--table", str(tmp_path / "made-up.arkit.npz"), "--out", str(tmp_path / "back.npz")]
    assert main(["convert-motion", str(tmp_path / "there.npz"), *back, "--steadiness", "0.02"]) == 0
    after = FaceMotion.load(tmp_path / "back.npz")
    assert after.channels == ARKIT_52 and np.abs(after.weights - take()).mean() < 0.02 and after.expression is None


def test_what_cannot_be_converted_is_said_and_nothing_is_written(tmp_path, capsys):
    table, out = tmp_path / "t.npz", tmp_path / "out.npz"
    save_table(some_table(), table)
    spoken, still = tmp_path / "spoken.npz", tmp_path / "still.npz"
    FaceMotion(25, ("jawOpen",), np.zeros((3, 1))).save(spoken)
    FaceMotion(25, ("tail",), np.zeros((3, 1))).save(still)
    (tmp_path / "junk.npz").write_bytes(b"PK\x03\x04junk")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))

    def said(*arguments: Any) -> str:
        assert main(["convert-motion", *map(str, arguments), "--out", str(out)]) != 0 and not out.exists()
        return capsys.readouterr().err

    assert "none of ARKit's channels" in said(still, "--to", "flame", "--table", table)
    assert "no FLAME expression" in said(spoken, "--to", "arkit", "--table", table)
    assert "no motion file" in said(tmp_path / "none.npz", "--to", "arkit", "--table", table)
    assert "not a motion file" in said(table, "--to", "arkit", "--table", table)
    assert "There is no file" in said(spoken, "--to", "flame", "--table", tmp_path / "none.npz")
    assert "no FLAME file" in said(spoken, "--to", "flame", "--flame", tmp_path / "none.pkl")
    assert "not a FLAME file" in said(spoken, "--to", "flame", "--flame", tmp_path / "other.npz")
    for bad in ("junk.npz", "other.npz", "spoken.npz"):
        assert bad in said(spoken, "--to", "flame", "--table", tmp_path / bad)
    assert "between 1 and 100" in said(spoken, "--to", "flame", "--table", table, "--expressions", "0")
    assert "between 0 and 10 mm" in said(spoken, "--to", "flame", "--table", table, "--steadiness", "-1")
    with np.load(table) as data:
        arrays = dict(data)
    for damage in ({"metric": np.zeros((2, 2))}, {"parameters": np.full((52, 23), np.nan)}, {"channels": np.array(["x"])},
                   {"sizes": np.zeros(3)}):
        np.savez(tmp_path / "bad.npz", **{**arrays, **damage})
        with pytest.raises(InputError, match=r"'bad\.npz' is incomplete or damaged"):
            load_table(tmp_path / "bad.npz")
