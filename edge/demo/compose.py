"""Compose and render the demo clip: eight bars of four-on-the-floor, in NumPy alone.

    python -m edge_genre.demo.compose --output demo.ogg

Drums, an octave bass, a string pad, funk chords and a lead, panned, with a short room around them.
Everything is drawn from one seed, so the clip is the same wherever it is rendered.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]  # mono [shape=(n,)] or stereo [shape=(n, 2)]

RATE = 44_100
BEATS_PER_MINUTE = 118
STEP = 60 / BEATS_PER_MINUTE / 4  # a sixteenth, in seconds
BARS = 8
SEED = 11

# MIDI notes of the chords, their roots for the bass, and a chord for each bar.
CHORDS = {
    "Am": (57, 60, 64, 67),
    "F": (53, 57, 60, 64),
    "C": (55, 60, 64, 67),
    "G": (55, 59, 62, 67),
}
ROOTS = {"Am": 33, "F": 29, "C": 36, "G": 31}
PROGRESSION = ("Am", "F", "C", "G", "Am", "F", "C", "G")
# Sixteenths of a bar in which an instrument plays.
KICK = (0, 4, 8, 12)
SNARE = (4, 12)
CLOSED_HAT = (0, 1, 3, 4, 5, 7, 8, 9, 11, 12, 13, 15)
OPEN_HAT = (2, 6, 10, 14)
STABS = (3, 6, 11, 14)
BASS = ((0, 0), (2, 12), (4, 0), (6, 12), (8, 0), (10, 12), (11, 7), (12, 0), (14, 12))
# The lead: bar, sixteenth, MIDI note, length in sixteenths.
LEAD = (
    *((2, 0, 76, 3), (2, 3, 74, 3), (2, 6, 72, 4), (2, 12, 67, 4)),
    *((3, 0, 74, 3), (3, 3, 71, 3), (3, 6, 67, 6), (3, 14, 69, 2)),
    *((4, 0, 72, 6), (4, 6, 76, 2), (4, 8, 81, 6), (4, 14, 79, 2)),
    *((5, 0, 77, 6), (5, 6, 76, 2), (5, 8, 72, 8)),
    *((6, 0, 76, 3), (6, 3, 79, 3), (6, 6, 76, 2), (6, 8, 74, 4), (6, 12, 72, 4)),
    *((7, 0, 74, 4), (7, 4, 71, 4), (7, 8, 69, 8)),
)


def compose(seed: int = SEED) -> NDArray[np.float32]:
    """Render the whole clip.

    Returns
    -------
    float32 [shape=(n, 2)], 44,100 Hz, peak 0.89 (-1 dBFS)
    """
    rng = np.random.default_rng(seed)
    track = Track(round((BARS * 16 * STEP + 0.4) * RATE))
    for bar, chord in enumerate(PROGRESSION):
        _drums(track, bar, rng)
        for step, interval in BASS:
            note = ROOTS[chord] + interval
            track.add(bar, step, bass(note, 1.6 * STEP), level=0.34)
        for step in STABS:
            stab = np.sum([organ(note + 12, 1.2 * STEP) for note in CHORDS[chord]], axis=0)
            track.add(bar, step, stab, level=0.06, pan=-0.5, room=0.2)
        if bar >= 1:
            for voice, note in enumerate(CHORDS[chord]):
                pad = strings(note + 12, 16 * STEP, rng)
                track.add(bar, 0, pad, level=0.035, pan=0.6 - 0.4 * voice, room=0.5)
    for bar, step, note, length in LEAD:
        track.add(bar, step, lead(note, length * STEP), level=0.1, pan=0.25, room=0.35)
    return _master(track.dry + room(track.wet, rng))


class Track:
    """A stereo mix, with a second one that is sent into the room."""

    def __init__(self, length: int) -> None:
        self.dry = np.zeros((length, 2))
        self.wet = np.zeros((length, 2))

    def add(
        self, bar: int, step: float, sound: Signal, *, level: float, pan: float = 0, room: float = 0
    ) -> None:
        """Mix a mono sound in: ``pan`` -1 (left) to 1 (right), at equal power."""
        first = max(0, round((bar * 16 + step) * STEP * RATE))
        sound = sound[: max(0, len(self.dry) - first)]
        angle = (pan + 1) * np.pi / 4
        stereo = level * sound[:, None] * np.array([np.cos(angle), np.sin(angle)])
        self.dry[first : first + len(sound)] += stereo
        self.wet[first : first + len(sound)] += room * stereo


def _drums(track: Track, bar: int, rng: np.random.Generator) -> None:
    for step in KICK:
        track.add(bar, step, kick(), level=0.62)
    for step in SNARE:
        track.add(bar, step, snare(rng), level=0.3, room=0.15)
    for step in CLOSED_HAT:
        accent = rng.uniform(0.7, 1.0) * (1.0 if step % 4 else 0.6)
        track.add(bar, step + rng.normal(0, 0.03), hat(0.03, rng), level=0.12 * accent, pan=0.3)
    for step in OPEN_HAT:
        track.add(bar, step, hat(0.11, rng), level=0.12, pan=0.3)
    if bar % 4 == 3:  # a fill on the toms into the next half
        for index, step in enumerate((12, 13, 14, 15)):
            track.add(bar, step, tom(160 - 22 * index), level=0.3, pan=0.6 - 0.4 * index, room=0.2)
    if bar % 4 == 0:
        track.add(bar, 0, crash(rng), level=0.11, pan=-0.4, room=0.2)


def seconds(duration: float) -> Signal:
    """Times of the samples of a sound [shape=(n,)]."""
    times: Signal = np.arange(round(duration * RATE)) / RATE
    return times


def hertz(note: float) -> float:
    """Frequency of a MIDI note; 69 is A at 440 Hz."""
    return float(440 * 2 ** ((note - 69) / 12))


def harmonics(
    frequency: float | Signal, t: Signal, amplitude: Callable[[int], float | Signal]
) -> Signal:
    """Partials up to 16 kHz, so that nothing folds back; ``amplitude(k)`` is that of the k-th."""
    highest = float(np.max(frequency))
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(frequency, t.shape)) / RATE
    total = np.zeros(len(t))
    # sin((k + 1) x) = 2 cos(x) sin(k x) - sin((k - 1) x): one sine and one cosine for all partials.
    twice_cosine = 2 * np.cos(phase)
    below, partial = np.zeros(len(t)), np.sin(phase)
    for k in range(1, min(max(1, int(16_000 / highest)), 60) + 1):
        total += amplitude(k) * partial
        below, partial = partial, twice_cosine * partial - below
    return total


def envelope(t: Signal, *, attack: float, release: float) -> Signal:
    """A linear attack, and a linear release up to the sound's end; in seconds."""
    level: Signal = np.minimum(1, t / attack) * np.minimum(1, (t[-1] - t) / release)
    return level


