"""The HuBERT and wav2vec2 wrappers against recorded inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.lgldm.audio_encoders import AudioEncoder, infer_config, new_names
from engine.lgldm.checkpoints import shapes

from .rows import Arrays, Comparison, Row, best_heads, error_between


def wrapper(path: Path) -> list[Row]:
    """Last hidden states with the odd frame dropped and with a cut; the head count is found by fit."""
    arrays = Arrays(path)
    check = Comparison(arrays)
    state = new_names(arrays.state())
    samples = arrays.tensor("wav")

    def build(heads: int) -> AudioEncoder:
        encoder = AudioEncoder(infer_config(shapes(state), heads, paired=True))
        encoder.network.load_state_dict(state, strict=True)
        return encoder.eval()

    with torch.inference_mode():
        hidden = state["feature_projection.projection.weight"].shape[0]
        encoder = build(best_heads(hidden, lambda h: error_between(build(h).hidden_states(samples), arrays["out"])))
        check.close("out", encoder.hidden_states(samples), 1e-5)
        for name, match in arrays.matching(r"out_frame_num(\d+)"):
            check.close(name, encoder.hidden_states(samples, int(match[1])), 1e-5)
    return check.finish()
