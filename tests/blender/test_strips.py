"""A strip with clicks at known seconds: the extracted sound must have them where the frames of the head's scene say."""

from __future__ import annotations

import os
import shutil
import tempfile
import wave
from pathlib import Path

import bpy
import numpy as np
import pytest
from facediff_tree.facediff_blender import compat, mixdown, strips

CLICKS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)  # s


def write_wav(path: Path, channels: int = 1, rate: int = 44_100, seconds: float = 4.0) -> Path:
    """Clicks of growing loudness, so that each can be told from the others."""
    samples = np.zeros((int(rate * seconds), channels))
    for k, second in enumerate(CLICKS):
        samples[int(second * rate) : int(second * rate) + 24] = 0.3 + 0.05 * k
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def heard(sound: strips.StripSound) -> tuple[np.ndarray, np.ndarray]:
    """Frames of the head's scene, and loudness, of the clicks in an extracted sound."""
    with wave.open(str(sound.path)) as stream:
        assert (stream.getnchannels(), stream.getsampwidth()) == (1, 2)
        rate, samples = stream.getframerate(), np.frombuffer(stream.readframes(stream.getnframes()), "<i2") / 32767
    assert len(samples) / rate == pytest.approx(sound.seconds)
    loud = np.flatnonzero(np.abs(samples) > 0.03)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > 0.05 * rate) + 1)
    seconds = np.array([group[0] for group in groups]) / rate
    return sound.timing.frame(seconds), np.array([abs(samples[group]).max() for group in groups])


@pytest.fixture
def strip(tmp_path):
    editor = bpy.context.scene.sequence_editor_create()
    return editor.strips.new_sound("Speech", str(write_wav(tmp_path / "clicks.wav")), 1, 11)


def extract(strip, scene=None, folder=None, head_scene=None) -> strips.StripSound:
    """The sound, with its timing in frames of the head's scene."""
    scene = scene or bpy.context.scene
    sound = strips.extract(scene, strip, folder or tempfile.mkdtemp(dir=bpy.app.tempdir))
    timing = strips.in_scene_of_head(sound.timing, head_scene or scene, scene, strip)
    return strips.StripSound(sound.path, sound.seconds, timing)


def check(strip, clicks, head_scene=None, scene=None, folder=None, tolerance=0.02) -> strips.StripSound:
    """The clicks (frames of the head's scene) are heard there and nowhere else."""
    scene = scene or bpy.context.scene
    sound = extract(strip, scene, folder, head_scene)
    frames, _ = heard(sound)
    assert len(frames) == len(clicks), f"{frames} instead of {clicks}"
    assert np.abs(frames - np.array(clicks)).max() < tolerance, f"{frames} instead of {clicks}"
    return sound


def frames_of(seconds, fps=24.0, start=11.0):
    return [start + s * fps for s in seconds]


def trim(strip, first: int, after_last: int) -> None:
    """Move the strip's handles to these frames, the right one first, for a meta strip may still be empty."""
    new = hasattr(strip, "left_handle")
    setattr(strip, "right_handle" if new else "frame_final_end", after_last)
    setattr(strip, "left_handle" if new else "frame_final_start", first)


def test_plain(strip, tmp_path):
    sound = check(strip, frames_of(CLICKS), folder=tmp_path)
    assert sound.seconds == pytest.approx(4.0) and sound.path.parent == tmp_path
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clicks.wav", "speech.wav"], "nothing else is left"


def test_trimmed_at_both_ends_only_the_audible_part_is_there(strip):
    trim(strip, 11 + 30, 11 + 66)
    sound = check(strip, frames_of((1.5, 2.0, 2.5)))
    assert sound.seconds == pytest.approx(36 / 24) and sound.timing.start == 41


def test_moved_with_a_trim_and_a_sound_offset(strip):
    trim(strip, 11 + 6, 11 + 90)
    if hasattr(strip, "content_start"):
        strip.content_start += 100
    else:
        strip.frame_start += 100
    strip.sound_offset = 0.1
    check(strip, frames_of([c + 0.1 for c in CLICKS], start=111.0))


@pytest.mark.parametrize("fps, base", [(24, 1.001), (30, 1.001), (25, 1.0), (60, 1.0), (12, 1.0)])
def test_fractional_and_other_rates(strip, fps, base):
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = fps, base
    check(strip, frames_of(CLICKS, fps / base), tolerance=0.05)


