"""Sound files to 16 kHz mono samples, and samples to log-mel frames.

Every system in the engine hears 16 kHz mono float32; the log-mel features are the starter model's own input. Everything
but the decoding of other files than WAV is NumPy only, and gives the same numbers on every computer.
"""

from __future__ import annotations

import math
import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from . import wav
from .devices import FULL_ENGINE
from .errors import InputError

SAMPLE_RATE = 16_000  # Hz
MEL_HOP = 160  # samples: 100 frames per second
MEL_WINDOW = 512  # samples: 32 ms, Hann
MEL_BANDS = 80
MEL_RANGE = (50.0, 7600.0)  # Hz
MAX_SECONDS = 4 * 3600
# Frames quieter than this below full scale are never amplified to speech level (digital silence, room tone).
QUIETEST_SPEECH_DB = -55.0
RATES = (1_000, 2_000_000)  # Hz; a sound that claims another is damaged, and would be resampled for hours
LONGEST_FILTER = 200_000  # of the two factors of a change of rate


def load_audio(path: str | os.PathLike[str]) -> np.ndarray:
    """The sound of a file (wav, flac, ogg, mp3, m4a, or a video's) as (S,) float32 mono at 16 kHz in about -1..1.

    All channels are averaged. Raises InputError with one sentence when the file is missing, empty, cut off, longer than
    four hours, not sound, or holds samples that are not numbers.
    """
    path = Path(path)
    name = path.name
    if not path.is_file():
        raise InputError(f"There is no sound file '{path}'.")
    if path.stat().st_size == 0:
        raise InputError(f"The sound file '{name}' is empty.")
    samples, rate = _decoded(path)
    if samples.size == 0:
        raise InputError(f"The sound file '{name}' holds no samples.")
    if not np.isfinite(samples).all():
        raise InputError(f"The sound file '{name}' holds samples that are not numbers.")
    if len(samples) > MAX_SECONDS * rate:
        raise InputError(f"The sound file '{name}' is longer than {MAX_SECONDS // 3600} hours.")
    return resample(samples, rate)


