"""The synthesised-speech corpus: phone maps, segments, texts, and the engines (stand-ins that answer as they do; the
real ones are checked by scripts/check_synthesisers.py)."""

import csv
import json
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.starter import speakers, synthesis
from engine.starter.languages import PHRASES, SPELLINGS
from engine.starter.phones import (
    PHONES,
    UNKNOWN,
    VOWELS,
    from_arpabet,
    from_espeak,
    from_festival,
    from_flite,
    from_labels,
    from_mrpa,
    part_shares,
)
from engine.starter.segments import SynthesisError, check_speech, cover, expand, start_earlier
from engine.starter.speakers import SAMPLE_RATE, Style, draw_style
from engine.starter.text import sentence
from engine.starter.voices import Voice, find_voices

from . import stand_in_speech

# Every label that the engines were seen to emit (festival: every label of the voices' phone sets).
RECORDED = json.loads((Path(__file__).parent / "engine_labels.json").read_text("utf-8"))
HUMAN_SPEECH = Path(__file__).resolve().parents[3] / "shared" / "human_speech"
ENGINES = ("espeak", "flite", "festival")


@pytest.fixture
def synthesisers(tmp_path, monkeypatch):
    """Stand-ins of the three programs instead of what this machine has."""
    (tmp_path / "programs").mkdir()
    stand_in_speech.install(tmp_path / "programs", monkeypatch)
    yield
    for cached in (speakers._espeak, find_voices):
        cached.cache_clear()


def voice_of(engine: str) -> Voice:
    return next(v for v in find_voices() if v.engine == engine and v.language.startswith("en"))


def test_the_order_of_the_phones_is_that_of_the_file_format():
    assert " ".join(PHONES) == (
        "sil p b m f v θ ð t d n s z ʃ ʒ tʃ dʒ ts k ɡ ŋ ɲ x h ʔ r ɾ l w j i ɪ e ɛ æ a ɑ ɒ ɔ o ʊ u ʌ ə ɜ y ø"
    )


@pytest.mark.parametrize("label", RECORDED["espeak"])
def test_every_label_of_espeak_is_known(label):
    assert set(from_espeak(label)) <= set(PHONES)


def test_every_label_of_flite_and_festival_is_known():
    for label in RECORDED["flite"]:
        assert set(from_flite(label)) <= set(PHONES), label
        assert from_flite(label) == from_festival(label, "radio")
    for phoneset, labels in RECORDED["festival"].items():
        for label in labels:
            phones = from_festival(label, phoneset)
            assert phones and set(phones) <= set(PHONES), (phoneset, label)


def test_labels_of_the_same_sound_agree_between_engines():
    assert from_espeak("aɪ") == from_flite("ay") == from_arpabet("AY1") == from_mrpa("aI") == ["a", "ɪ"]
    assert from_espeak("tʃ") == from_flite("ch") == from_festival("c~", "czech") == from_festival("tS1", "italian")
    assert from_espeak("oːɹ") == ["o", "r"] and from_espeak("n̩") == ["n"] and from_espeak("ɡʰ") == ["ɡ"]
    assert from_espeak("ɔ̃") == from_espeak("ɔː") == ["ɔ"] and from_espeak("ç") == from_espeak("c\u0327") == ["x"]
    assert from_espeak("r") == from_festival("rr", "catalan") == ["ɾ"] and from_espeak("r̝") == ["ʒ"]
    assert from_espeak("") == from_flite("pau") == from_festival("#", "italian") == from_arpabet("SIL") == ["sil"]
    assert from_arpabet("AH0") == ["ə"] and from_arpabet("AH1") == from_arpabet("ah") == ["ʌ"]
    assert from_espeak("(en)") == from_espeak("ː") == []
    assert from_espeak("ǃ") == from_flite("qq") == from_festival("ö", "czech") == from_mrpa("ö") == [UNKNOWN]