def test_volume_and_loudness(strip):
    _, loudness = heard(extract(strip))
    assert loudness / loudness[0] == pytest.approx((0.3 + 0.05 * np.arange(7)) / 0.3, rel=0.02)
    strip.volume = 0.5
    _, halved = heard(extract(strip))
    assert halved == pytest.approx(loudness / 2, rel=0.02)


def test_animated_volume(strip):
    for frame, volume in ((11, 0.0), (11 + 40, 0.0), (11 + 42, 1.0)):
        strip.volume = volume
        strip.keyframe_insert("volume", frame=frame)
    check(strip, frames_of((2.0, 2.5, 3.0, 3.5)))


def test_a_loud_stereo_file_is_not_clipped_and_pan_does_not_move_it(tmp_path):
    editor = bpy.context.scene.sequence_editor_create()
    strip = editor.strips.new_sound("Stereo", str(write_wav(tmp_path / "stereo.wav", channels=2)), 1, 1)
    strip.volume = 3.0
    _, loud = heard(check(strip, frames_of(CLICKS, start=1.0)))
    assert loud.max() <= 1.0 and np.abs(np.diff(loud)).min() > 0.03, "loudness steps must survive"
    strip.pan = -1.0
    check(strip, frames_of(CLICKS, start=1.0))


def test_only_this_strip_is_heard_and_the_scene_stays_as_it_is(strip, tmp_path):
    scene = bpy.context.scene
    other = scene.sequence_editor.strips.new_sound("Music", str(write_wav(tmp_path / "music.wav")), 2, 17)
    muted = scene.sequence_editor.strips.new_sound("Muted", str(write_wav(tmp_path / "muted.wav")), 3, 20)
    muted.mute = True
    scene.frame_start, scene.frame_end, scene.use_audio, scene.audio_volume = 50, 60, False, 0.4
    check(strip, frames_of(CLICKS))
    mixed = mixdown.mixdown(scene, strip, *compat.strip_span(strip), tmp_path)
    loud = np.flatnonzero(np.abs(mixed) > 0.03)
    assert len(np.split(loud, np.flatnonzero(np.diff(loud) > 2000) + 1)) == len(CLICKS), "the others are silent"
    assert (scene.frame_start, scene.frame_end, scene.use_audio) == (50, 60, False)
    assert scene.audio_volume == pytest.approx(0.4)
    assert [other.mute, muted.mute, strip.mute] == [False, True, False]
    assert not (tmp_path / "mixdown.wav").exists()


def test_the_scene_is_put_back_when_the_mixdown_fails(strip, tmp_path, monkeypatch):
    monkeypatch.setattr(mixdown, "STALL_SECONDS", 0.3)
    (tmp_path / "no file" / "mixdown.wav").mkdir(parents=True)
    scene = bpy.context.scene
    other = scene.sequence_editor.strips.new_sound("Music", bpy.path.abspath(strip.sound.filepath), 2, 17)
    scene.frame_start, scene.frame_end = 3, 9
    for folder in (tmp_path / "no folder", tmp_path / "no file"):
        with pytest.raises(mixdown.MixdownError):
            mixdown.mixdown(scene, strip, 11, 50, folder)
    assert (scene.frame_start, scene.frame_end, other.mute) == (3, 9, False)


@pytest.mark.parametrize("codec", ["flac", "ogg", "mp3", "mkv"])
def test_compressed_files_trimmed_in_the_middle_are_what_blender_plays(tmp_path, codec):
    """Decoders seek to packets, not to samples; and some codecs begin with a delay."""
    import aud

    kinds = {
        "flac": (aud.CONTAINER_FLAC, aud.CODEC_FLAC),
        "ogg": (aud.CONTAINER_OGG, aud.CODEC_VORBIS),
        "mp3": (aud.CONTAINER_MP3, aud.CODEC_MP3),
        "mkv": (aud.CONTAINER_MATROSKA, aud.CODEC_AAC),
    }
    container, kind = kinds[codec]
    path = tmp_path / f"clicks.{codec}"
    sound = aud.Sound.file(str(write_wav(tmp_path / "c.wav", seconds=4.0)))
    sound.write(str(path), 44_100, 1, aud.FORMAT_S16, container, kind, 192_000)
    scene = bpy.context.scene
    strip = scene.sequence_editor_create().strips.new_sound("S", str(path), 1, 11)
    trim(strip, 11 + 30, 11 + 66)
    frames, _ = heard(extract(strip))
    mixed = mixdown.mixdown(scene, strip, 41, 77, tmp_path)
    loud = np.flatnonzero(np.abs(mixed) > 0.03)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > 2000) + 1)
    assert frames == pytest.approx(41 + np.array([g[0] for g in groups]) / mixdown.RATE * 24, abs=0.1)
    assert len(frames) == 3 and np.abs(frames - frames_of((1.5, 2.0, 2.5))).max() < 1.5  # AAC and MP3 begin late


