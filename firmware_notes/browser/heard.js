// What is listened to, a file or the microphone, as the view shows it.
//
// Both take the worker's messages by their types: `window`, and `end` or `level`.

import { NowPlaying, vote } from "./playing.js";
import { percent } from "./view.js";
import { peak } from "./windows.js";

const SHOWN_SECONDS = 30; // of the microphone's past
const COLUMNS = 600; // of a file's envelope
const MOST_RESULTS = 20_000; // five hours of windows to save; older ones go

/** A file, from its first to its last window. */
export class Recording {
  results = [];

  /**
   * @param {View} view
   * @param {object} model as the worker describes it
   * @param {File} file
   * @param {Float32Array} samples mono
   * @param {number} rate Hz
   */
  constructor(view, model, file, samples, rate) {
    [this.view, this.model, this.name] = [view, model, file.name];
    this.seconds = samples.length / rate;
    const step = Math.ceil(samples.length / COLUMNS);
    const columns = Array.from({ length: Math.floor(samples.length / step) }, (_, k) => k * step);
    view.timeline.show({
      envelope: columns.map((from) => peak(samples.subarray(from, from + step))),
      step: step / rate,
      end: this.seconds,
    });
    this.url = URL.createObjectURL(file);
    view.play(this.url, {
      ontimeupdate: (seconds) => this.follow(seconds),
      onended: () => this.whole(),
    });
  }

  window({ window, done }) {
    this.results.push(window);
    this.view.window(window);
    this.view.timeline.show({ windows: this.results });
    this.view.playing(window);
    this.view.progress(done);
    this.view.status(`${Math.round(100 * done)} % of ${this.name}`);
  }

  end() {
    const spent = this.results.map((one) => one.milliseconds).sort((a, b) => a - b);
    const median = spent[Math.floor(spent.length / 2)];
    this.view.progress(null);
    this.view.status(`${this.results.length} windows, ${median.toFixed(1)} ms each`);
    this.whole();
  }

  /** Show what the whole song is. */
  whole() {
    const { labels, task, songTemperature } = this.model;
    const song = vote(this.results, labels, task, songTemperature);
    const sure = song.labels.length === 1 ? `, ${percent(song.probability)}` : "";
    this.view.playing(song);
    this.view.source(`${this.name}, as a whole`);
    this.view.timeline.show({ now: null });
    this.view.summary(`${this.name}, ${Math.round(this.seconds)} seconds: ${song.text}${sure}`);
  }

  /** Show what was heard around a place in the song. */
  follow(seconds) {
    if (!this.results.length) return;
    const off = ({ start, end }) => Math.abs((start + end) / 2 - seconds);
    this.view.playing(this.results.reduce((best, one) => (off(one) < off(best) ? one : best)));
    this.view.source(`${this.name}, here`);
    this.view.timeline.show({ now: seconds });
  }

  close() {
    this.view.play(null);
    URL.revokeObjectURL(this.url);
  }
}

/** The microphone, until somebody stops it. */
export class Live {
  name = "Microphone";
  results = [];
  #now;
  #envelope = [];
  #heard = 0; // seconds

  /**
   * @param {View} view
   * @param {object} model as the worker describes it
   * @param {Microphone} microphone
   * @param {number} hop seconds
   */
  constructor(view, model, microphone, hop) {
    [this.view, this.model, this.microphone, this.hop] = [view, model, microphone, hop];
    this.#now = new NowPlaying(model.labels, model.task);
  }

  level({ peak: largest, seconds }) {
    this.#heard += seconds;
    this.#envelope.push(largest);
    if (this.#envelope.length * seconds > SHOWN_SECONDS) this.#envelope.shift();
    const begin = this.#heard - this.#envelope.length * seconds;
    const end = begin + SHOWN_SECONDS;
    this.view.timeline.show({ envelope: this.#envelope, step: seconds, begin, end });
    const wait = Math.ceil(this.model.windowSeconds - this.#heard);
    if (wait > 0) this.view.status(`The first answer comes in ${wait} s`);
  }

  window({ window }) {
    this.results.push(window);
    if (this.results.length > MOST_RESULTS) this.results.shift();
    const playing = this.#now.update(window);
    this.view.window(window);
    this.view.playing(playing);
    this.view.timeline.show({ windows: this.results.slice(-SHOWN_SECONDS / this.hop) });
    const { level, milliseconds, skipped } = window;
    const late = skipped ? `, ${skipped} left out: this device is slow` : "";
    this.view.status(`${level.toFixed(0)} dB, ${milliseconds.toFixed(1)} ms a window${late}`);
    this.view.summary(`Microphone: ${playing.text}`);
  }

  close() {
    this.microphone.close();
  }
}
