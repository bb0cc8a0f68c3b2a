// From windows to what is playing, as edge/listening/playing.py and edge/results.py do it.

import { largest, mean } from "./task.js";

export const SILENCE = "silence";
export const NOTHING = "nothing"; // of many labels, none reaches its threshold

const SMOOTH = 25; // seconds of windows that decide together
const HOLD = 5; // seconds for which a change has to last before it is shown
const MARGIN = 0.05; // of probability by which another label has to lead
const SHARE = 0.2; // of its threshold by which one of many labels has to be below

/**
 * What a window, a song or the last windows are.
 *
 * @param {string[]} labels those that hold, most probable first
 * @param {number[] | null} probabilities of all labels; null for silence
 * @param {string[]} names of all labels
 * @returns {{label: string, labels: string[], text: string, probability: number,
 *     probabilities: number[] | null}} the first of the labels or what is said in place of one, all
 *     of them, both for people, and the first one's probability
 */
export function answer(labels, probabilities, names) {
  const label = labels[0] ?? (probabilities ? NOTHING : SILENCE);
  return {
    label,
    labels,
    text: labels.join("; ") || label,
    probability: probabilities?.[names.indexOf(label)] ?? 0,
    probabilities,
  };
}

/** Smooths windows and holds labels until others have proven themselves. */
export class NowPlaying {
  #holder;

  /**
   * @param {string[]} labels
   * @param {Task} task of the model
   */
  constructor(labels, task) {
    this.#holder = task.many ? new ManyLabels(labels, task) : new OneLabel(labels);
  }

  /**
   * @param {{end: number, probabilities: number[] | null}} window the next one
   * @returns {object} see `answer`
   */
  update(window) {
    return this.#holder.update(window);
  }
}

/** The mean of the last windows' probabilities. */
class Recent {
  #heard = [];
  mean = null;

  add({ end, probabilities }) {
    this.#heard = [...this.#heard, { end, probabilities }].filter(
      (one) => one.end > end - SMOOTH || one.end === end,
    );
    this.mean = mean(this.#heard.map((one) => one.probabilities));
  }

  clear() {
    this.#heard = [];
    this.mean = null;
  }
}

/** Of labels that exclude each other, one holds until another has proven itself. */
class OneLabel {
  #labels;
  #recent = new Recent();
  #label = null;
  #challenged = null; // since when another label leads

  constructor(labels) {
    this.#labels = labels;
  }

  update(window) {
    let leader = SILENCE;
    if (window.probabilities) {
      this.#recent.add(window);
      leader = this.#labels[largest(this.#recent.mean)];
    }
    if (this.#takesOver(leader, window.end)) {
      this.#label = leader;
      this.#challenged = null;
    }
    // What comes after it is another song.
    if (this.#label === SILENCE) this.#recent.clear();
    const held = this.#label === SILENCE ? [] : [this.#label];
    return answer(held, this.#recent.mean, this.#labels);
  }

  #of(label) {
    return this.#recent.mean?.[this.#labels.indexOf(label)] ?? 0;
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

/** Labels that hold together: each from its threshold on, until it has been below for a while. */
class ManyLabels {
  #labels;
  #thresholds;
  #recent = new Recent();
  #held = new Set(); // numbers of labels, in the order in which they began to hold
  #below = new Map(); // of these, since when they have been below
  #quiet = null; // since when it has been silent

  constructor(labels, task) {
    [this.#labels, this.#thresholds] = [labels, task.thresholds];
  }

  update(window) {
    if (window.probabilities) {
      this.#quiet = null;
      this.#recent.add(window);
      this.#follow(window.end);
    } else if (this.#recent.mean) {
      this.#quiet ??= window.end;
      // What comes after it is another song.
      if (window.end - this.#quiet >= HOLD) {
        for (const each of [this.#recent, this.#held, this.#below]) each.clear();
      }
    }
    const means = this.#recent.mean;
    const held = [...this.#held].sort((a, b) => means[b] - means[a]);
    return answer(
      held.map((k) => this.#labels[k]),
      means,
      this.#labels,
    );
  }

  #follow(now) {
    const means = this.#recent.mean;
    for (const [k, threshold] of this.#thresholds.entries()) {
      if (means[k] >= threshold) this.#held.add(k);
      if (!this.#held.has(k)) continue;
      if (means[k] >= threshold * (1 - SHARE)) {
        this.#below.delete(k);
        continue;
      }
      if (!this.#below.has(k)) this.#below.set(k, now);
      if (now - this.#below.get(k) < HOLD) continue;
      this.#held.delete(k);
      this.#below.delete(k);
    }
  }
}

/**
 * Make a song's result of its windows': the mean of their probabilities, by the task.
 *
 * @param {{probabilities: number[] | null}[]} windows
 * @param {string[]} labels of the model
 * @param {Task} task of the model
 * @param {number} temperature of the model
 * @returns {object} see `answer`
 */
export function vote(windows, labels, task, temperature) {
  const heard = windows.map((one) => one.probabilities).filter(Boolean);
  if (!heard.length) return answer([], null, labels);
  const probabilities = task.ofSong(heard, temperature);
  return answer(
    task.decide(probabilities).map((k) => labels[k]),
    probabilities,
    labels,
  );
}
