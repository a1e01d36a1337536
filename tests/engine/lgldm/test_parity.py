"""The reference's recorded numbers, and that the comparison notices what it must."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]


def check(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "check_parity.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_lgldm_case_passes(parity):
    done = check(parity, "--only", "lgldm")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tiny_mead_chain/demo_vertices" in done.stdout
    assert "FAIL" not in done.stdout


def test_a_changed_number_an_unknown_array_and_an_unknown_file_fail(parity, tmp_path):
    folder = tmp_path / "lgldm"
    folder.mkdir()
    with np.load(parity / "lgldm" / "schedule_1000.npz") as data:
        arrays = {n: data[n] for n in data.files}
    arrays["betas"] = arrays["betas"] + np.float32(1e-3)
    np.savez(folder / "schedule_1000.npz", **arrays, surprise=np.zeros(3))
    shutil.copy(parity / "lgldm" / "flame_tiny.npz", folder / "unheard_of.npz")
    done = check(tmp_path)
    assert done.returncode == 1
    verdicts = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("lgldm/")}
    assert "FAIL" in verdicts["lgldm/schedule_1000/betas"]
    assert "not understood" in verdicts["lgldm/schedule_1000/surprise"]
    assert "not understood" in verdicts["lgldm/unheard_of.npz"]
    assert " ok" in verdicts["lgldm/schedule_1000/alphas_cumprod"]


def test_an_empty_folder_is_no_success(tmp_path):
    assert check(tmp_path).returncode != 0
