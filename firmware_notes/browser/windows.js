// How audio is cut into windows, as edge/listening/rolling.py cuts it.

const MIN_DBFS = -120;

/**
 * Where the windows of a whole recording start.
 *
 * What is left at the end is covered by one more window that ends with the last sample; less than
 * half a hop is left alone.
 *
 * @param {number} length samples of the recording
 * @param {number} size samples of a window
 * @param {number} hop samples from one window to the next
 */
export function windowStarts(length, size, hop) {
  if (length <= size) return [0];
  const count = Math.floor((length - size) / hop) + 1;
  const starts = Array.from({ length: count }, (_, index) => index * hop);
  const left = length - size - starts[count - 1];
  if (left > 0 && 2 * left >= Math.min(hop, size)) starts.push(length - size);
  return starts;
}

/** The latest samples of an endless stream, and which window of them is due. */
export class Rolling {
  constructor(size, hop) {
    [this.size, this.hop] = [size, hop];
    this.ring = new Float32Array(size + hop);
    this.received = 0;
    this.due = size; // where the next window ends
  }

  accept(samples) {
    const { ring } = this;
    for (const sample of samples) ring[this.received++ % ring.length] = sample;
  }

  /**
   * The newest window that is complete, at multiples of the hop.
   *
   * @returns {{start: number, samples: Float32Array, skipped: number} | null} where it starts, and
   *     how many windows before it are left out because there was no time for them
   */
  newest() {
    if (this.received < this.due) return null;
    const { ring, size, hop } = this;
    const skipped = Math.floor((this.received - this.due) / hop);
    const start = this.due + skipped * hop - size;
    this.due = start + size + hop;
    const first = start % ring.length;
    const samples = new Float32Array(size);
    const older = ring.subarray(first, first + size); // up to the ring's end, where it wraps
    samples.set(older);
    samples.set(ring.subarray(0, size - older.length), older.length);
    return { start, samples, skipped };
  }
}

/** RMS level relative to full scale, in dB. */
export function levelDbfs(samples) {
  let power = 0;
  for (const sample of samples) power += sample * sample;
  power /= samples.length;
  return power > 0 ? Math.max(MIN_DBFS, 10 * Math.log10(power)) : power === 0 ? MIN_DBFS : NaN;
}

/** Largest magnitude. */
export function peak(samples) {
  let largest = 0;
  for (const sample of samples) largest = Math.max(largest, Math.abs(sample));
  return largest;
}
