"""Finds the cases of a folder and hands each to the function that knows it."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from . import lgldm_audio, lgldm_chains, lgldm_face, lgldm_stages, occlu_data, occlu_networks
from .rows import Row, not_understood

SYSTEMS = ("lgldm", "occlufacediff")
Check = Callable[[Path], list[Row]]
# File names (whole, as regular expressions) and what compares them.
LGLDM: dict[str, Check] = {
    r"(mead|biwi|vocaset)_stage1\w*\.npz": lgldm_stages.stage1,
    r"(mead|biwi|vocaset)_stage2\w*\.npz": lgldm_stages.stage2,
    r"schedule\w*\.npz": lgldm_stages.schedule,
    r"(hubert|wav2vec)\w*\.npz": lgldm_audio.wrapper,
    r"flame\w*\.npz": lgldm_face.flame,
    r"metrics_biwi\w*\.npz": lgldm_face.biwi_metrics,
    r"metrics_mead\w*\.npz": lgldm_face.mead_metrics,
    r"\w*chain_input\.npz": lgldm_chains.chain_input,
    r"\w*mead_chain\.npz": lgldm_chains.mead,
    r"\w*vocaset_chain\.npz": lgldm_chains.vocaset,
    r"\w*biwi_chain\.npz": lgldm_chains.biwi,
}
OCCLUFACEDIFF: dict[str, Check] = {
    r"A_\w+\.npz": occlu_networks.schedule,
    r"B_\w+\.npz": occlu_networks.flint,
    r"C_\w+\.npz": occlu_networks.denoiser,
    r"D_\w+\.npz": occlu_networks.parts,
    r"E_\w+\.npz": occlu_networks.sampler,
    r"F_\w+\.npz": occlu_networks.guidance,
    r"G_\w+\.npz": occlu_networks.audio,
    r"H_\w+\.npz": occlu_data.crop,
    r"I_\w*train\w*\.npz": occlu_data.training_occluder,
    r"I_\w*test\w*\.npz": occlu_data.test_occluder,
    r"J_\w+\.npz": occlu_data.windows,
    r"K_\w+\.npz": occlu_data.losses_and_metrics,
    r"L_\w+\.npz": occlu_networks.chain,
    r"region_indices\.npz": occlu_data.index_sets,
}
# Read by the cases, or text.
SUPPORT = (
    r".*\.mpt", r".*\.pth\.tar", r".*\.wav", r".*_config\.json", r"README\.md",
    r".*\.pt", r".*\.ckpt", r".*\.png", r"config\.json",
)  # fmt: skip
CASES: dict[str, dict[str, Check]] = {"lgldm": LGLDM, "occlufacediff": OCCLUFACEDIFF}


def run_system(system: str, folder: Path) -> list[Row]:
    """Rows of every file of the folder; a file that nobody knows, or that cannot be compared, is a failed row."""
    rows = []
    for path in sorted(folder.iterdir()):
        check = next((c for pattern, c in CASES[system].items() if re.fullmatch(pattern, path.name)), None)
        if check is None:
            if not (CASES[system] and any(re.fullmatch(pattern, path.name) for pattern in SUPPORT)):
                rows.append(not_understood(f"{system}/{path.name}", "no comparison knows this file"))
            continue
        started = time.monotonic()
        try:
            found = check(path)
        except (KeyError, ValueError, RuntimeError, OSError, TypeError, IndexError) as error:
            found = [not_understood(path.stem, f"{type(error).__name__}: {error}")]
        print(f"{path.name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
        rows += [Row(f"{system}/{r.case}", r.error, r.tolerance, r.note) for r in found]
    return rows
