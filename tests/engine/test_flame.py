"""FLAME-format models: read from every file the user may have, posed alike by NumPy and PyTorch, and as geometry demands."""

from __future__ import annotations

import pickle
import sys
import types

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.spatial.transform import Rotation

from engine.face.flame import JOINTS, FlameError, flame_from_arrays, load_flame, pose_flame, rotation_matrices
from engine.face.flame_torch import FlameLayer
from engine.lgldm.template import load_template


def synthetic(vertices: int = 30, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays as a FLAME file names them; made of random numbers."""
    rng = np.random.default_rng(seed)
    skin = rng.random((vertices, 5)) ** 4
    regressor = rng.random((5, vertices)) ** 6
    return {
        "v_template": rng.normal(0, 0.1, (vertices, 3)),
        "shapedirs": rng.normal(0, 0.01, (vertices, 3, 400)),
        "posedirs": rng.normal(0, 0.001, (vertices, 3, 36)),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": skin / skin.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
        "f": rng.integers(0, vertices, (20, 3)).astype(np.uint32),
    }


@pytest.fixture
def chumpy(monkeypatch):
    module = types.ModuleType("chumpy.ch")

    class Ch:
        def __init__(self, x: np.ndarray):
            self.x = x

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module.Ch = Ch
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    return Ch


def test_pkl_with_chumpy_and_scipy_and_npz_are_the_same_model(tmp_path, chumpy):
    arrays = synthetic()
    wrapped = {n: chumpy(v) if n in ("shapedirs", "v_template", "posedirs", "weights") else v for n, v in arrays.items()}
    wrapped |= {"J_regressor": scipy.sparse.csc_matrix(arrays["J_regressor"]), "bs_type": "lrotmin", "bs_style": "lbs"}
    (tmp_path / "generic_model.pkl").write_bytes(pickle.dumps(wrapped, protocol=2))
    np.savez(tmp_path / "flame.npz", **arrays)
    want = flame_from_arrays(arrays)
    for name in ("generic_model.pkl", "flame.npz"):
        model = load_flame(tmp_path / name)
        for field in ("template", "expression_basis", "regressor", "skin", "parents", "faces"):
            assert np.array_equal(getattr(model, field), getattr(want, field)), (name, field)
        assert np.allclose(load_template(tmp_path / name), want.template.reshape(-1), atol=1e-7)
    assert want.shape_basis.shape[2] == 300 and want.expression_basis.shape[2] == 100


def test_numpy_and_pytorch_pose_alike_and_gradients_are_finite():
    model = flame_from_arrays(synthetic())
    rng = np.random.default_rng(1)
    expression = rng.normal(size=(9, 50))
    rotations = {n: rng.normal(0, 0.4, (9, 3)) for n in JOINTS}
    posed = pose_flame(model, expression, rotations, betas := rng.normal(size=20))
    layer = FlameLayer(model)
    leaves = {n: torch.tensor(r, dtype=torch.float32) for n, r in rotations.items()}
    zero = torch.zeros(9, 3, requires_grad=True)
    got = layer(torch.tensor(expression, dtype=torch.float32), leaves, torch.tensor(betas, dtype=torch.float32).expand(9, -1))
    assert np.abs(got.numpy() - posed).max() < 1e-5
    layer(torch.zeros(9, 50), {"jaw": zero}).square().sum().backward()
    assert torch.isfinite(zero.grad).all() and zero.grad.abs().max() > 0


def test_rest_is_the_template_and_a_global_turn_turns_everything_about_the_root():
    model = flame_from_arrays(synthetic())
    assert np.allclose(pose_flame(model, np.zeros((1, 50)))[0], model.template, atol=1e-7)
    turn = np.array([[0.3, -0.5, 0.2]])
    root = model.regressor[0] @ model.template
    want = (model.template - root) @ Rotation.from_rotvec(turn[0]).as_matrix().T + root
    assert np.allclose(pose_flame(model, np.zeros((1, 50)), {"global": turn})[0], want, atol=1e-6)


def test_the_jaw_moves_what_is_skinned_to_it():
    arrays = synthetic()
    arrays["weights"] = np.zeros((30, 5))
    arrays["weights"][:15, 1] = 1
    arrays["weights"][15:, 2] = 1
    arrays["posedirs"] *= 0
    model = flame_from_arrays(arrays)
    posed = pose_flame(model, np.zeros((1, 1)), {"jaw": np.array([[0.3, 0, 0]])})[0]
    assert np.allclose(posed[:15], model.template[:15], atol=1e-7)
    joint = model.regressor[2] @ model.template
    want = (model.template[15:] - joint) @ Rotation.from_rotvec([0.3, 0, 0]).as_matrix().T + joint
    assert np.allclose(posed[15:], want, atol=1e-6)


def test_rotations_are_rodrigues():
    vectors = np.random.default_rng(0).normal(size=(50, 3))
    vectors[0] = 0
    assert np.allclose(rotation_matrices(vectors), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-12)


def refuse(path) -> str:
    with pytest.raises(FlameError) as caught:
        load_flame(path)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    return str(caught.value)


def test_files_that_are_no_flame_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / "other.pkl"
    for content in (b"", b"not a pickle", pickle.dumps([1, 2]), pickle.dumps({"v_template": np.zeros((3, 3))}),
                    b"cos\nsystem\n(Vtrue\ntR."):  # fmt: skip
        path.write_bytes(content)
        refuse(path)
    for name, value in {
        "shapedirs": np.zeros((30, 3, 77)), "weights": np.zeros((29, 5)), "v_template": np.full((30, 3), np.nan),
        "kintree_table": np.array([[4, 0, 1, 1, 1], [0, 1, 2, 3, 4]]), "f": np.full((2, 3), 99), "posedirs": np.array(["a"]),
    }.items():  # fmt: skip
        np.savez(tmp_path / "other.npz", **{**synthetic(), name: value})
        refuse(tmp_path / "other.npz")
    whole = (tmp_path / "other.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    refuse(tmp_path / "cut.npz")
    assert "There is no" in refuse(tmp_path / "absent.pkl")


def test_templates_of_subjects(tmp_path):
    faces = {"FaceTalk_A": np.arange(9.0).reshape(3, 3), "FaceTalk_B": np.ones((3, 3))}
    (tmp_path / "templates.pkl").write_bytes(pickle.dumps(faces, protocol=2))
    assert np.array_equal(load_template(tmp_path / "templates.pkl"), np.arange(9.0))
    assert np.array_equal(load_template(tmp_path / "templates.pkl", "FaceTalk_B"), np.ones(9))
    np.save(tmp_path / "neutral.npy", np.zeros((1, 1, 9), np.float32))
    assert load_template(tmp_path / "neutral.npy").shape == (9,)
    from engine.errors import InputError

    with pytest.raises(InputError, match="FaceTalk_C"):
        load_template(tmp_path / "templates.pkl", "FaceTalk_C")
