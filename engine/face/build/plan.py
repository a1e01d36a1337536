"""What a head of its own is: named anatomical parameters, each a departure from the mean adult of `landmarks`."""

from __future__ import annotations

from dataclasses import dataclass, field

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Hair:
    """How the hair is combed; mm, places on the mean head."""

    top_thickness: float = 9.0
    side_thickness: float = 4.0
    quiff: float = 2.5  # higher above the forehead
    furrow: float = 3.6  # depth between strands
    whorl: Colour = (0.0, 74.0, -160.0)  # the place from which all hair is combed, or to which
    receding: float = 0.0  # of the hairline above forehead and temples
    bald_half_width: float = 0.0  # no hair on the crown up to so far from the middle; 0: none missing


@dataclass(frozen=True)
class HeadPlan:
    """Lengths in mm (0 is the mean adult), factors where said, colours linear RGB. `forms` says where each length acts.

    size: factor of the finished head. relief: sculpted stroke's name (`sculpt.STROKES`) -> factor of its height.
    """

    name: str
    size: float = 1.0
    skull_height: float = 0.0
    skull_width: float = 0.0
    forehead_slope: float = 0.0  # backwards at the hairline
    brow_ridge: float = 0.0
    temple: float = 0.0  # fuller
    cheekbone: float = 0.0  # outwards and forwards
    cheek: float = 0.0  # fuller below the cheekbone
    jaw_width: float = 0.0  # each side at the angle
    jowl: float = 0.0
    chin_width: float = 0.0
    chin_down: float = 0.0
    chin_forward: float = 0.0
    throat: float = 0.0  # fuller below the chin
    bridge_height: float = 0.0
    nose_length: float = 0.0
    nose_width: float = 0.0  # each wing
    tip_forward: float = 0.0
    tip_width: float = 0.0
    mouth_width: float = 0.0  # each corner
    upper_lip: float = 0.0  # red, higher
    lower_lip: float = 0.0  # red, deeper
    lips_forward: float = 0.0
    eye_open: float = 0.0
    eye_tilt: float = 0.0  # the outer corner upwards
    lid_hood: float = 0.0  # the skin above the upper lid hangs
    eye_bag: float = 0.0
    neck_width: float = 0.0
    ear_size: float = 1.0  # factor
    brow_height: float = 0.0
    brow_thickness: float = 1.1  # factor
    lash_length: float = 1.0  # factor
    relief: dict[str, float] = field(default_factory=dict)
    skin: Colour = (0.545, 0.295, 0.20)
    flush: Colour = (0.60, 0.235, 0.165)  # where blood shows
    shade: Colour = (0.36, 0.18, 0.13)  # where skin is thin or darker
    light: Colour = (0.64, 0.40, 0.295)
    lip: Colour = (0.47, 0.165, 0.14)
    hair: Colour = (0.042, 0.026, 0.017)
    brow: Colour = (0.042, 0.026, 0.017)
    iris: Colour = (0.075, 0.125, 0.150)
    mottle: float = 1.0  # how uneven the skin's colour is
    beard: float = 0.0  # 0..1, shadow of a shaved beard
    hair_style: Hair = Hair()


MEAN = HeadPlan("Mean")
ROBIN = HeadPlan("Robin")
OTTO = HeadPlan(
    "Otto", size=1.01, skull_width=2.0, forehead_slope=4.0, brow_ridge=2.6, temple=-1.5, cheekbone=1.0, cheek=4.5, jaw_width=4.8,
    jowl=4.0, chin_width=4.0, chin_down=4.0, chin_forward=1.0, throat=7.0, bridge_height=3.0, nose_length=3.6, nose_width=2.7,
    tip_forward=2.0, tip_width=1.8, mouth_width=1.5, upper_lip=-1.2, lower_lip=-1.6, lips_forward=-1.5, eye_open=-0.5,
    eye_tilt=-1.6, lid_hood=1.8, eye_bag=1.8, neck_width=8.0, ear_size=1.14, brow_height=-2.0, brow_thickness=1.35,
    lash_length=0.75,
    relief={
        "nasolabial fold": 3.4, "beside the fold": 3.0, "fold beside the mouth": 2.5,
        "wrinkle of the forehead": 0.8, "second wrinkle of the forehead": 0.8, "frown": 1.1, "outer wrinkle of the eye": 0.8,
        "fold from the mouth to the chin": 1.3,
        "fold below the chin": 1.2, "below the lower lid": 1.8,
        "hollow of the cheek": 0.4, "philtrum": 0.6, "temple": 1.6, "larynx": 1.7,
    },
    skin=(0.56, 0.285, 0.205), flush=(0.58, 0.19, 0.145), shade=(0.37, 0.17, 0.135), light=(0.64, 0.38, 0.29),
    lip=(0.385, 0.108, 0.096), hair=(0.30, 0.29, 0.28), brow=(0.105, 0.092, 0.082), iris=(0.10, 0.075, 0.035),
    mottle=1.8, beard=0.55,
    hair_style=Hair(
        top_thickness=2.4, side_thickness=2.4, quiff=0, furrow=0.7, whorl=(0, -12, -174), receding=8, bald_half_width=48,
    ),
)  # fmt: skip
AMARA = HeadPlan(
    "Amara", size=0.965, skull_height=1.0, forehead_slope=-3.0, brow_ridge=-1.6, skull_width=-1.5, temple=0.8,
    cheekbone=0.6, cheek=1.5,
    jaw_width=-3.5, chin_width=-2.5, chin_down=-4.5, chin_forward=-0.5, bridge_height=-3.0, nose_length=-2.0, nose_width=2.6,
    tip_forward=-2.2, tip_width=1.2, mouth_width=1.2, upper_lip=2.2, lower_lip=2.0, lips_forward=3.0, eye_open=0.6, eye_tilt=1.8,
    neck_width=-4.5, ear_size=0.93, brow_height=1.5, brow_thickness=1.1, lash_length=1.3,
    relief={
        "nasolabial fold": 0.3, "hollow of the cheek": 0.5, "sternomastoid": 0.6, "edge of the jaw": 0.6, "larynx": 0.0,
        "below the lower lid": 0.5, "brow ridge": 0.3, "temple": 0.4, "chin's sides": 0.5, "nose's flanks": 0.5,
        "bridge of the nose": 0.6,
    },
    skin=(0.25, 0.118, 0.070), flush=(0.25, 0.105, 0.066), shade=(0.10, 0.041, 0.027), light=(0.275, 0.135, 0.083),
    lip=(0.235, 0.058, 0.058), hair=(0.012, 0.009, 0.008), brow=(0.012, 0.009, 0.008), iris=(0.035, 0.016, 0.008), mottle=0.7,
    hair_style=Hair(
        top_thickness=4.0, side_thickness=3.2, quiff=0.8, furrow=1.2, whorl=(0, 62, -168),
    ),
)  # fmt: skip
PLANS = {"robin": ROBIN, "otto": OTTO, "amara": AMARA}
