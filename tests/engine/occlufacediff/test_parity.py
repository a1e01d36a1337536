"""The reference's numbers: every case of the shared folder, and that a wrong number would be noticed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from parity.run import OCCLUFACEDIFF, run_system


def test_every_recorded_case_agrees(parity):
    rows = run_system("occlufacediff", parity)
    assert not [f"{r.case}: {r.error} {r.note}" for r in rows if not r.ok]
    stems = {r.case.split("/")[1] for r in rows}
    assert stems == {p.stem for p in parity.glob("*.npz")} and len(rows) > 200
    assert len(stems) == len(OCCLUFACEDIFF)


@pytest.mark.parametrize(
    ("case", "array"),
    [
        ("B_flint_tiny", "decoder_out"),
        ("I_occluder_train", "train2_mask"),
        ("J_windows", "n83_out_window"),
        ("A_schedule", "r100_betas"),
    ],
)
def test_a_changed_number_fails(parity, tmp_path, case, array):
    with np.load(parity / f"{case}.npz") as data:
        arrays = {n: data[n] for n in data.files}
    changed = arrays[array].copy()
    changed.flat[3] += 1
    np.savez(tmp_path / f"{case}.npz", **{**arrays, array: changed})
    shutil.copy(parity / "config.json", tmp_path)
    failed = [r for r in run_system("occlufacediff", tmp_path) if not r.ok]
    assert [r.case for r in failed] == [f"occlufacediff/{case}/{array}"]


def test_an_unknown_array_or_file_is_not_passed_over(parity, tmp_path):
    with np.load(parity / "J_windows.npz") as data:
        np.savez(tmp_path / "J_windows.npz", **{n: data[n] for n in data.files}, surprise=np.zeros(2))
    (tmp_path / "M_new.npz").write_bytes(b"")
    notes = {r.case: r.note for r in run_system("occlufacediff", tmp_path) if not r.ok}
    assert len(notes) == 2 and all("not understood" in n for n in notes.values())
