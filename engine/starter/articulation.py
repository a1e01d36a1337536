"""Phones with times -> mouth control curves: what lips and jaw do while these sounds are spoken.

Coarticulation by dominance functions (Cohen & Massaro 1993, "Modeling coarticulation in synthetic visual speech"):
every phone pulls a control towards its target with a strength that falls off exponentially before and after it; the jaw
and the lips have separate strengths. Bilabial closures and labiodental contacts are then laid on top as ramps, because
they are contacts, not tendencies: they must be reached whatever the neighbours want.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GRID = 100  # Hz: the rate of the curves made here
CONTACT_RATE = 50  # Hz: lips meet and part more sharply than anything else on a face moves
ANTICIPATION, CARRY_OVER = 36.0, 29.0  # 1/s: how fast a phone's pull fades before its start and after its end
# What is seen leads what is heard: the jaw and the lips' shape move before their sound, by 0 to some 100 ms (Schwartz &
# Savariaux 2014), and viewers notice early sound sooner than late sound (ITU-R BT.1359: 45 ms against 125 ms). Contacts of
# the lips do not lead: the sound stops in the moment they meet.
LEAD = 0.040  # s
RAMP_IN, RAMP_OUT = 0.050, 0.030  # s: lips closing and opening
SHORTEST_CONTACT, LONGEST_CONTACT = 0.050, 0.160  # s

# Tendencies, blended by dominance. "spread": corners pulled out. "drop": lower lip off the lower teeth. "lift": upper lip up.
JAW, PUCKER, FUNNEL, SPREAD, DROP, LIFT, TONGUE = range(7)
TENDENCIES = ("jaw", "pucker", "funnel", "spread", "drop", "lift", "tongue")
# Contacts, laid on top.
CONTACTS = ("close", "fv")
CONTROLS = TENDENCIES + CONTACTS


@dataclass(frozen=True)
class Phone:
    """Targets of one phone, in weights of the control (0..1), and how strongly it insists on them."""

    jaw: float
    jaw_pull: float
    lip_pull: float
    pucker: float = 0.0
    funnel: float = 0.0
    spread: float = 0.0
    drop: float = 0.0
    lift: float = 0.0
    tongue: float = 0.0

    def targets(self) -> tuple[float, ...]:
        """In the order of TENDENCIES."""
        return (self.jaw, self.pucker, self.funnel, self.spread, self.drop, self.lift, self.tongue)


# Openings follow the order of vowel height (Ladefoged, A Course in Phonetics); jawOpen 1 is 31 mm between the lips and
# people speak with about a third to a half of it. Sibilants insist on a nearly shut jaw, rounded sounds on the lips.
# Within that they were adjusted to a recording with Rhubarb's cues (assets/starter/NOTES.md), which has æ no wider than ɛ.
ARTICULATION: dict[str, Phone] = {
    "sil": Phone(0, 1, 0.7),
    "p": Phone(0.065, 0.7, 0.25),
    "b": Phone(0.065, 0.65, 0.25),
    "m": Phone(0.065, 0.66, 0.25),
    "f": Phone(0.06, 1, 0.7, lift=0.1),
    "v": Phone(0.06, 1, 0.7, lift=0.1),
    "θ": Phone(0.075, 1, 0.5, drop=0.04, tongue=0.35),
    "ð": Phone(0.07, 1.1, 0.5, drop=0.04, tongue=0.3),
    "t": Phone(0.055, 1.3, 0.3, drop=0.05),
    "d": Phone(0.06, 1.1, 0.3, drop=0.05),
    "n": Phone(0.12, 0.8, 0.3, drop=0.06),
    "s": Phone(0.03, 1.8, 0.6, spread=0.15, drop=0.10, lift=0.02),
    "z": Phone(0.035, 1.9, 0.6, spread=0.15, drop=0.10, lift=0.02),
    "ts": Phone(0.04, 1.9, 0.5, spread=0.12, drop=0.11, lift=0.02),
    "ʃ": Phone(0.03, 2, 1.3, pucker=0.15, funnel=0.3, drop=0.04),
    "ʒ": Phone(0.04, 2, 1.3, pucker=0.15, funnel=0.3, drop=0.04),
    "tʃ": Phone(0.035, 2, 1.3, pucker=0.15, funnel=0.3, drop=0.04),
    "dʒ": Phone(0.04, 2, 1.3, pucker=0.15, funnel=0.3, drop=0.04),
    "k": Phone(0.17, 0.75, 0.15, drop=0.05),
    "ɡ": Phone(0.115, 0.8, 0.15, drop=0.05),
    "ŋ": Phone(0.13, 0.8, 0.15, drop=0.05),
    "x": Phone(0.12, 0.7, 0.15, drop=0.05),
    "ɲ": Phone(0.14, 0.7, 0.3, spread=0.15, drop=0.06),
    "l": Phone(0.19, 0.55, 0.25, drop=0.06),
    "ɾ": Phone(0.13, 0.5, 0.2, drop=0.05),
    "r": Phone(0.08, 0.75, 0.8, pucker=0.15, funnel=0.2),
    "w": Phone(0.185, 0.8, 1.5, pucker=0.8, funnel=0.08),
    "j": Phone(0.09, 0.8, 0.4, spread=0.25),
    "h": Phone(0.2, 0.1, 0.05),
    "ʔ": Phone(0.15, 0.1, 0.05),
    "i": Phone(0.055, 1.1, 0.9, spread=0.45, drop=0.08),
    "ɪ": Phone(0.115, 0.8, 0.6, spread=0.25, drop=0.12),
    "e": Phone(0.235, 0.87, 0.8, spread=0.35, drop=0.22),
    "ɛ": Phone(0.3, 0.88, 0.7, spread=0.2, drop=0.25),
    "æ": Phone(0.28, 0.97, 0.8, spread=0.22, drop=0.22, lift=0.06),
    "a": Phone(0.43, 0.8, 0.7, drop=0.2),
    "ɑ": Phone(0.495, 1.4, 0.7, drop=0.18),
    "ɒ": Phone(0.44, 1, 0.9, funnel=0.25, drop=0.1),
    "ɔ": Phone(0.45, 1.05, 1.1, pucker=0.1, funnel=0.4),
    "o": Phone(0.325, 0.93, 1.2, pucker=0.45, funnel=0.25),
    "ʊ": Phone(0.3, 0.85, 1, pucker=0.45, funnel=0.15),
    "u": Phone(0.21, 0.95, 1.4, pucker=0.8),
    "ʌ": Phone(0.35, 0.78, 0.5, drop=0.16),
    "ə": Phone(0.135, 0.5, 0.3, drop=0.08),
    "ɜ": Phone(0.32, 0.8, 0.7, pucker=0.05, funnel=0.25),
    "y": Phone(0.125, 0.9, 1.3, pucker=0.65),
    "ø": Phone(0.225, 0.88, 1.2, pucker=0.4, funnel=0.25),
}
# How much of the segment the lips are shut: the rest of a stop is its release and aspiration. Measured as the burst's
# median position in the synthesised segments: p .47 to .90, b .63 to .91 over the engines, m 1.0.
BILABIAL = {"p": 0.58, "b": 0.82, "m": 1.0}
LABIODENTAL = {"f": 1.0, "v": 1.0}


@dataclass(frozen=True)
class Style:
    """How one person speaks one sentence. Gains are factors, times seconds; the default is the plain table."""

    jaw_gain: float = 1.0
    lip_gain: float = 1.0
    fade: float = 1.0  # factor on how fast pulls fade: > 1 crisper
    vigour_spread: float = 0.0  # log-normal sigma of each phone's strength of articulation
    time_jitter: float = 0.0  # s, sigma of each boundary
    lag: float = 0.0  # s, the whole mouth late (> 0) or early
    lead: float = 0.0  # s, tendencies (not contacts) earlier by this
    lip_lead: float = 0.0  # s, the lips' tendencies earlier than the jaw by this


def random_style(rng: np.random.Generator) -> Style:
    """Spreads as measured to train well from synthesised speech: jaw .20, lips .18, vigour .16 (log-normal sigmas),
    fading x0.75..1.35, boundaries 10 ms, lag 12 ms; rounding begins a little before the jaw moves (Abry & Lallouache
    1995)."""
    return Style(
        jaw_gain=float(np.exp(rng.normal(0, 0.20))),
        lip_gain=float(np.exp(rng.normal(0, 0.18))),
        fade=float(np.exp(rng.uniform(np.log(0.75), np.log(1.35)))),
        vigour_spread=0.16,
        time_jitter=0.010,
        lag=float(rng.normal(0, 0.012)),
        lead=LEAD,
        lip_lead=float(rng.uniform(0, 0.03)),
    )


def mouth_controls(
    phones: list[str],
    starts: np.ndarray,
    ends: np.ndarray,
    seconds: float,
    style: Style = Style(),  # noqa: B008  (frozen)
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """(G, 9) float32 curves of CONTROLS at 100 Hz, sample g at g / 100 s, for phones [starts, ends) in seconds.

    `rng` is needed when the style has spread or jitter. Raises KeyError for a phone that is not in ARTICULATION.
    """
    table = [ARTICULATION[p] for p in phones]
    starts, ends = np.array(starts, float) + style.lag, np.array(ends, float) + style.lag
    count = round(seconds * GRID) + 1
    time = np.arange(count) / GRID
    vigour = np.ones(len(table))
    if rng is not None:
        vigour = np.exp(rng.normal(0, style.vigour_spread, len(table)))
        jitter = rng.normal(0, style.time_jitter, len(table) + 1)
        starts, ends = starts + jitter[:-1], ends + jitter[1:]
    targets = np.array([p.targets() for p in table]).reshape(-1, len(TENDENCIES)) * vigour[:, None]
    targets[:, JAW] *= style.jaw_gain
    targets[:, PUCKER:TONGUE] *= style.lip_gain
    pulls = np.array([(p.jaw_pull, p.lip_pull) for p in table]).reshape(-1, 2)

    curves = np.zeros((count, len(CONTROLS)), np.float32)
    groups = ((style.lead, [JAW]), (style.lead + style.lip_lead, [PUCKER, FUNNEL, SPREAD, DROP, LIFT, TONGUE]))
    for column, (lead, channels) in enumerate(groups):
        before = np.maximum(starts[None] - lead - time[:, None], 0)
        after = np.maximum(time[:, None] - ends[None] + lead, 0)
        weight = np.exp(-style.fade * (ANTICIPATION * before + CARRY_OVER * after)) * pulls[:, column]
        total = weight.sum(axis=1, keepdims=True)
        # A little of "rest" everywhere keeps the ends of a clip defined.
        curves[:, channels] = (weight @ targets[:, channels]) / (total + 1e-3)
    for column, group in enumerate((BILABIAL, LABIODENTAL), start=len(TENDENCIES)):
        for phone, start, end in zip(phones, starts, ends, strict=True):
            if phone in group:
                release = start + group[phone] * (end - start)
                np.maximum(curves[:, column], contact(time, start, release), out=curves[:, column])
    return np.clip(curves, 0, 1)


def contact(time: np.ndarray, start: float, end: float) -> np.ndarray:
    """(G,) 0..1: lips meet from `start` to `end` (at least 50, at most 160 ms), 50 ms to close and 30 ms to open."""
    middle, half = (start + end) / 2, np.clip(end - start, SHORTEST_CONTACT, LONGEST_CONTACT) / 2
    # A long closure is one held before its release: keep the release where it is.
    start, end = (end - 2 * half, end) if end - start > LONGEST_CONTACT else (middle - half, middle + half)
    return np.clip(np.minimum((time - (start - RAMP_IN)) / RAMP_IN, (end + RAMP_OUT - time) / RAMP_OUT), 0, 1)


def contact_frames(curves: np.ndarray, frames: int) -> np.ndarray:
    """(G, 9) at 100 Hz to the contacts alone (frames, 2) at CONTACT_RATE, frame n as it is at n / CONTACT_RATE seconds: no
    contact is so short that it falls between two frames."""
    sampled = curves[:: GRID // CONTACT_RATE, len(TENDENCIES) :][:frames]
    return np.pad(sampled, ((0, frames - len(sampled)), (0, 0)), mode="edge").astype(np.float32)


def to_frames(curves: np.ndarray, rate: int, frames: int) -> np.ndarray:
    """(G, 9) at 100 Hz to (frames, 9) at `rate` Hz (a divisor of 100), frame n centred on n / rate seconds.

    Tendencies are averaged over the frame; contacts take the greatest value, so that no closure is lost between frames.
    """
    step = GRID // rate
    half = step // 2
    need = frames * step
    padded = np.pad(curves, ((half, max(0, need - half - len(curves))), (0, 0)), mode="edge")[:need]
    blocks = padded.reshape(frames, step, -1)
    contacts = len(TENDENCIES)
    return np.concatenate([blocks[..., :contacts].mean(1), blocks[..., contacts:].max(1)], axis=1).astype(np.float32)