def test_a_recordings_label_set_is_chosen_as_a_whole():
    assert from_labels(["SIL", "D", "AY1", "N"]) == [["sil"], ["d"], ["a", "ɪ"], ["n"]]
    assert from_labels(["#", "D", "@", "b", "r", "A", "N"]) == [["sil"], ["ð"], ["ə"], ["b"], ["r"], ["ɑ"], ["ŋ"]]
    assert from_labels(["sil", "m", "ə", "œ", "θ"]) == [["sil"], ["m"], ["ə"], ["ø"], ["θ"]]
    assert from_labels(["B", "???", "AA1"]) == [["b"], [UNKNOWN], ["ɑ"]]


@pytest.mark.skipif(not HUMAN_SPEECH.is_dir(), reason="no ../shared folder")
def test_every_label_of_the_human_recordings_is_known():
    files = list(HUMAN_SPEECH.rglob("*phones.csv"))
    assert len(files) >= 19
    for path in files:
        with path.open(newline="", encoding="utf-8") as file:
            names = [row["phone"] for row in csv.DictReader(file)]
        for name, phones in zip(names, from_labels(names), strict=True):
            assert set(phones) <= set(PHONES), (path.name, name)


@given(st.lists(st.sampled_from(PHONES), min_size=1, max_size=5))
def test_shares_of_a_label_sum_to_one(phones):
    shares = part_shares(phones)
    assert len(shares) == len(phones) and min(shares) > 0 and sum(shares) == pytest.approx(1)


def test_diphthongs_are_split_and_empty_labels_join_the_phone_before():
    segments = expand([("b", 0.0, 0.1), ("aɪ", 0.1, 0.3), ("ː", 0.3, 0.4), ("", 0.4, 0.5)], from_espeak)
    assert [phone for phone, _, _ in segments] == ["b", "a", "ɪ", "sil"]
    assert [end for _, _, end in segments] == pytest.approx([0.1, 0.22, 0.4, 0.5])
    with pytest.raises(SynthesisError, match="no phone class"):
        expand([("ǃ", 0.0, 0.1)], from_espeak)


times = st.floats(-1.0, 12.0)
raw_segments = st.lists(st.tuples(st.sampled_from(PHONES), times, times), max_size=40)


@given(raw_segments, st.floats(0.01, 10.0))
def test_the_cover_is_complete_sorted_and_without_overlap(segments, duration):
    covered = cover(segments, duration)
    assert covered[0][1] == 0.0 and covered[-1][2] == duration
    for (_, start, end), following in zip(covered, [*covered[1:], None], strict=True):
        assert end > start
        if following is not None:
            assert following[1] == end
    assert not any(a[0] == b[0] == "sil" for a, b in pairwise(covered))


def test_the_cover_keeps_good_segments_and_fills_gaps():
    assert cover([("b", 0.2, 0.3), ("a", 0.3, 0.5), ("m", 0.7, 0.8)], 1.0) == [
        ("sil", 0.0, 0.2),
        ("b", 0.2, 0.3),
        ("a", 0.3, 0.5),
        ("sil", 0.5, 0.7),
        ("m", 0.7, 0.8),
        ("sil", 0.8, 1.0),
    ]


@given(st.lists(st.floats(0.005, 0.3), min_size=2, max_size=30), st.floats(0.0, 0.2))
def test_an_earlier_start_takes_at_most_half_of_the_phone_before(lengths, lead):
    edges = np.concatenate([[0.0], np.cumsum(lengths)])
    names = ["a" if i % 2 else "p" for i in range(len(lengths))]
    segments = [(names[i], float(edges[i]), float(edges[i + 1])) for i in range(len(lengths))]
    moved = start_earlier(segments, lambda before, phone: lead if phone == "p" else 0.0)
    for i in range(1, len(moved)):
        assert moved[i][1] == moved[i - 1][2] and moved[i][2] > moved[i][1]
        shift = segments[i][1] - moved[i][1]
        expected = min(lead, 0.5 * (edges[i] - edges[i - 1])) if names[i] == "p" else 0.0
        assert shift == pytest.approx(expected, abs=1e-9)


