// The signal that every model file was saved with an answer to: edge/model/self_test.py has the formula.

/**
 * @param {number} seed below 2 ** 32
 * @param {number} length samples
 * @param {number} rate Hz
 * @returns {Float32Array}
 */
export function signal(seed, length, rate) {
  return Float32Array.from({ length }, (_, n) => {
    const t = n / rate;
    const note = [0, 1, 2].reduce(
      (sum, k) => sum + Math.sin(2 * Math.PI * 110 * 4 ** k * t) / 2 ** k,
      0,
    );
    return 0.2 * beat(t) * note + 0.05 * beat(t + 0.25) * noise(n, seed);
  });
}

function beat(t) {
  return Math.exp(-12 * (t % 0.5));
}

function noise(n, seed) {
  let h = (Math.imul(n, 0x9e3779b1) + seed) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 31 - 1;
}
