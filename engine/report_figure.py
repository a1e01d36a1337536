"""The report's picture: the lip gap over the sound, with the phones; closures that were missed are red. SVG, no library."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from .sync import BILABIALS, CLOSED, TOLERANCE, Phones

SECOND = 220  # pixels
ROW_SECONDS = 6.0
LONGEST = 60.0  # s drawn at most: the page stays readable
WAVE, GAP, LABELS = 60, 130, 26  # heights, pixels
ROW = WAVE + GAP + LABELS + 24
MARGIN = 40


def draw_report(
    path: Path, title: str, gap: np.ndarray, fps: float, samples: np.ndarray, rate: int, phones: Phones
) -> None:
    """Write the SVG: per row of six seconds the waveform, the phones and the gap (0 to 1.2 of its 95th percentile) with
    the limit of "closed". p, b, m are shaded, red where no frame within the tolerance is closed; closed frames are dots,
    red where no p, b, m is near and the phone is no silence.

    gap: (T,) at `fps`; samples: (S,) at `rate` Hz, empty where there is no sound.
    """
    seconds = min(len(gap) / fps, LONGEST)
    rows = max(1, int(np.ceil(seconds / ROW_SECONDS)))
    width = round(min(seconds, ROW_SECONDS) * SECOND) + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{rows * ROW + 50}" font-family="sans-serif">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{MARGIN}" y="20" font-size="14">{escape(title)}</text>',
    ]
    for row in range(rows):
        first, last = row * ROW_SECONDS, min((row + 1) * ROW_SECONDS, seconds)
        parts.append(f'<g transform="translate({MARGIN},{34 + row * ROW})">')
        parts += _row(first, last, gap, fps, samples, rate, phones)
        parts.append("</g>")
    path.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")


def _row(
    first: float, last: float, gap: np.ndarray, fps: float, samples: np.ndarray, rate: int, phones: Phones
) -> list[str]:
    parts: list[str] = []
    time = np.arange(len(gap)) / fps
    bottom = WAVE + LABELS + GAP
    near_lips = np.zeros(len(gap), bool)
    quiet = np.zeros(len(gap), bool)

    def x(second: float) -> float:
        return (min(max(second, first), last) - first) * SECOND

    for name, start, end in zip(phones.names, phones.starts, phones.ends, strict=True):
        near = (time >= start - TOLERANCE) & (time <= end + TOLERANCE)
        if name in BILABIALS:
            near_lips |= near
        elif name == "sil":
            quiet |= near
        if end <= first or start >= last:
            continue
        if name in BILABIALS:
            missed = not (gap[near] < CLOSED).any()
            parts.append(
                f'<rect x="{x(start):.1f}" y="{WAVE}" width="{x(end) - x(start):.1f}" height="{bottom - WAVE}" '
                f'fill="{"#d62728" if missed else "#1f77b4"}" opacity="{0.45 if missed else 0.18}"/>'
            )
        label = "" if name == "sil" else escape(name)
        parts.append(f'<line x1="{x(start):.1f}" x2="{x(start):.1f}" y1="{WAVE}" y2="{WAVE + LABELS}" stroke="#ccc"/>')
        parts.append(
            f'<text x="{(x(start) + x(end)) / 2:.1f}" y="{WAVE + 17}" font-size="11" text-anchor="middle">{label}</text>'
        )
    if len(samples):
        loudest = max(float(np.abs(samples).max()), 1e-6)
        columns = []
        for pixel in range(0, round((last - first) * SECOND), 2):
            at = first + pixel / SECOND
            part = samples[round(at * rate) : round((at + 2 / SECOND) * rate)]
            if len(part):
                low, high = (WAVE / 2 * (1 - float(v) / loudest) for v in (part.max(), part.min()))
                columns.append(f"M{pixel} {low:.1f}V{high + 0.5:.1f}")
        parts.append(f'<path d="{"".join(columns)}" stroke="#888" fill="none"/>')
    limit = bottom - CLOSED / 1.2 * GAP
    end_x = x(last)
    parts.append(
        f'<line x1="0" x2="{end_x:.0f}" y1="{limit:.1f}" y2="{limit:.1f}" stroke="#999" stroke-dasharray="4 3"/>'
    )
    parts.append(f'<line x1="0" x2="{end_x:.0f}" y1="{bottom}" y2="{bottom}" stroke="#333"/>')
    shown = np.flatnonzero((time >= first) & (time <= last))
    heights = bottom - np.clip(gap[shown], 0, 1.2) / 1.2 * GAP
    points = " ".join(f"{x(time[i]):.1f},{y:.1f}" for i, y in zip(shown, heights, strict=True))
    parts.append(f'<polyline points="{points}" fill="none" stroke="#111" stroke-width="1.4"/>')
    for i, y in zip(shown, heights, strict=True):
        if gap[i] < CLOSED and not quiet[i]:
            colour = "#1f77b4" if near_lips[i] else "#d62728"
            parts.append(f'<circle cx="{x(time[i]):.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"/>')
    for second in range(int(np.ceil(first)), int(last) + 1):
        parts.append(f'<text x="{x(second):.0f}" y="{bottom + 13}" font-size="10" fill="#666">{second} s</text>')
    return parts