def spoken(duration: float = 2.0) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """A buzz with pauses, and labels that fit it."""
    samples = 0.3 * np.sin(2 * np.pi * 150 * np.arange(int(duration * SAMPLE_RATE)) / SAMPLE_RATE).astype(np.float32)
    segments = [("sil", 0.0, 0.3), ("a", 0.3, 0.8), ("m", 0.8, 1.0), ("i", 1.0, 1.4), ("sil", 1.4, duration)]
    samples[: int(0.3 * SAMPLE_RATE)] = 0
    samples[int(1.4 * SAMPLE_RATE) :] = 0
    return samples, segments


def test_the_gate_passes_speech_and_refuses_what_cannot_be_trained_on():
    samples, segments = spoken()
    check_speech(samples, SAMPLE_RATE, segments)
    for bad, labels, reason in (
        (samples * 0, segments, "silent"),
        (np.clip(samples * 9, -1, 1), segments, "clipped"),
        (samples[:4000], segments, "lasts"),
        (samples, [("sil", 0.0, 0.3), ("a", 0.3, 2.0)], "too long"),
        (samples, [("sil", 0.3, 1.3), ("a", 0.0, 0.2), ("a", 1.5, 1.7)], "does not fit"),
        (samples, [("a", 0.3, 0.8), (UNKNOWN, 0.8, 1.0)], "inventory"),
    ):
        with pytest.raises(SynthesisError, match=reason):
            check_speech(bad, SAMPLE_RATE, labels)


def test_texts_are_deterministic_and_rarely_the_same():
    for language in ("en-us", *SPELLINGS):
        first = [sentence(Random(f"{language}{i}"), language) for i in range(60)]
        assert first == [sentence(Random(f"{language}{i}"), language) for i in range(60)]
        assert len(set(first)) >= 59
        assert all(2 <= len(text.split()) <= 40 for text in first)
    assert set(PHRASES) <= set(SPELLINGS)


def test_english_text_is_rich_in_lip_sounds():
    letters = "".join(sentence(Random(i), "en") for i in range(300)).lower()
    share = sum(letters.count(letter) for letter in "pbmfvw") / sum(map(str.isalpha, letters))
    assert share > 0.15  # running English: about 0.12


@pytest.mark.parametrize(
    ("language", "encoding"),
    [("cs", "iso-8859-2"), ("it", "iso-8859-1"), ("fi", "iso-8859-1"), ("ca", "iso-8859-15")],
)
def test_texts_can_be_written_in_the_encoding_of_festivals_voices(language, encoding):
    for i in range(80):
        sentence(Random(i), language).encode(encoding)


def test_shards_are_planned_from_the_seed_alone():
    voices = (
        Voice("flite", "slt", "en-us", "female", "", "slt", 0.5),
        Voice("espeak", "de", "de", "either", "", "espeak", 0.5),
        Voice("flite", "rms", "en-us", "male", "", "rms", 0.0, held_out=True),
    )
    plan = synthesis.plan_shard(voices, 3, 7)
    assert plan == synthesis.plan_shard(voices, 3, 7)
    assert plan != synthesis.plan_shard(voices, 3, 8) and plan != synthesis.plan_shard(voices, 4, 7)
    held_out = [voice.held_out for s in range(10) for voice, _, _ in synthesis.plan_shard(voices, 0, s)]
    assert 0.005 < np.mean(held_out) < 0.06