def test_retimed_to_half_speed(strip):
    retime(strip, lambda: bpy.ops.sequencer.retiming_segment_speed_set(speed=50.0))
    check(strip, frames_of([c * 2 for c in CLICKS]), tolerance=0.1)
    trim(strip, 11 + 60, 11 + 132)
    check(strip, frames_of([c * 2 for c in (1.5, 2.0, 2.5)]), tolerance=0.1)


def test_retimed_in_two_pieces_is_what_blender_itself_plays(strip, tmp_path):
    """The first 2 s as they are, the rest at half speed. Blender keeps the source frame of a retiming key to itself, so
    the measure is its own mixdown of the scene."""
    scene = bpy.context.scene
    retime(strip, lambda: bpy.ops.sequencer.retiming_key_add(timeline_frame=11 + 48))
    strip.retiming_keys[-1].timeline_frame += 48
    first, last = compat.strip_span(strip)
    scene.frame_start, scene.frame_end = first + 1, last  # not the first frame: see strips._mixed
    played = tmp_path / "played.wav"
    wav = {"container": "WAV", "codec": "PCM", "format": "S16", "channels": "MONO", "mixrate": 48_000}
    bpy.ops.sound.mixdown(filepath=str(played), **wav)
    with wave.open(str(played)) as stream:
        seconds = stream.getnframes() / stream.getframerate()
    expected, _ = heard(strips.StripSound(played, seconds, strips.Timing(first + 1.0, 24.0)))
    sound = check(strip, expected, tolerance=0.5)
    frames, _ = heard(sound)
    assert np.abs(frames[:3] - frames_of(CLICKS[:3])).max() < 0.5
    assert np.diff(frames)[4:] == pytest.approx(24.0, abs=0.7), "half a second of sound lasts a second"


def retime(strip, operation) -> None:
    """Run a retiming operator, which wants a sequencer to look at."""
    window = bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    area.type = "SEQUENCE_EDITOR"
    scene = bpy.context.scene
    if hasattr(bpy.context.workspace, "sequencer_scene"):
        bpy.context.workspace.sequencer_scene = scene
    strip.select, scene.sequence_editor.active_strip = True, strip
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region, scene=scene):
        assert operation() == {"FINISHED"}


def test_a_packed_file_needs_no_file(strip):
    path = bpy.path.abspath(strip.sound.filepath)
    strip.sound.pack()
    os.unlink(path)
    check(strip, frames_of(CLICKS))


def test_relative_and_non_ascii_paths(tmp_path):
    folder = tmp_path / "Größe Путь 日本 x"
    folder.mkdir()
    write_wav(folder / "rede 語.wav")
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "a.blend"))
    editor = bpy.context.scene.sequence_editor_create()
    strip = editor.strips.new_sound("Rede 語", "//rede 語.wav", 1, 11)
    assert strip.sound.filepath.startswith("//")
    check(strip, frames_of(CLICKS), folder=folder)


def test_a_linked_sound_is_found_beside_its_library(tmp_path):
    (tmp_path / "lib").mkdir()
    write_wav(tmp_path / "lib" / "clicks.wav")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "lib" / "lib.blend"))
    scene = bpy.data.scenes.new("Library Edit")
    scene.sequence_editor_create().strips.new_sound("Speech", "//clicks.wav", 1, 11).sound.use_fake_user = True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "lib" / "lib.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "user.blend"))
    with bpy.data.libraries.load(str(tmp_path / "lib" / "lib.blend"), link=True, relative=True) as (source, target):
        target.scenes = source.scenes
    linked = next(s for s in bpy.data.scenes if s.library is not None and s.sequence_editor is not None)
    strip = strips.find_strip(linked, "Speech")
    assert not strips.why_unreadable(strip)
    shutil.rmtree(tmp_path / "lib")
    assert "missing" in strips.why_unreadable(strip)


