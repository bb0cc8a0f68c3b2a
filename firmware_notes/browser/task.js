// What a model's outputs mean, and how they decide, as edge/task.py has it.

import { UserError } from "./errors.js";

/** What every model means whose description has no task: format 1. */
export const GENRES = {
  kind: "single_label",
  noun: "genre",
  background: null,
  thresholds: [],
  explanations: [],
};
const THRESHOLD = 0.5; // of a label where nobody chose another one

const KINDS = {
  // Labels exclude each other: their probabilities add up to 1, and the greatest decides.
  single_label: {
    many: false,
    activations: { probabilities: addingUp, logits: softmax, log_probabilities: softmax },
    decide: (probabilities) => [largest(probabilities)],
    ofSong: (rows, temperature) => tempered(mean(rows), rows.length > 1 ? temperature : 1),
  },
  // Each label holds or not, whatever the others do: where it reaches its threshold.
  multi_label: {
    many: true,
    activations: {
      probabilities: (outputs) => outputs.map((p) => Math.min(1, Math.max(0, p))),
      logits: (outputs) => outputs.map((x) => 1 / (1 + Math.exp(-x))),
      log_probabilities: (outputs) => outputs.map(Math.exp),
    },
    decide: (probabilities, thresholds) =>
      [...probabilities.keys()]
        .filter((k) => probabilities[k] >= thresholds[k])
        .sort((a, b) => probabilities[b] - probabilities[a]),
    ofSong: mean,
  },
};

export class Task {
  #kind;

  /**
   * @param {object} values as in a model's description
   * @param {string[]} labels of the model
   */
  constructor(values, labels) {
    this.#kind = Object.hasOwn(KINDS, values.kind) ? KINDS[values.kind] : null;
    if (!this.#kind) {
      throw new UserError(`its task is ${values.kind}, which this page does not know: update the page`);
    }
    this.values = values;
    this.noun = values.noun;
    this.explanations = values.explanations;
    const thresholds = values.thresholds.length ? values.thresholds : labels.map(() => THRESHOLD);
    // In single precision, as they are compared elsewhere.
    this.thresholds = thresholds.map(Math.fround);
  }

  /** Whether labels hold together. */
  get many() {
    return this.#kind.many;
  }

  /** More than one of the noun, by the rule that nearly all English nouns follow. */
  get nouns() {
    return this.noun + (/(s|x|z|ch|sh)$/.test(this.noun) ? "es" : "s");
  }

  /**
   * @param {Float32Array} outputs of the graph
   * @param {string} meaning what they are: `output` of a model's description
   * @returns {Float32Array} a probability for each label
   */
  probabilities(outputs, meaning) {
    return this.#kind.activations[meaning](outputs);
  }

  /**
   * @param {ArrayLike<number>} probabilities
   * @returns {number[]} the labels that hold, by their numbers, most probable first
   */
  decide(probabilities) {
    return this.#kind.decide(probabilities, this.thresholds);
  }

  /**
   * @param {number[][]} rows probabilities of a song's windows
   * @param {number} temperature of the model
   * @returns {number[]} those of the song
   */
  ofSong(rows, temperature) {
    return this.#kind.ofSong(rows, temperature);
  }
}

export function largest(values) {
  return values.indexOf(Math.max(...values));
}

export function mean(rows) {
  return rows[0].map((_, k) => rows.reduce((sum, row) => sum + row[k], 0) / rows.length);
}

function addingUp(outputs) {
  // Quantized outputs add up to 1 only roughly.
  const total = outputs.reduce((sum, x) => sum + x, 0) || 1;
  return outputs.map((x) => x / total);
}

function softmax(outputs) {
  const top = Math.max(...outputs);
  return addingUp(outputs.map((x) => Math.exp(x - top)));
}

/** Softmax of log(p) / T (Guo et al. 2017). */
function tempered(probabilities, temperature) {
  if (temperature === 1) return probabilities;
  return softmax(probabilities.map((p) => Math.log(Math.max(p, 1e-12)) / temperature));
}