def test_a_shard_reads_back_as_it_was_written(tmp_path):
    samples, segments = spoken()
    voice = Voice("flite", "rms", "en-us", "male", "", "rms", 0.0, held_out=True)
    path = tmp_path / "shard_0000.npz"
    synthesis.save_shard(path, [synthesis.Utterance(voice, "Mama, ümla.", samples, segments)] * 2)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with np.load(path, allow_pickle=False) as data:
        assert data["audio"].dtype == np.int16 and data["utterance_start"].tolist() == [0, 32000, 64000]
        assert np.abs(data["audio"][32000:] / 32767 - samples).max() < 1e-4
        assert data["voice"].tolist() == ["flite:rms"] * 2 and data["text"][1] == "Mama, ümla."
        assert data["held_out"].tolist() == [True, True] and data["language"][0] == "en-us"
        assert data["segment_utterance"].tolist() == [0] * 5 + [1] * 5
        assert [PHONES[i] for i in data["segment_phone"][:5]] == [phone for phone, _, _ in segments]
        assert data["segment_start"][5:].tolist() == pytest.approx([start for _, start, _ in segments])
        assert data["segment_end"][5:].tolist() == pytest.approx([end for _, _, end in segments])


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_speaks_with_labels_that_fit(engine, synthesisers):
    voice = voice_of(engine)
    samples, segments = synthesis.synthesise(voice, "My puppy has a happy mama in Alabama, apart from Papa.", Style())
    duration = len(samples) / SAMPLE_RATE
    assert samples.dtype == np.float32 and 2.0 < duration < 8.0
    assert segments[0][1] == 0.0 and segments[-1][2] == duration
    phones = [phone for phone, _, _ in segments]
    assert phones.count("m") >= 5 and phones.count("p") >= 5 and phones[-1] == "sil"
    # At the labels' closures the band where vowels are loud falls by far more than it does at their middle.
    level = 10 * np.log10(np.convolve(high_passed(samples) ** 2, np.ones(160) / 160, "same") + 1e-9)
    drops = []
    for (before, start, end), (phone, closed, opened) in pairwise(segments):
        if before in VOWELS and phone in ("p", "m"):
            closure = level[int((closed + 0.3 * (opened - closed)) * SAMPLE_RATE)]
            drops.append(level[int((start + 0.5 * (end - start)) * SAMPLE_RATE)] - closure)
    assert len(drops) >= 6 and np.median(drops) > 12


def high_passed(samples: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft(samples)
    spectrum[: int(1000 * len(samples) / SAMPLE_RATE)] = 0
    return np.fft.irfft(spectrum, len(samples))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_slower_style_takes_longer(engine, synthesisers):
    voice = voice_of(engine)
    text = "The baby moved the big blue box."
    slow, _ = synthesis.synthesise(voice, text, Style(rate=120, stretch=1.3))
    fast, _ = synthesis.synthesise(voice, text, Style(rate=220, stretch=0.8))
    assert len(slow) > 1.2 * len(fast)


def test_a_corpus_goes_on_where_it_stopped_and_is_the_same_from_the_same_seed(tmp_path, monkeypatch, synthesisers):
    monkeypatch.setattr(synthesis, "UTTERANCES_PER_SHARD", 5)
    seen = []
    paths = synthesis.build_corpus(tmp_path / "a", 0.6, 5, 1, lambda done, total, _: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)] and [p.name for p in paths] == ["shard_0000.npz", "shard_0001.npz"]
    first = paths[0].stat().st_mtime_ns
    paths[1].unlink()
    synthesis.build_corpus(tmp_path / "a", 0.6, 5, 1)
    assert paths[0].stat().st_mtime_ns == first
    again = synthesis.build_corpus(tmp_path / "b", 0.6, 5, 2)
    for one, other in zip(paths, again, strict=True):
        with np.load(one) as a, np.load(other) as b:
            assert all(np.array_equal(a[key], b[key]) for key in a.files)


def test_without_a_synthesiser_one_sentence_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(synthesis, "find_voices", lambda: ())
    assert synthesis.main(["--out", str(tmp_path / "corpus"), "--minutes", "1"]) == 1
    assert "espeak-ng, flite and festival" in capsys.readouterr().err
    assert not (tmp_path / "corpus").exists()


def test_styles_stay_in_the_ranges_that_were_measured():
    styles = [draw_style(Random(i)) for i in range(200)]
    assert {110 <= style.rate <= 260 and 0.75 <= style.stretch <= 1.4 for style in styles} == {True}
    assert not any("whisper" in style.variant or "robo" in style.variant.lower() for style in styles)
