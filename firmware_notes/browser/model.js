// A model file that describes itself, ready to run: its own labels, sample rate and window.

import { kindOf, texts } from "./container.js";
import { LITERT, ONNX_RUNTIME } from "./engines.js";
import { UserError } from "./errors.js";
import { signal } from "./self_test.js";
import { GENRES, Task } from "./task.js";

const FORMAT_VERSION = 2; // the newest; 1 is read, too
const ENGINES = { tflite: LITERT, onnx: ONNX_RUNTIME };

export class Model {
  /** Use `Model.load`. */
  constructor(description, labels, engine, runtime) {
    const { sample_rate: rate, window_seconds: seconds } = frontEnds(description)[0];
    this.name = description.name;
    this.labels = labels;
    this.engine = engine.name;
    this.rate = rate;
    this.windowSeconds = seconds;
    this.windowSamples = Math.round(rate * seconds);
    this.songTemperature = description.song_temperature ?? 1;
    this.output = description.output;
    this.task = new Task(description.task ?? GENRES, labels);
    this.runtime = runtime;
  }

  /**
   * @param {Uint8Array} bytes a .tflite or .onnx file made by `edge-genre convert --waveform`
   * @throws {UserError} it cannot be used; the message says why and what to do
   */
  static async load(bytes) {
    const kind = kindOf(bytes);
    if (!kind) throw new UserError("this is no TFLite or ONNX model, or only a part of one");
    const { description, labels } = await describe(bytes);
    let runtime;
    try {
      runtime = await ENGINES[kind].load(bytes);
    } catch (error) {
      throw new UserError(`${ENGINES[kind].name} cannot load it (${error.message ?? error})`);
    }
    const model = new Model(description, labels, ENGINES[kind], runtime);
    model.findAnswer();
    if (runtime.size !== model.windowSamples) {
      throw new UserError(
        `it does not take the ${model.windowSamples} samples that its description says`,
      );
    }
    await model.selfTest(description.self_test);
    return model;
  }

  /**
   * @param {Float32Array} samples one window, mono at `rate`, full scale 1
   * @returns {Promise<Float32Array>} a probability for each label
   */
  async probabilities(samples) {
    const outputs = await this.runtime.run(samples, this.answer);
    return this.task.probabilities(outputs, this.output);
  }

  /** Which of the outputs is none of those that explain. */
  findAnswer() {
    const { outputs } = this.runtime;
    const { explanations } = this.task;
    // As edge/engines/tensor.py reads names: without what TensorFlow puts around them.
    const bare = outputs.map((name) => name.replace(/^serving_default_(?=.)|:\d+$/g, ""));
    const left = [...bare.keys()].filter((k) => !explanations.includes(bare[k]));
    if (left.length !== 1 || bare.length !== 1 + explanations.length) {
      const expected = ["one answer", ...explanations].join(", ");
      throw new UserError(`it has outputs ${bare.join(", ")}, expected ${expected}`);
    }
    [this.answer] = left;
  }

  /** Whoever loads a model makes it prove that it answers as it did when it was made. */
  async selfTest(test) {
    const { length } = await this.probabilities(new Float32Array(this.windowSamples));
    if (length !== this.labels.length) {
      throw new UserError(`it has ${length} outputs, but ${this.labels.length} labels`);
    }
    if (!test) return;
    const samples = signal(test.seed, this.windowSamples, this.rate);
    const answer = await this.probabilities(samples);
    this.deviation = Math.max(...answer.map((p, k) => Math.abs(p - test.probabilities[k])));
    if (!(this.deviation <= test.tolerance)) {
      throw new UserError(
        `its self-test failed: a probability is off by ${this.deviation.toPrecision(3)}, ` +
          `${test.tolerance} allowed; try the other engine, or convert the model again`,
      );
    }
  }
}

/** What the inputs take, by a description of any version. */
function frontEnds({ format_version: version, front_end: frontEnd, inputs }) {
  return version === 1 ? [frontEnd] : inputs.map((each) => each.front_end);
}

async function describe(bytes) {
  const found = await texts(bytes);
  if (!found.has("edge_genre.json") || !found.has("labels.txt")) {
    throw new UserError(
      "the model says nothing of its labels and sample rate: " +
        "make the file with edge-genre convert --waveform, or copy it again if it is cut off",
    );
  }
  let description;
  try {
    description = JSON.parse(found.get("edge_genre.json"));
  } catch {
    throw new UserError("its description is not JSON: the file is damaged");
  }
  const { format_version: version } = description;
  if (!Number.isInteger(version) || version < 1) {
    throw new UserError(`its description has version ${version}, expected a whole number from 1`);
  }
  if (version > FORMAT_VERSION) {
    throw new UserError(
      `its description has version ${version}; this page reads 1 to ${FORMAT_VERSION}: ` +
        "update the page",
    );
  }
  const kinds = frontEnds(description).map((frontEnd) => frontEnd?.kind ?? "unknown");
  if (`${kinds}` !== "waveform") {
    throw new UserError(
      `the model takes ${kinds.join(" and ") || "unknown"} features, not samples: ` +
        "convert it with edge-genre convert --waveform",
    );
  }
  const labels = found.get("labels.txt").split("\n").filter(Boolean);
  return { description, labels };
}
