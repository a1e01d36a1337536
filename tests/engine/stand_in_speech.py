"""Stand-ins for flite, festival and libespeak-ng that answer as the real ones do: sound, and labels in each one's form.

They say every letter as a fixed sound, a buzz for vowels, a hum for nasals, hiss for fricatives and quiet for stops, so
that labels can be checked against the sound. flite and festival are commands (this file run with their name), espeak-ng
a shared library (`Espeak` has its C functions and calls the callback with real C memory).
"""

import ctypes
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import wavfile

VOWELS, NASALS, STOPS = "aeiouy", "mn", "pbtdkgcq"
# Letter -> label; the radio set is also flite's. Letters that are not here, and every other alphabet, are said "a".
RADIO = {"a": "aa", "e": "eh", "i": "iy", "o": "ow", "u": "uw", "y": "ih", "m": "m", "n": "n", "p": "p", "b": "b",
         "t": "t", "d": "d", "k": "k", "c": "k", "q": "k", "g": "g", "s": "s", "f": "f", "v": "v"}  # fmt: skip
ITALIAN = {**{c: c for c in "aeioumnpbtdkgsfv"}, "y": "i", "c": "k", "q": "k"}
IPA = {**ITALIAN, "g": "ɡ"}
SECONDS = 0.07  # of every sound at normal speed


def utter(text: str, rate: int, stretch: float) -> tuple[np.ndarray, list[tuple[str, int, int]]]:
    """(N,) int16 samples at `rate` Hz and (letter, first, last + 1) in samples; " " at both ends and between clauses."""
    letters = [" "] + [c if c in RADIO else "a" for c in re.sub(r"[^\w,.]", "", text.lower()).replace(",", "")] + [" "]
    length = round(SECONDS * stretch * rate)
    time = np.arange(length) / rate
    random = np.random.default_rng(0)
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k**0.5 for k in range(1, 25))
    sounds = {
        "vowel": 3000 * buzz,
        "nasal": 3000 * np.sin(2 * np.pi * 120 * time),
        "hiss": 800 * random.standard_normal(length),
        "quiet": np.zeros(length),
    }
    kinds = dict.fromkeys(VOWELS, "vowel") | dict.fromkeys(NASALS, "nasal") | dict.fromkeys(STOPS + " ", "quiet")
    samples = np.concatenate([sounds[kinds.get(c, "hiss")] for c in letters]).clip(-30000, 30000).astype(np.int16)
    return samples, [(c, i * length, (i + 1) * length) for i, c in enumerate(letters)]


def flite(arguments: list[str]) -> None:
    """flite -voice NAME --setf duration_stretch=X --setf ... -psdur -t TEXT OUT.wav: one line "phone:end ..."."""
    if arguments == ["-lv"]:
        print("Voices available: kal awb_time kal16 awb rms slt ")
        return
    stretch = next(float(a.split("=")[1]) for a in arguments if a.startswith("duration_stretch="))
    samples, spoken = utter(arguments[arguments.index("-t") + 1], 16000, stretch)
    wavfile.write(arguments[-1], 16000, samples)
    print(" ".join(f"{RADIO.get(c, 'pau')}:{end / 16000:.3f}" for c, _, end in spoken), "")


def festival(arguments: list[str]) -> None:
    """festival -b FILE.scm with the calls (say "TEXT" STRETCH PITCH "STEM"): STEM.wav and STEM.lab."""
    script = Path(arguments[-1]).read_bytes().decode("iso-8859-1")
    italian = "(voice_lp_diphone)" in script
    table, pause = (ITALIAN, "#") if italian else (RADIO, "pau")
    for text, stretch, _, stem in re.findall(r'\(say "(.*)" (\S+) (\S+) "(.*)"\)', script):
        samples, spoken = utter(text, 16000, float(stretch))
        wavfile.write(stem + ".wav", 16000, samples)
        rows = [f"{end / 16000:.4f} 100 {table.get(c, pause)}" for c, _, end in spoken]
        Path(stem + ".lab").write_text("\n".join(["#", *rows, ""]), "ascii")


class Espeak:
    """The functions of libespeak-ng that the project calls. Like the real library it reports a voiceless stop at its
    release: late by 41 ms at 175 words a minute."""

    def __init__(self, event: Any) -> None:
        self.event, self.rate, self.callback = event, 175, None

    def espeak_Initialize(self, _output: int, _length: int, _path: None, _options: int) -> int:
        return 22050

    def espeak_SetSynthCallback(self, callback: Any) -> None:
        self.callback = callback

    def espeak_SetVoiceByName(self, name: bytes) -> int:
        return 0 if re.fullmatch(rb"[a-z]{2,3}(-[a-z0-9]+)*(\+\w+)?", name) else 2

    def espeak_SetParameter(self, parameter: int, value: int, _relative: int) -> int:
        self.rate = value if parameter == 1 else self.rate
        return 0

    def espeak_Synth(self, data: bytes, size: int, *_rest: Any) -> int:
        assert data[size - 1] == 0
        samples, spoken = utter(data[:-1].decode("utf-8"), 22050, 175 / self.rate)
        late = round(0.041 * 22050 * 175 / self.rate)
        starts = [(IPA.get(c, ""), start + (late if c in "ptkcq" else 0)) for c, start, _ in spoken]
        wave = (ctypes.c_short * len(samples))(*samples.tolist())
        events = (self.event * (len(starts) + 1))()
        for slot, (name, start) in zip(events, starts, strict=False):
            slot.type, slot.sample = 7, start
            slot.id.string = name.encode()
        assert self.callback is not None
        self.callback(wave, len(samples), events)
        self.callback(None, 0, (self.event * 1)())
        return 0


def install(folder: Path, monkeypatch: Any) -> None:
    """Put the three in front of whatever this machine has, until the test ends. `folder`: an empty temporary folder."""
    from engine.starter import speakers, voices

    for name in ("flite", "festival"):
        command = folder / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" {name} "$@"\n')
        command.chmod(0o755)
    for language, voice in (("english", "kal_diphone"), ("english", "ked_diphone"), ("italian", "lp_diphone")):
        (folder / "voices" / language / voice).mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(voices, "FESTIVAL_VOICES", folder / "voices")
    real = ctypes.CDLL
    stand_in = Espeak(speakers._Event)
    monkeypatch.setattr(ctypes, "CDLL", lambda name, *a, **k: stand_in if name == "stand-in" else real(name, *a, **k))
    for module in (speakers, voices):
        monkeypatch.setattr(module, "find_library", lambda name: "stand-in")
    for cached in (speakers._espeak, voices.find_voices):
        cached.cache_clear()


if __name__ == "__main__":
    {"flite": flite, "festival": festival}[sys.argv[1]](sys.argv[2:])
