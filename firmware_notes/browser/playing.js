// From windows to what is playing, as edge/listening/playing.py and edge/results.py do it.

export const SILENCE = "silence";

const SMOOTH = 25; // seconds of windows that decide together
const HOLD = 5; // seconds for which another label has to lead before it takes over
const MARGIN = 0.05; // of probability by which it has to lead

/** Smooths windows and holds a label until another one has proven itself. */
export class NowPlaying {
  #labels;
  #heard = [];
  #smoothed = null;
  #label = null;
  #challenged = null; // since when another label leads

  /** @param {string[]} labels */
  constructor(labels) {
    this.#labels = labels;
  }

  /**
   * @param {{end: number, probabilities: number[] | null}} window the next one
   * @returns {{label: string, probability: number, probabilities: number[] | null}}
   */
  update({ end, probabilities }) {
    let leader = SILENCE;
    if (probabilities) {
      this.#heard = [...this.#heard, { end, probabilities }].filter(
        (one) => one.end > end - SMOOTH || one.end === end,
      );
      this.#smoothed = mean(this.#heard.map((one) => one.probabilities));
      leader = this.#labels[largest(this.#smoothed)];
    }
    if (this.#takesOver(leader, end)) {
      this.#label = leader;
      this.#challenged = null;
    }
    if (this.#label === SILENCE) {
      // What comes after it is another song.
      this.#heard = [];
      this.#smoothed = null;
    }
    return {
      label: this.#label,
      probability: this.#of(this.#label),
      probabilities: this.#smoothed,
    };
  }

  #of(label) {
    return this.#smoothed?.[this.#labels.indexOf(label)] ?? 0;
  }

  #takesOver(leader, now) {
    if (leader === this.#label) {
      this.#challenged = null;
      return false;
    }
    if (this.#label === null || this.#label === SILENCE) return true;
    if (leader !== SILENCE && this.#of(leader) - this.#of(this.#label) < MARGIN) {
      this.#challenged = null;
      return false;
    }
    this.#challenged ??= now;
    return now - this.#challenged >= HOLD;
  }
}

/**
 * Make a song's result of its windows': the mean of their probabilities, with the model's
 * temperature.
 */
export function vote(windows, labels, temperature) {
  const heard = windows.map((one) => one.probabilities).filter(Boolean);
  if (!heard.length) return { label: SILENCE, probability: 0, probabilities: null };
  let probabilities = mean(heard);
  if (heard.length > 1 && temperature !== 1) {
    // Softmax of log(p) / T (Guo et al. 2017).
    const logits = probabilities.map((p) => Math.log(Math.max(p, 1e-12)) / temperature);
    const top = Math.max(...logits);
    const powers = logits.map((x) => Math.exp(x - top));
    const total = powers.reduce((sum, x) => sum + x, 0);
    probabilities = powers.map((x) => x / total);
  }
  const best = largest(probabilities);
  return { label: labels[best], probability: probabilities[best], probabilities };
}

export function largest(values) {
  return values.indexOf(Math.max(...values));
}

function mean(rows) {
  return rows[0].map((_, k) => rows.reduce((sum, row) => sum + row[k], 0) / rows.length);
}