def kick() -> Signal:
    """A sine that falls from 170 to 48 Hz, with a click."""
    t = seconds(0.28)
    phase = 2 * np.pi * (48 * t + (170 - 48) / 35 * (1 - np.exp(-35 * t)))
    return np.sin(phase) * np.exp(-9 * t) + 0.3 * np.sin(2 * np.pi * 2600 * t) * np.exp(-350 * t)


def snare(rng: np.random.Generator) -> Signal:
    """A drum head and its wires."""
    t = seconds(0.22)
    head = np.sin(2 * np.pi * 187 * t) + 0.6 * np.sin(2 * np.pi * 331 * t)
    wires = band(rng.standard_normal(len(t)), 900, 9500)
    return 0.5 * head * np.exp(-28 * t) + 0.9 * wires * np.exp(-19 * t)


def hat(decay: float, rng: np.random.Generator) -> Signal:
    """Bright noise that dies away within ``decay`` seconds."""
    t = seconds(4 * decay)
    return band(rng.standard_normal(len(t)), 6500, 17_000) * np.exp(-t / decay)


def crash(rng: np.random.Generator) -> Signal:
    """A cymbal that rings for two seconds."""
    t = seconds(2.0)
    return band(rng.standard_normal(len(t)), 2500, 15_000) * np.exp(-2.2 * t)


def tom(frequency: float) -> Signal:
    """A tuned drum."""
    t = seconds(0.3)
    return np.sin(2 * np.pi * frequency * (t + 0.02 * (1 - np.exp(-30 * t)))) * np.exp(-11 * t)


