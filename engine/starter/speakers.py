"""The three synthesisers behind one form: text and style in, sound and phone segments out (uncovered, unchecked)."""

import ctypes
import functools
import subprocess
import tempfile
from collections.abc import Sequence
from ctypes.util import find_library
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

from .phones import NASALS, VOICELESS_STOPS, VOWELS, from_espeak, from_festival, from_flite
from .segments import Segment, SynthesisError, expand, start_earlier
from .voices import ESPEAK_VARIANTS, Voice

SAMPLE_RATE = 16000
MISTIMED_S = 0.15
CHILD_TIMEOUT_S = 300

Speech = tuple[np.ndarray, list[Segment]]


@dataclass(frozen=True)
class Style:
    """How an utterance is spoken. rate: words a minute (espeak); stretch: durations times this (flite, festival, but
    not its unit selection); pitch: factor on the voice's mean F0 (flite, festival's English diphones); pitch_level,
    pitch_range: espeak's 0..99; variant: espeak's.
    """

    rate: int = 175
    stretch: float = 1.0
    pitch: float = 1.0
    pitch_level: int = 50
    pitch_range: int = 50
    variant: str = ""


def draw_style(rng: Random) -> Style:
    """A random style; the fields a voice's engine does not have are ignored by it."""
    return Style(
        rate=rng.randint(110, 260),
        stretch=round(rng.uniform(0.75, 1.4), 3),
        pitch=round(rng.uniform(0.85, 1.2), 3),
        pitch_level=rng.randint(20, 80),
        pitch_range=rng.randint(15, 85),
        variant=rng.choice(("", "", "", *ESPEAK_VARIANTS)),
    )


