"""Pictures of articulatory gestures: grey crops of a mouth.

All is drawn from soft-edged regions on a grid of face coordinates (pixels of a crop, origin between the lips, x to the
right, y down), for all frames at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from minvae_pyro.synthetic.gestures import Gestures, wander
from minvae_pyro.utterances import MOUTH_SIZE

Picture = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Face:
    """What one talker looks like; grey levels are in 0 (black) to 1 (white), lengths in pixels of a crop.

    Attributes:
        skin: Grey of the skin.
        lips: Grey of the lips.
        size: Scale of the mouth.
        fullness: Scale of the thickness of the lips.
        stubble: Darkness of a beard around the mouth.
        texture_seed: Freckles, wrinkles and pores.
    """

    skin: float = 0.66
    lips: float = 0.46
    size: float = 1.0
    fullness: float = 1.0
    stubble: float = 0.0
    texture_seed: int = 0


def render_crops(
    face: Face, posture: Gestures, frames_per_second: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Film the mouth at T instants as a tracker would crop it, (T, 67, 67): head motion, drifting light, noise.

    The motion of the head depends on ``frames_per_second``; ``rng`` is the source of motion, light and noise.
    """
    frames = len(posture.opening)
    shift_x, shift_y, scale, tilt, gain, slope = (
        size * wander(frames, frames_per_second, 0.3, rng)[:, None, None]
        for size in (0.8, 0.7, 0.015, 0.02, 0.03, 0.0006)
    )
    axis = np.arange(MOUTH_SIZE, dtype=np.float32) - MOUTH_SIZE // 2
    column, row = axis[None, None, :] - shift_x, axis[None, :, None] - shift_y
    x = ((column - tilt * row) * (1 + scale)).astype(np.float32)
    y = ((row + tilt * column) * (1 + scale)).astype(np.float32)
    picture = _draw_mouth(face, posture, x, y)
    picture = picture * (1 + gain + slope * axis).astype(np.float32)
    # camera noise and eight bits
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    return np.clip(255 * picture + 2.5 * noise + 0.5, 0, 255).astype(np.uint8)


def _draw_mouth(face: Face, posture: Gestures, x: Picture, y: Picture) -> Picture:
    """Skin, lips, teeth and tongue in grey levels 0 to 1, (T, rows, columns), at the face coordinates x and y."""
    opening, width, front, height = (
        track.astype(np.float32)[:, None, None]
        for track in (posture.opening, posture.width.clip(-0.1, 1.1), posture.front, posture.height)
    )
    gap = 15 * face.size * np.clip(opening, 0, 1.3)
    press = np.clip(-opening, 0, 0.5)
    corner = face.size * (16.5 + 8 * width - 1.5 * np.clip(opening, 0, 1))
    # Rounded lips pout: thicker and nearer to the camera.
    upper = face.size * face.fullness * (5.2 + 2.0 * (1 - width)) * (1 - 0.9 * press)
    lower = face.size * face.fullness * (6.4 + 2.2 * (1 - width)) * (1 - 0.9 * press)

    across = x / corner
    arch = np.clip(1 - across**2, -0.5, 1)
    bow = 1 - 0.22 * np.exp(-((x / (3.5 * face.size)) ** 2))
    hole = np.clip(1 - (across / 0.9) ** 2, -0.5, 1)
    hole_top, hole_bottom = -0.25 * gap * hole, 0.75 * gap * hole
    lip_top, lip_bottom = hole_top - upper * arch * bow, hole_bottom + lower * arch

    skin = _draw_skin(face, x, y - 0.45 * gap * np.clip(y / 20, 0, 1))
    skin = skin - 0.10 * _blob(x / 16, (y - lip_bottom - 4) / 3.5)
    skin = skin - 0.12 * _blob((np.abs(x) - corner - 1) / 3, y / 3)
    skin = skin - 0.06 * (0.3 + 0.7 * width) * _blob((np.abs(x) - corner - 7 - 0.15 * y) / 2.5, (y + 4) / 14)

    gloss = _blob(x / 9, (y - 0.5 * (hole_bottom + lip_bottom)) / 2.2)
    shade = face.lips - 0.06 * _ramp(-y, 2.0) + 0.16 * gloss
    lips = _ramp(y - lip_top, 1.2) * _ramp(lip_bottom - y, 1.2) * _ramp(1 - np.abs(across), 0.06)
    picture = _over(skin, shade, lips)
    line = _blob(0.0, (y - 0.5 * (hole_top + hole_bottom)) / 1.3) * _ramp(1.04 - np.abs(across), 0.08)
    picture = picture * (1 - 0.45 * line * (1 - np.clip(gap / 3, 0, 1)))

    blade = gap * hole * (0.55 - 0.5 * height * (0.4 + 0.6 * front))
    tongue = _ramp(y - blade, 2.0) * _ramp(0.7 - np.abs(across), 0.3)
    inside = _over(0.10, 0.38 - 0.05 * _blob(x / 1.5, 0.0), tongue)
    edge = hole_top + face.size * (2.0 + 2.5 * width)
    enamel = 0.85 - 0.25 * np.abs(across) - 0.08 * np.cos(2 * np.pi * x / (4.5 * face.size))
    inside = _over(inside, enamel, _ramp(edge - y, 1.0) * _ramp(0.85 - np.abs(across), 0.2))
    mouth = _ramp(y - hole_top, 1.0) * _ramp(hole_bottom - y, 1.0) * np.clip(gap, 0, 1)
    return _over(picture, inside, mouth)


def _draw_skin(face: Face, x: Picture, y: Picture) -> Picture:
    """Skin around a mouth: light from above, philtrum, nostrils, chin, stubble, texture."""
    skin = face.skin - 0.0012 * np.clip(y, -40, 40) - 0.00006 * x**2
    skin = skin - 0.05 * _blob(x / 2.5, (y + 14) / 6) + 0.04 * _blob(x / 10, (y - 27) / 8)
    skin = skin - 0.22 * _blob((np.abs(x) - 7) / 3.5, (y + 29) / 2.5) - 0.10 * _blob(x / 14, (y + 26) / 4)
    skin = skin - face.stubble * np.clip(1.2 * _blob(x / 26, (y - 8) / 22), 0, 1)
    texture = _texture(face.texture_seed)
    row, column = (np.round(3 * axis).astype(np.int32) % len(texture) for axis in (y, x))
    return skin + 0.012 * texture[row, column]


def _texture(seed: int) -> Picture:
    """Tileable unit-variance skin texture, three samples a pixel."""
    noise = np.random.default_rng(seed).standard_normal((384, 384))
    texture = np.sum([sigma * gaussian_filter(noise, sigma, mode="wrap") for sigma in (2.0, 5.0, 14.0)], axis=0)
    return np.asarray(texture / texture.std(), np.float32)


def _blob(across: Picture | float, down: Picture | float) -> Picture:
    """Gaussian bump of height one."""
    return np.asarray(np.exp(-(across**2 + down**2)))


def _ramp(distance: Picture, softness: float) -> Picture:
    """0 outside, 1 inside, linear over `softness` around the edge."""
    return np.clip(0.5 + distance / softness, 0, 1)


def _over(below: Picture | float, above: Picture | float, opacity: Picture) -> Picture:
    """Lay one picture over another."""
    return below + opacity * (above - below)
