// From the microphone's sample rate to the model's, as edge/audio/resample.py does it.

const ATTENUATION = 120; // dB
const BETA = 0.1102 * (ATTENUATION - 8.7); // Kaiser 1974
const PASS = 0.913; // end of the pass band, as a fraction of the lower Nyquist frequency

/**
 * Polyphase resampling with a Kaiser-windowed sinc, in blocks of any size.
 *
 * Output n stands at input position n * source / target; with the ratio in lowest terms there are
 * as many different phases as its denominator, and each has a row of weights.
 */
export class Resampler {
  /**
   * @param {number} source Hz
   * @param {number} target Hz
   */
  constructor(source, target) {
    const divisor = gcd(source, target);
    [this.down, this.up] = [source / divisor, target / divisor];
    const cutoff = Math.min(1, target / source);
    const width = Math.PI * (1 - PASS) * cutoff;
    this.half = Math.ceil(((ATTENUATION - 7.95) / (2.285 * width) + 1) / 2);
    this.rows = kernel(this.up, this.half, (cutoff * (1 + PASS)) / 2);
    this.input = new Float32Array(this.half); // silence before the first sample
    this.position = 0; // of the next output, in steps of 1 / up input samples
  }

  /**
   * @param {Float32Array} samples
   * @returns {Float32Array} the outputs that they complete
   */
  process(samples) {
    const input = new Float32Array(this.input.length + samples.length);
    input.set(this.input);
    input.set(samples, this.input.length);
    const { down, up, rows } = this;
    const taps = 2 * this.half;
    const complete = (input.length - taps + 1) * up; // positions before it have all their inputs
    const output = new Float32Array(Math.max(0, Math.ceil((complete - this.position) / down)));
    for (let n = 0; n < output.length; n++) {
      const first = Math.floor(this.position / up);
      const row = (this.position % up) * taps;
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) sum += rows[row + tap] * input[first + tap];
      output[n] = sum;
      this.position += down;
    }
    const used = Math.min(Math.floor(this.position / up), input.length);
    this.input = input.slice(used);
    this.position -= used * up;
    return output;
  }
}

/** Resamples a whole recording, piece by piece as it is wanted. */
export class Resampled {
  #samples;
  #step; // samples at a time: a second
  #resampler;
  #read = 0;
  #filled = 0;
  #output;

  constructor(samples, source, target) {
    this.#samples = samples;
    this.#step = source;
    this.#resampler = source === target ? null : new Resampler(source, target);
    this.length = Math.ceil((samples.length * target) / source);
    this.#output = this.#resampler ? new Float32Array(this.length) : samples;
  }

  subarray(start, stop) {
    while (this.#resampler && this.#filled < Math.min(stop, this.length)) {
      const block = this.#samples.subarray(this.#read, this.#read + this.#step);
      this.#read += this.#step;
      // Behind its end there is silence, until the filter has passed it.
      const piece = this.#resampler.process(block.length ? block : new Float32Array(this.#step));
      this.#output.set(piece.subarray(0, this.length - this.#filled), this.#filled);
      this.#filled += piece.length;
    }
    return this.#output.subarray(start, stop);
  }
}

function kernel(phases, half, cutoff) {
  const taps = 2 * half;
  const rows = new Float32Array(phases * taps);
  for (let phase = 0; phase < phases; phase++) {
    const row = Float64Array.from({ length: taps }, (_, tap) => {
      const distance = tap - half - phase / phases;
      const inside = 1 - (distance / half) ** 2;
      return inside > 0 ? sinc(distance * cutoff) * bessel(BETA * Math.sqrt(inside)) : 0;
    });
    // Unit gain for a constant signal, whatever the phase: no ripple at the phases' rate.
    const gain = row.reduce((sum, weight) => sum + weight, 0);
    rows.set(
      row.map((weight) => weight / gain),
      phase * taps,
    );
  }
  return rows;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Modified Bessel function of the first kind, order 0, by its series. */
function bessel(x) {
  let [sum, term] = [1, 1];
  for (let k = 1; term > 1e-17 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function gcd(a, b) {
  return b ? gcd(b, a % b) : a;
}