def _decoded(path: Path) -> tuple[np.ndarray, int]:
    """(S,) float32 and their rate in Hz."""
    if wav.is_wav(path):
        header = wav.read_header(path)
        if wav.is_plain(header):
            if header.length > MAX_SECONDS * header.rate * header.channels * header.bits // 8:
                raise InputError(f"The sound file '{path.name}' is longer than {MAX_SECONDS // 3600} hours.")
            return wav.read_samples(path, header), header.rate
    if find_spec("soundfile") is None or find_spec("av") is None:
        raise InputError(f"'{path.name}' is not a plain WAV file, and every other kind of sound {FULL_ENGINE}.")
    try:
        return _read_with_soundfile(path)
    except _NotForSoundfile:
        return _read_with_av(path)


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """(S,) float samples at `rate` Hz to (S',) float32 at 16 kHz by polyphase filtering (zero phase, no delay).

    A windowed sinc (Kaiser, beta 5) of 10 zero crossings on each side, cut off at the lower of the two Nyquist rates. Only
    products and sums of float64 in a fixed order, so that every computer gets the same samples. Raises InputError.
    """
    if rate == SAMPLE_RATE:
        return np.ascontiguousarray(samples, dtype=np.float32)
    common = math.gcd(rate, SAMPLE_RATE)
    up, down = SAMPLE_RATE // common, rate // common
    if not RATES[0] <= rate <= RATES[1] or max(up, down) > LONGEST_FILTER:
        raise InputError(f"The sound claims {rate} samples per second, which is no rate of sound.")
    reach = 10 * max(up, down)
    at = np.arange(-reach, reach + 1) / max(up, down)
    taps = np.sinc(at) * np.kaiser(2 * reach + 1, 5.0)
    taps *= up / taps.sum()
    count = 2 * reach // up + 1  # samples that one output sees, at most
    table = np.zeros((count, up))  # [k, phase]: what the k-th newest of them is weighted with
    table.ravel()[: len(taps)] = taps
    padded = np.pad(np.asarray(samples, np.float32), count)
    out = np.empty(-(-len(samples) * up // down), np.float32)
    for start in range(0, len(out), 1 << 14):  # blocks that stay in the processor's cache
        position = np.arange(start, min(start + (1 << 14), len(out))) * down + reach
        newest, phase = position // up + count, position % up
        mixed = np.zeros(len(position))
        for k in range(count):
            mixed += padded[newest - k] * table[k, phase]
        out[start : start + len(position)] = mixed
    return out


def log_mel(samples: np.ndarray) -> np.ndarray:
    """(S,) float32 at 16 kHz to (1 + S // 160, 80) float32: log-mel frames, frame k centred on k * 10 ms.

    HTK mel filters over the power spectrum, natural logarithm, shifted so that the clip's loud speech (90th percentile of
    the frame energies) sits at 0 and scaled to about -2..1; the level of the recording therefore does not matter.
    """
    bands = mel_filters()
    mel = np.empty((mel_frames(len(samples)), MEL_BANDS), np.float32)
    for start in range(0, len(mel), 4096):  # bounded memory for hours of sound
        spectra = frame_spectra(samples, start, min(start + 4096, len(mel)))
        mel[start : start + 4096] = (spectra.real**2 + spectra.imag**2) @ bands
    return normalise_level(mel)


def mel_frames(count: int) -> int:
    """How many frames `log_mel` makes of `count` samples."""
    return 1 + count // MEL_HOP


def frame_spectra(samples: np.ndarray, first: int, last: int) -> np.ndarray:
    """(S,) float32 to (last - first, 257) complex64: the spectra of `log_mel`'s frames under their Hann window."""
    start, stop = first * MEL_HOP - MEL_WINDOW // 2, (last - 1) * MEL_HOP + MEL_WINDOW // 2
    part = np.asarray(samples[max(0, start) : max(0, stop)], np.float32)
    padded = np.pad(part, (max(0, -start), stop - max(0, start) - len(part)))
    window = np.hanning(MEL_WINDOW + 1)[:-1].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, MEL_WINDOW)[::MEL_HOP]
    return np.fft.rfft(frames * window, axis=1).astype(np.complex64)


def normalise_level(mel: np.ndarray) -> np.ndarray:
    """(T, 80) mel powers to the level-normalised logarithm described in `log_mel`."""
    full_scale = (MEL_WINDOW / 4) ** 2  # power of a full-scale sine under the Hann window
    energy = mel.sum(axis=1) / full_scale
    loud = max(float(np.percentile(energy, 90)), 10 ** (QUIETEST_SPEECH_DB / 10))
    return (np.log(mel / (full_scale * loud) + 1e-6) / 4.0 + 1.0).astype(np.float32)


@lru_cache(maxsize=1)
def mel_filters() -> np.ndarray:
    """(257, 80) float32 triangular filters, equally spaced on the HTK mel scale 2595 log10(1 + f / 700)."""
    low, high = (2595 * math.log10(1 + f / 700) for f in MEL_RANGE)
    edges = 700 * (10 ** (np.linspace(low, high, MEL_BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(MEL_WINDOW, 1 / SAMPLE_RATE)[:, None]
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


class _NotForSoundfile(Exception):
    pass


def _read_with_soundfile(path: Path) -> tuple[np.ndarray, int]:
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            if file.frames > MAX_SECONDS * file.samplerate:
                raise InputError(f"The sound file '{path.name}' is longer than {MAX_SECONDS // 3600} hours.")
            blocks = [b.mean(axis=1) for b in file.blocks(max(1, (1 << 18) // file.channels), dtype="float32", always_2d=True)]
            rate = file.samplerate
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _NotForSoundfile from error
    return (np.concatenate(blocks) if blocks else np.zeros(0, np.float32)), rate


def _read_with_av(path: Path) -> tuple[np.ndarray, int]:
    import av

    try:
        with av.open(str(path), mode="r") as container:
            if not container.streams.audio:
                raise InputError(f"'{path.name}' has no sound in it.")
            resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            blocks, total = [], 0
            for frame in container.decode(container.streams.audio[0]):
                blocks += [out.to_ndarray()[0] for out in resampler.resample(frame)]
                total += frame.samples
                if total > MAX_SECONDS * frame.sample_rate:
                    raise InputError(f"The sound file '{path.name}' is longer than {MAX_SECONDS // 3600} hours.")
            blocks += [out.to_ndarray()[0] for out in resampler.resample(None)]
    except (av.FFmpegError, UnicodeDecodeError) as error:
        raise InputError(f"'{path.name}' is not a sound or video file that can be read.") from error
    return (np.concatenate(blocks) if blocks else np.zeros(0, np.float32)), SAMPLE_RATE
