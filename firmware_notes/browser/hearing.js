// What the worker does: a model, and audio that goes through it window by window.

import { UserError } from "./errors.js";
import { Model } from "./model.js";
import { answer } from "./playing.js";
import { Resampled, Resampler } from "./resample.js";
import { levelDbfs, peak, Rolling, windowStarts } from "./windows.js";

const SILENCE_DBFS = -60;
const MIN_SECONDS = 0.5; // what is shorter has no genre

export class Hearing {
  #model;
  #post;
  #run = 0; // which audio is listened to; whatever belongs to an earlier one ends
  #port = null;

  /** @param {(message: object) => void} post gets all results */
  constructor(post) {
    this.#post = post;
  }

  async load({ bytes }) {
    const begin = performance.now();
    const model = await Model.load(bytes);
    this.#model = model;
    const { name, labels, engine, rate, windowSeconds, songTemperature, deviation } = model;
    const task = model.task.values;
    this.#post({
      type: "loaded",
      model: { name, labels, task, engine, rate, windowSeconds, songTemperature, deviation },
      milliseconds: performance.now() - begin,
    });
  }

  stop() {
    this.#run++;
    this.#port?.close();
    this.#port = null;
  }

  /** Classify a whole recording, mono at `rate` Hz, every `hop` seconds. */
  async recording({ samples, rate, hop }) {
    this.stop();
    const run = this.#run;
    const model = this.#model;
    if (samples.length < Math.min(MIN_SECONDS, model.windowSeconds) * rate) {
      const seconds = (samples.length / rate).toFixed(2);
      throw new UserError(`holds only ${seconds} s of audio, expected ${MIN_SECONDS} s at least`);
    }
    const size = model.windowSamples;
    const audio = new Resampled(samples, rate, model.rate);
    const starts = windowStarts(audio.length, size, Math.round(hop * model.rate));
    for (const [index, start] of starts.entries()) {
      const window = await this.#window(start, audio.subarray(start, start + size));
      this.#post({ type: "window", window, done: (index + 1) / starts.length });
      await nextTask();
      if (run !== this.#run) return;
    }
    this.#post({ type: "end" });
  }

  /** Classify what comes through a port, at `rate` Hz, every `hop` seconds, until `stop`. */
  microphone({ port, rate, hop }) {
    this.stop();
    const run = this.#run;
    const model = this.#model;
    const resampler = rate === model.rate ? null : new Resampler(rate, model.rate);
    const rolling = new Rolling(model.windowSamples, Math.round(hop * model.rate));
    let busy = false;
    const classify = async () => {
      if (busy) return;
      busy = true;
      // Blocks that came while a window was computed wait as tasks: with them in, a machine that
      // is too slow leaves windows out and is never late.
      await nextTask();
      for (let due; run === this.#run && (due = rolling.newest()); await nextTask()) {
        const window = await this.#window(due.start, due.samples, due.skipped);
        if (run === this.#run) this.#post({ type: "window", window });
      }
      busy = false;
    };
    this.#port = port;
    port.onmessage = ({ data: block }) => {
      if (run !== this.#run) return;
      this.#post({ type: "level", peak: peak(block), seconds: block.length / rate });
      rolling.accept(resampler ? resampler.process(block) : block);
      classify().catch((error) => this.#post({ type: "error", message: messageOf(error) }));
    };
  }

  async #window(start, audio, skipped = 0) {
    const { rate, windowSamples: size, labels, task } = this.#model;
    const level = levelDbfs(audio);
    if (Number.isNaN(level)) throw new UserError("holds NaN or infinity, which is no sound");
    const padded = size - audio.length;
    let [held, probabilities] = [[], null];
    const begin = performance.now();
    if (level >= SILENCE_DBFS) {
      const samples = new Float32Array(size);
      samples.set(audio);
      probabilities = [...(await this.#model.probabilities(samples))];
      held = task.decide(probabilities).map((k) => labels[k]);
    }
    return {
      start: start / rate,
      end: (start + audio.length) / rate,
      ...answer(held, probabilities, labels),
      level,
      milliseconds: performance.now() - begin,
      skipped,
      padded: padded / rate,
    };
  }
}

export function messageOf(error) {
  // What is no UserError is a mistake in the page, and its name helps to find it.
  return error instanceof UserError ? error.message : `${error}`;
}

function nextTask() {
  return new Promise((resolve) => setTimeout(resolve));
}
