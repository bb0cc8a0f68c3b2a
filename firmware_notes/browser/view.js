// What the page shows. Knows its elements, and nothing of audio or models.

import { SILENCE } from "./playing.js";
import { Timeline } from "./timeline.js";

const TOP = 5; // genres with a bar
const ROWS = 600; // of the table, for pages that listen all night

const byId = (id) => document.getElementById(id);

export class View {
  #labels = [];
  timeline = new Timeline(byId("timeline"), (label) => this.#hue(label));

  /** @param {string[]} labels of the model */
  set labels(labels) {
    this.#labels = labels;
  }

  error(message) {
    byId("error").textContent = message;
    byId("error").hidden = !message;
    if (message && byId("save").disabled) this.#cards(false);
  }

  /** What there is to see only when there are results. */
  #cards(on) {
    for (const id of ["now", "past"]) byId(id).hidden = !on;
  }

  status(message) {
    byId("status").textContent = message;
  }

  about(message) {
    byId("about").textContent = message;
  }

  source(text) {
    byId("source").textContent = text;
  }

  /** Forget the last audio; `source` is the name of the next, or null. */
  clear(source) {
    this.error("");
    this.source(source);
    this.#cards(source !== null);
    for (const id of ["windows", "bars", "label"]) byId(id).replaceChildren();
    byId("save").disabled = true;
    this.progress(null);
    this.summary("No audio yet");
    this.timeline.show({ envelope: [], windows: [], begin: 0, end: 1, now: null });
  }

  listening(on) {
    byId("listen").setAttribute("aria-pressed", `${on}`);
    byId("listen").querySelector("span").textContent = on ? "Stop" : "Listen";
  }

  /** Whether audio can be taken now. */
  ready(on) {
    for (const id of ["listen", "file"]) byId(id).disabled = !on;
  }

  /**
   * Offer a recording to be played.
   *
   * @param {string | null} url null for none
   * @param {object} handlers `ontimeupdate`, which gets the seconds, and `onended`
   */
  play(url, { ontimeupdate, onended } = {}) {
    const player = byId("player");
    player.pause();
    player.ontimeupdate = () => player.paused || ontimeupdate(player.currentTime);
    player.onended = onended;
    player.hidden = url === null;
    if (url) player.src = url;
    else player.removeAttribute("src");
  }

  progress(done) {
    byId("progress").hidden = done === null;
    byId("progress").value = done ?? 0;
  }

  /** @param {{label: string, probabilities: number[] | null}} playing */
  playing({ label, probabilities }) {
    // Only when it changes: a live region that is written to is read out.
    if (byId("label").textContent !== label) byId("label").textContent = label;
    const order = (probabilities ?? []).map((p, k) => [p, this.#labels[k]]);
    const top = order.sort((a, b) => b[0] - a[0]).slice(0, TOP);
    const bars = byId("bars");
    // The bars stay and change, so that their growing can be seen.
    while (bars.children.length > top.length) bars.lastChild.remove();
    while (bars.children.length < top.length) bars.append(bar());
    for (const [rank, [probability, genre]] of top.entries()) {
      const { style, children } = bars.children[rank];
      style.setProperty("--hue", this.#hue(genre));
      style.setProperty("--share", probability);
      children[0].textContent = genre;
      children[1].textContent = percent(probability);
    }
  }

  /** @param {object} window as the worker gives it */
  window({ start, end, label, probabilities, level, milliseconds }) {
    const sure = probabilities ? percent(Math.max(...probabilities)) : "";
    const row = byId("windows").insertRow();
    for (const cell of [
      `${clock(start)}–${clock(end)}`,
      label,
      sure,
      `${level.toFixed(0)} dB`,
      `${milliseconds.toFixed(1)} ms`,
    ]) {
      row.insertCell().textContent = cell;
    }
    while (byId("windows").rows.length > ROWS) byId("windows").deleteRow(0);
    byId("save").disabled = false;
  }

  /** Say in words what the timeline shows. */
  summary(text) {
    byId("timeline").setAttribute("aria-label", text);
  }

  /** Degrees on the colour circle, neighbours far apart; null for silence. */
  #hue(label) {
    return label === SILENCE ? null : Math.round(this.#labels.indexOf(label) * 137.5 + 255) % 360;
  }
}

function bar() {
  const element = document.createElement("li");
  element.append(document.createElement("span"), document.createElement("span"));
  return element;
}

export function percent(probability) {
  return `${Math.round(100 * probability)} %`;
}

function clock(seconds) {
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  return `${minutes}:${rest.toFixed(1).padStart(4, "0")}`;
}