def bass(note: float, duration: float) -> Signal:
    """A plucked saw: higher partials die first."""
    t = seconds(duration)
    tone = harmonics(hertz(note), t, lambda k: np.exp(-1.1 * k * t) / k)
    return np.tanh(1.4 * tone) * envelope(t, attack=0.004, release=0.03)


def organ(note: float, duration: float) -> Signal:
    """Drawbars, with a touch of overdrive."""
    t = seconds(duration)
    drawbars = {1: 1.0, 2: 0.7, 3: 0.5, 4: 0.35, 6: 0.25, 8: 0.15}
    tone = harmonics(hertz(note), t, lambda k: drawbars.get(k, 0.0))
    return np.tanh(0.9 * tone) * envelope(t, attack=0.006, release=0.04)


def strings(note: float, duration: float, rng: np.random.Generator) -> Signal:
    """Five players, each a little out of tune and with a vibrato of their own."""
    t = seconds(duration)
    total = np.zeros(len(t))
    for _ in range(5):
        vibrato = 0.08 * np.sin(2 * np.pi * rng.uniform(4.6, 5.8) * t + rng.uniform(0, 6))
        detuned = note + rng.normal(0, 0.06) + vibrato
        total += harmonics(440 * 2 ** ((detuned - 69) / 12), t, lambda k: k**-1.3)
    return total / 3 * envelope(t, attack=0.25, release=0.3)


def lead(note: float, duration: float) -> Signal:
    """A synthesizer's square wave with vibrato."""
    t = seconds(duration)
    bend = 0.12 * np.sin(2 * np.pi * 5.4 * t) * np.minimum(1, t / 0.25)
    frequency = 440 * 2 ** ((note + bend - 69) / 12)
    tone = harmonics(frequency, t, lambda k: (k % 2) / k**1.15)
    return tone * envelope(t, attack=0.012, release=0.05)


def band(signal: Signal, low: float, high: float) -> Signal:
    """Keep what lies between two frequencies, with slopes of an octave; unit RMS."""
    spectrum = np.fft.rfft(signal)
    f = np.fft.rfftfreq(len(signal), 1 / RATE)
    spectrum *= np.clip(f / low, 0, 1) ** 3 * np.clip(high / np.maximum(f, 1), 0, 1) ** 3
    filtered: Signal = np.fft.irfft(spectrum, len(signal))
    filtered /= np.sqrt(np.mean(filtered**2)) + 1e-12
    return filtered


def room(signal: Signal, rng: np.random.Generator) -> Signal:
    """Reverberation: noise that dies away in 1.1 s, another for each ear."""
    t = seconds(1.1)
    size = 1 << (len(signal) + len(t) - 1).bit_length()
    out = np.empty_like(signal)
    for ear in range(2):
        tail = band(rng.standard_normal(len(t)), 200, 6000) * np.exp(-5 * t)
        tail /= np.sqrt(np.sum(tail**2))
        product = np.fft.rfft(signal[:, ear], size) * np.fft.rfft(tail, size)
        out[:, ear] = np.fft.irfft(product, size)[: len(signal)]
    return out


def _master(mix: Signal) -> NDArray[np.float32]:
    """Soft saturation, a fade at both ends, and the peak at -1 dBFS."""
    mix = np.tanh(1.6 * mix / np.max(np.abs(mix)) * 1.2)
    t = seconds(len(mix) / RATE)
    mix *= envelope(t, attack=0.005, release=0.5)[:, None]
    mix *= 0.89 / np.max(np.abs(mix))
    return mix.astype(np.float32)


def write(path: Path, samples: NDArray[np.float32]) -> None:
    """Write an Ogg Vorbis file [shape=(n, 2)]."""
    import soundfile

    with soundfile.SoundFile(path, "w", RATE, 2, format="OGG", subtype="VORBIS") as file:
        for first in range(0, len(samples), 4096):  # libsndfile overflows on one large block
            file.write(samples[first : first + 4096])


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="The file to write.",
)
def main(output: Path) -> None:
    """Render the demo clip."""
    write(output, compose())
    click.echo(f"{output}: {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
