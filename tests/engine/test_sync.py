"""The sync figures on curves whose right answer is known."""

import numpy as np
import pytest

from engine.errors import InputError
from engine.motion import FaceMotion
from engine.sync import Phones, blinks_per_minute, closures, cue_figures, lip_gap, read_cues, read_phones

FPS = 50.0


def phones(*rows):
    names, starts, ends = zip(*rows, strict=True)
    return Phones(list(names), np.array(starts, float), np.array(ends, float))


SENTENCE = phones(("sil", 0, 0.5), ("m", 0.5, 0.6), ("ɑ", 0.6, 0.9), ("n", 0.9, 1.0), ("b", 1.0, 1.08), ("i", 1.08, 1.3),
                  ("sil", 1.3, 2.0))  # fmt: skip


def gap_with(closed, fps=FPS, seconds=2.0):
    time = np.arange(int(seconds * fps)) / fps
    gap = np.where((time >= 0.5) & (time < 1.3), 0.8, 0.0)
    for start, end in closed:
        gap[(time >= start) & (time < end)] = 0.05
    return gap


def test_perfect_closures():
    figures = closures(gap_with([(0.5, 0.6), (1.0, 1.08)]), FPS, SENTENCE).figures()
    assert (figures["recall"], figures["precision"]) == (1, 1)
    assert figures["gap_in_pauses"] == 0 and figures["closed_in_open_vowels"] == 0


def test_a_missed_and_a_false_closure():
    counts = closures(gap_with([(1.0, 1.08), (0.7, 0.78)]), FPS, SENTENCE)
    assert (counts.bilabials, counts.reached, counts.closures, counts.rightful) == (2, 2, 2, 1)  # rest reaches the m
    assert counts.vowel_closed == 4 and counts.vowel_frames == 15


def test_sixty_milliseconds_late_counts_and_more_does_not():
    assert closures(gap_with([(1.13, 1.2)]), FPS, SENTENCE).rightful == 1
    late = closures(gap_with([(1.16, 1.2)]), FPS, SENTENCE)
    assert late.rightful == 0 and late.reached == 1


def test_rest_in_a_pause_is_no_false_closure_and_an_open_pause_shows():
    assert closures(gap_with([]), FPS, SENTENCE).closures == 0
    gap = gap_with([])
    gap[gap == 0] = 0.3
    assert closures(gap, FPS, SENTENCE).figures()["gap_in_pauses"] == pytest.approx(0.3)


def test_counts_pool():
    one = closures(gap_with([(1.0, 1.08)]), FPS, SENTENCE)
    assert (one + one).bilabials == 4 and (one + one).figures()["recall"] == one.figures()["recall"]


def test_gap_is_relative_to_the_heads_own_size():
    landmarks = np.zeros((100, 68, 3), np.float32)
    landmarks[:, 66, 1] = -np.linspace(0, 0.02, 100)
    for scale in (1, 2):
        gap = lip_gap(FaceMotion(25, landmarks68=landmarks * scale))
        assert gap[0] == 0 and gap[94] == pytest.approx(1, abs=0.01)
    with pytest.raises(InputError, match="landmarks"):
        lip_gap(FaceMotion(25, ("jawOpen",), np.zeros((3, 1))))


def test_cues_of_a_mouth_that_follows_them_exactly(tmp_path):
    (tmp_path / "c.json").write_text(
        '{"mouthCues": [{"start": 0, "end": 1, "value": "X"}, {"start": 1, "end": 1.5, "value": "D"},'
        ' {"start": 1.5, "end": 1.7, "value": "A"}, {"start": 1.7, "end": 2, "value": "C"}]}'
    )
    gap = np.zeros(100)
    gap[50:75], gap[85:] = 1.0, 0.5
    figures = cue_figures(gap, FPS, read_cues(tmp_path / "c.json"))
    assert figures == {"r": pytest.approx(1), "a_recall": 1, "gap_in_rest": 0}


@pytest.mark.parametrize("text", ["", "start_s,end_s\n0,1\n", "start_s,end_s,phone\n0,x,P\n", "start_s,end_s,phone\n0,1,!?\n"])
def test_bad_phone_tables_end_in_one_sentence(tmp_path, text):
    (tmp_path / "p.csv").write_text(text)
    if text == "":
        assert read_phones(tmp_path / "p.csv").names == []
        return
    with pytest.raises(InputError):
        read_phones(tmp_path / "p.csv")


def test_both_label_styles_are_read(tmp_path):
    (tmp_path / "a.csv").write_text("start_s,end_s,phone\n0,0.1,SIL\n0.1,0.2,M\n0.2,0.4,AY1\n")
    (tmp_path / "b.csv").write_text("start_s,end_s,phone\n0,0.1,#\n0.1,0.2,m\n0.2,0.4,aI\n")
    assert read_phones(tmp_path / "a.csv").names == read_phones(tmp_path / "b.csv").names == ["sil", "m", "a", "ɪ"]


def test_blinks_are_counted():
    lids = np.zeros((250, 2))
    lids[50:55] = 1
    lids[150:155] = 1
    motion = FaceMotion(25, ("eyeBlinkLeft", "eyeBlinkRight"), lids)
    assert blinks_per_minute(motion) == pytest.approx(12)