@pytest.mark.parametrize("edit_fps, head_fps", [(30, 24), (24, 60), (24 / 1.001, 25)])
def test_a_sequencer_scene_of_another_rate_runs_by_the_same_clock(tmp_path, edit_fps, head_fps):
    edit, face = bpy.data.scenes.new("Edit"), bpy.context.scene
    edit.render.fps, edit.render.fps_base = round(edit_fps), round(edit_fps) / edit_fps
    face.render.fps = head_fps
    strip = edit.sequence_editor_create().strips.new_sound("S", str(write_wav(tmp_path / "c.wav")), 1, 41)
    seconds = [41 / edit_fps + c for c in CLICKS]
    check(strip, [s * head_fps for s in seconds], face, edit, tolerance=0.1)


def test_a_scene_strip_says_where_the_heads_scene_runs(tmp_path):
    edit, face = bpy.data.scenes.new("Edit"), bpy.context.scene
    edit.render.fps = face.render.fps = 24
    face.frame_start = 5
    editor = edit.sequence_editor_create()
    strip = editor.strips.new_sound("S", str(write_wav(tmp_path / "c.wav")), 1, 41)
    view = editor.strips.new_scene("Face", face, 2, 101)  # frame 101 of the edit shows frame 5 of the face
    check(strip, [5 - 60 + c * 24 for c in CLICKS], face, edit)
    face.render.fps = 48  # a scene strip shows frame after frame, whatever the rate of its scene
    check(strip, [5 - 60 + c * 24 for c in CLICKS], face, edit)
    if hasattr(view, "content_trim_start"):  # moves content_start too; as Blender 5.2's "Sync Scene Time" has it
        view.content_trim_start = 3
        check(strip, [5 - 60 + c * 24 for c in CLICKS], face, edit)


def test_a_strip_inside_a_meta_strip_is_cut_by_it(strip):
    editor = bpy.context.scene.sequence_editor
    meta = editor.strips.new_meta("Meta", 3, 1)
    strip.move_to_meta(meta)
    trim(meta, 11 + 30, 11 + 66)
    check(strips.find_strip(bpy.context.scene, "Speech"), frames_of((1.5, 2.0, 2.5)))
    meta.mute = True
    assert "meta strip 'Meta'" in strips.why_unheard(bpy.context.scene, strips.find_strip(bpy.context.scene, "Speech"))


def test_what_is_before_frame_0_is_not_heard(tmp_path):
    editor = bpy.context.scene.sequence_editor_create()
    strip = editor.strips.new_sound("S", str(write_wav(tmp_path / "c.wav")), 1, -29)
    check(strip, frames_of(CLICKS[2:], start=-29.0))


def test_what_cannot_be_heard_is_refused_in_one_sentence(strip, tmp_path):
    scene = bpy.context.scene

    def refused(word: str) -> None:
        with pytest.raises(strips.StripError, match=word) as caught:
            strips.extract(scene, strip, tmp_path)
        assert "\n" not in str(caught.value)

    strip.mute = True
    refused("muted")
    strip.mute = False
    scene.sequence_editor.channels[strip.channel].mute = True
    refused("channel")
    scene.sequence_editor.channels[strip.channel].mute = False
    strip.volume = 0.0
    refused("Nothing can be heard")
    strip.volume = 1.0
    path = Path(bpy.path.abspath(strip.sound.filepath))
    good = path.read_bytes()
    path.write_bytes(b"this is no sound at all" * 100)
    damaged = scene.sequence_editor.strips.new_sound("Damaged", str(path), 4, 1)
    scene.sequence_editor.strips.remove(strip)
    strip = damaged
    if compat.strip_span(strip)[1] > compat.strip_span(strip)[0]:
        refused("cannot be read|Nothing can be heard")
    path.write_bytes(good)
    path.unlink()
    refused("missing")
    assert not (tmp_path / "mixdown.wav").exists() and not (tmp_path / "speech.wav").exists()


def test_the_strips_are_listed_in_time_and_found_by_name(strip, tmp_path):
    scene = bpy.context.scene
    scene.sequence_editor.strips.new_sound("Earlier", str(write_wav(tmp_path / "e.wav")), 2, 2)
    scene.sequence_editor.strips.new_effect(name="Text", type="TEXT", channel=4, frame_start=1, **length())
    assert [s.name for s in strips.sound_strips(scene)] == ["Earlier", "Speech"]
    assert strips.find_strip(scene, "Speech") == strip and strips.find_strip(scene, "Text") is None
    assert strips.sound_strips(bpy.data.scenes.new("Empty")) == []


def length() -> dict[str, int]:
    """How `new_effect` wants to be told the length, before and after 5.0."""
    parameters = bpy.types.StripsTopLevel.bl_rna.functions["new_effect"].parameters
    return {"length": 20} if "length" in parameters else {"frame_end": 21}