def to_mono_16k(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """(N,) int16 or float at any rate -> (M,) float32 in [-1, 1] at 16 kHz."""
    if samples.dtype == np.int16:
        samples = samples / np.float32(32768)
    if sample_rate != SAMPLE_RATE:
        common = gcd(sample_rate, SAMPLE_RATE)
        samples = resample_poly(samples, SAMPLE_RATE // common, sample_rate // common)
    return np.clip(samples, -1, 1).astype(np.float32)


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_SYNCHRONOUS = 2
_PHONEME_EVENTS_IPA_DONT_EXIT = 0x0001 | 0x0002 | 0x8000
_UTF8 = 1
_EVENT_LIST_END, _EVENT_PHONEME = 0, 7
_RATE, _PITCH, _RANGE = 1, 3, 4


class _Espeak:
    """libespeak-ng in this process. The library has one global state, so there is one of these (`_espeak`)."""

    def __init__(self) -> None:
        name = find_library("espeak-ng")
        if name is None:
            raise SynthesisError("espeak-ng is not installed (Debian package libespeak-ng1).")
        self.library = ctypes.CDLL(name)
        self.sample_rate: int = self.library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS_IPA_DONT_EXIT)
        self.sound: list[np.ndarray] = []
        self.events: list[tuple[str, int]] = []
        prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
        self.callback = prototype(self._receive)  # kept: the library holds only a pointer
        self.library.espeak_SetSynthCallback(self.callback)

    def _receive(self, wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            self.sound.append(np.ctypeslib.as_array(wave, (count,)).copy())
        i = 0
        while events[i].type != _EVENT_LIST_END:
            if events[i].type == _EVENT_PHONEME:
                raw = ctypes.string_at(ctypes.addressof(events[i].id), 8).split(b"\0")[0]
                self.events.append((raw.decode("utf-8", "replace"), events[i].sample))
            i += 1
        return 0

    def speak(self, voice: str, text: str, style: Style) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
        named = f"{voice}+{style.variant}" if style.variant else voice
        if self.library.espeak_SetVoiceByName(named.encode()) != 0:
            raise SynthesisError(f"espeak-ng has no voice {named}.")
        for parameter, value in ((_RATE, style.rate), (_PITCH, style.pitch_level), (_RANGE, style.pitch_range)):
            self.library.espeak_SetParameter(parameter, value, 0)
        self.sound.clear()
        self.events.clear()
        data = text.encode("utf-8") + b"\0"
        self.library.espeak_Synth(data, len(data), 0, 0, 0, _UTF8, None, None)
        if not self.sound or not self.events:
            raise SynthesisError("espeak-ng said nothing.")
        samples = np.concatenate(self.sound)
        starts = [sample / self.sample_rate for _, sample in self.events] + [len(samples) / self.sample_rate]
        labels = [(name, starts[i], starts[i + 1]) for i, (name, _) in enumerate(self.events)]
        return samples, labels


@functools.cache
def _espeak() -> _Espeak:
    return _Espeak()


def speak_espeak(voice: Voice, text: str, style: Style) -> Speech:
    """espeak-ng in this process (not for threads). Raises SynthesisError."""
    engine = _espeak()
    samples, labels = engine.speak(voice.name, text, style)
    segments = start_earlier(expand(labels, from_espeak), lambda a, b: _espeak_lead_s(a, b) * 175 / style.rate)
    return to_mono_16k(samples, engine.sample_rate), segments


def _espeak_lead_s(before: str, phone: str) -> float:
    """How long before its event a phone of espeak-ng begins, at 175 words a minute (measured, see VOICES.md).

    A voiceless stop is reported at its release: the closure is hidden in the phone before. The vowel after a nasal
    begins inside what is reported as the nasal.
    """
    if phone in VOICELESS_STOPS:
        return 0.041
    if before in NASALS and phone in VOWELS:
        return 0.024
    return 0.012 if phone == "m" else 0.0


# Hz, the voices' own mean F0 as flite sets it.
_FLITE_F0 = {"kal16": 95.0, "rms": 100.0, "slt": 165.0, "awb": 130.0}


def speak_flite(voice: Voice, text: str, style: Style) -> Speech:
    """flite's command, for one sentence (its clock restarts with each sentence of a text). Raises SynthesisError."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "speech.wav"
        command = ["flite", "-voice", voice.name, "--setf", f"duration_stretch={style.stretch}"]
        command += ["--setf", f"int_f0_target_mean={_FLITE_F0[voice.name] * style.pitch:.1f}"]
        command += ["-psdur", "-t", text, str(out)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SynthesisError(f"flite could not speak: {error}") from error
        if done.returncode != 0 or not out.is_file():
            raise SynthesisError(f"flite failed: {done.stderr.strip()[-200:]}")
        sample_rate, samples = wavfile.read(out)
    labels = []
    start = 0.0
    for item in done.stdout.split():
        name, _, end = item.rpartition(":")
        labels.append((name, start, float(end)))
        start = float(end)
    return _timed(to_mono_16k(samples, sample_rate), expand(labels, from_flite))


_FESTIVAL_SCRIPT = """
(define (mean_times params name factor)
  (mapcar (lambda (pair) (if (string-equal (car pair) name) (list name (* factor (cadr pair))) pair)) params))
(define (say text stretch pitch out)
  (unwind-protect
   (let ((utt (eval (list 'Utterance 'Text text))))
     (Param.set 'Duration_Stretch stretch)
     (if own_lr_params (set! int_lr_params (mean_times own_lr_params 'target_f0_mean pitch)))
     (if own_hts_params
         (set! hts_engine_params (append own_hts_params (list (list "-r" (/ 1 stretch))))))
     (utt.synth utt)
     (utt.save.segs utt (string-append out ".lab"))
     (utt.save.wave utt (string-append out ".wav") 'riff))
   (format stderr "failed: %s\\n" out)))
"""


def speak_festival(voice: Voice, requests: Sequence[tuple[str, Style]]) -> list[Speech | SynthesisError]:
    """Many utterances of one festival voice in one process; an utterance that failed is a SynthesisError in the list.

    Raises SynthesisError when festival itself cannot run.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = _FESTIVAL_SCRIPT + f"(voice_{voice.name})\n"
        # Only the English diphones have an F0 mean to move; HTS voices ignore Duration_Stretch and have their own rate.
        uses_lr = voice.name in ("kal_diphone", "ked_diphone")
        script += f"(set! own_lr_params {'int_lr_params' if uses_lr else 'nil'})\n"
        script += f"(set! own_hts_params {'hts_engine_params' if voice.name.endswith('_hts') else 'nil'})\n"
        for i, (text, style) in enumerate(requests):
            quoted = text.replace("\\", " ").replace('"', " ")
            script += f'(say "{quoted}" {style.stretch} {style.pitch} "{folder}/{i}")\n'
        path = Path(folder) / "speak.scm"
        path.write_bytes(script.encode(voice.encoding, "replace"))
        try:
            subprocess.run(["festival", "-b", str(path)], capture_output=True, timeout=CHILD_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SynthesisError(f"festival could not speak: {error}") from error
        return [_festival_result(Path(folder) / str(i), voice) for i in range(len(requests))]


def _festival_result(stem: Path, voice: Voice) -> Speech | SynthesisError:
    wave, lab = stem.with_suffix(".wav"), stem.with_suffix(".lab")
    if not wave.is_file() or not lab.is_file():
        return SynthesisError(f"festival's {voice.name} could not say this.")
    try:
        sample_rate, samples = wavfile.read(wave)
        labels = []
        start = 0.0
        for line in lab.read_text("ascii", "replace").splitlines():
            fields = line.split()
            if len(fields) == 3:
                labels.append((fields[2], start, float(fields[0])))
                start = float(fields[0])
        segments = expand(labels, lambda name: from_festival(name, voice.phoneset))
        return _timed(to_mono_16k(samples, sample_rate), segments)
    except SynthesisError as error:
        return error
    except ValueError as error:
        return SynthesisError(f"festival's {voice.name} wrote an unreadable file: {error}")


def _timed(samples: np.ndarray, segments: list[Segment]) -> Speech:
    if not segments or abs(segments[-1][2] - len(samples) / SAMPLE_RATE) > MISTIMED_S:
        raise SynthesisError("The labels and the sound differ in length.")
    return samples, segments
