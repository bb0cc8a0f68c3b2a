// What the page shows. Knows its elements, and nothing of audio or models.

import { Timeline } from "./timeline.js";

const TOP = 5; // labels with a bar; of many, all that hold have one
const ROWS = 600; // of the table, for pages that listen all night

const byId = (id) => document.getElementById(id);

export class View {
  #labels = [];
  #many = false;
  timeline = new Timeline(byId("timeline"), (label) => this.#hue(label));

  /** @param {{labels: string[], task: Task}} model what is shown comes of */
  set model({ labels, task }) {
    [this.#labels, this.#many] = [labels, task.many];
    const { noun, nouns } = task;
    byId("what").textContent = task.many ? `its ${nouns} come out` : `its ${noun} comes out`;
    byId("now").setAttribute("aria-label", capitalized(task.many ? nouns : noun));
    byId("bars").setAttribute("aria-label", `Most probable ${nouns}`);
    byId("noun").textContent = capitalized(task.many ? nouns : noun);
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

  /** @param {object} playing see `answer` in playing.js */
  playing({ text, labels, probabilities }) {
    // Only when it changes: a live region that is written to is read out.
    if (byId("label").textContent !== text) byId("label").textContent = text;
    byId("label").classList.toggle("several", labels.length > 1);
    const order = (probabilities ?? []).map((p, k) => [p, this.#labels[k]]);
    order.sort((a, b) => b[0] - a[0]);
    const held = this.#many ? order.filter(([, label]) => labels.includes(label)) : [];
    const others = order.filter((one) => !held.includes(one));
    const top = [...held, ...others.slice(0, Math.max(0, TOP - held.length))];
    const bars = byId("bars");
    // The bars stay and change, so that their growing can be seen.
    while (bars.children.length > top.length) bars.lastChild.remove();
    while (bars.children.length < top.length) bars.append(bar());
    for (const [rank, [probability, label]] of top.entries()) {
      const { style, classList, children } = bars.children[rank];
      style.setProperty("--hue", this.#hue(label));
      style.setProperty("--share", probability);
      classList.toggle("holds", rank < held.length);
      children[0].textContent = label;
      children[1].textContent = percent(probability);
    }
  }

  /** @param {object} window as the worker gives it */
  window({ start, end, text, labels, probabilities, level, milliseconds }) {
    const of = (label) => percent(probabilities[this.#labels.indexOf(label)]);
    const sure = labels.map(of).join("; ");
    const row = byId("windows").insertRow();
    for (const cell of [
      `${clock(start)}–${clock(end)}`,
      text,
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

  /** Degrees on the colour circle, neighbours far apart; null for what is no label. */
  #hue(label) {
    const number = this.#labels.indexOf(label);
    return number < 0 ? null : Math.round(number * 137.5 + 255) % 360;
  }
}

function bar() {
  const element = document.createElement("li");
  element.append(document.createElement("span"), document.createElement("span"));
  return element;
}

function capitalized(word) {
  return word[0].toUpperCase() + word.slice(1);
}

export function percent(probability) {
  return `${Math.round(100 * probability)} %`;
}

function clock(seconds) {
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  return `${minutes}:${rest.toFixed(1).padStart(4, "0")}`;
}
