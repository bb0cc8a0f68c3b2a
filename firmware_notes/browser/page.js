// Brings the parts together: files, the microphone, the worker that classifies, and the view.

import { decode, Microphone } from "./audio.js";
import { kindOf } from "./container.js";
import { UserError } from "./errors.js";
import { Live, Recording } from "./heard.js";
import { keptForOffline } from "./offline_kept.js";
import { save, toJsonLines } from "./results.js";
import { Task } from "./task.js";
import { View } from "./view.js";

const byId = (id) => document.getElementById(id);
const view = new View();

let worker = null;
let model = null; // what the worker says of it
let audio = null; // what is listened to: a Recording or Live
let heard = null; // the last of them, whose results can be saved
let offline = false; // whether all that is loaded is kept
let turn = 0; // counts what the user asks for; whatever an older one still brings is dropped

/** Run what the user asked for, and show what goes wrong. */
async function attempt(subject, action) {
  const mine = ++turn;
  try {
    await action(() => mine === turn);
  } catch (error) {
    if (mine !== turn) return;
    failed(subject, error instanceof UserError ? error.message : `${error}`);
  }
}

function failed(subject, message) {
  view.error(subject ? `${subject}: ${message}` : message);
  view.status("");
  view.progress(null);
}

/** The model beside the page, for the engine that is chosen. */
function loadDefault() {
  const path = `models/genre.${byId("engine").value}`;
  unload();
  attempt("", async (current) => {
    view.status("Loading the model…");
    const response = await fetch(path).catch(() => {
      throw new UserError(`The network does not answer, and ${path} was never loaded before.`);
    });
    if (!response.ok) {
      throw new UserError(
        `There is no model beside this page (${path}): make one as its README says, or ` +
          "choose your own.",
      );
    }
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (current()) load(path, bytes);
  });
}

function loadOwn(file) {
  unload();
  attempt(file.name, async (current) => {
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (!current()) return;
    byId("engine").value = kindOf(bytes) ?? byId("engine").value;
    load(file.name, bytes);
  });
}

/** Have no model. There is one worker a model: its end frees all of its engine's memory. */
function unload() {
  close();
  worker?.terminate();
  worker = model = null;
  view.ready(false);
  view.clear(null);
  view.about("");
}

function load(name, bytes) {
  view.status("Starting the engine…");
  const size = bytes.length;
  const mine = new Worker(new URL("worker.js", import.meta.url));
  worker = mine;
  // One that has been replaced may have said something before it ended.
  mine.onmessage = ({ data }) => mine === worker && receive(data, name, size);
  mine.onerror = () => failed(name, "a part of the page does not load: load the page again");
  mine.postMessage({ type: "load", bytes }, [bytes.buffer]);
}

function receive(message, name, size) {
  if (message.type === "loaded") {
    const { labels, task } = message.model;
    model = { ...message.model, task: new Task(task, labels) };
    view.model = model;
    view.ready(true);
    view.status("Ready: listen, or open music.");
    view.about(
      `${model.name || name}: ${model.labels.length} ${model.task.nouns}, ${model.windowSeconds} s at ` +
        `${model.rate} Hz, ${Math.ceil(size / 1000)} kB in ${model.engine}. ` +
        (model.deviation === undefined ? "It has no self-test. " : "Its self-test passed. ") +
        (offline ? "It works offline from now on." : ""),
    );
  } else if (message.type === "error") {
    failed(audio?.name ?? name, message.message);
    close();
  } else {
    audio?.[message.type]?.(message);
  }
}

/** End whatever is listened to. */
function close() {
  audio?.close();
  audio = null;
  worker?.postMessage({ type: "stop" });
  view.listening(false);
}

/** Listen to something else from now on. */
function open(next, message, transferred) {
  heard = audio = next;
  worker.postMessage(message, [transferred]);
}

function hop() {
  return Number(byId("hop").value);
}

function openFile(file) {
  attempt(file.name, async (current) => {
    if (!model) throw new UserError("there is no model yet to classify it with");
    close();
    view.clear(file.name);
    view.status("Reading…");
    const { samples, rate } = await decode(file);
    if (!current()) return;
    const recording = new Recording(view, model, file, samples, rate);
    open(recording, { type: "recording", samples, rate, hop: hop() }, samples.buffer);
  });
}

function listenOrStop() {
  attempt("", async (current) => {
    const listening = audio instanceof Live;
    close();
    view.status("Stopped.");
    if (listening) return;
    view.clear("Microphone");
    view.status("Waiting for the microphone…");
    const microphone = await Microphone.open(() => {
      if (audio?.microphone !== microphone) return;
      close();
      failed("", "The microphone went away.");
    });
    if (!current()) {
      microphone.close();
      return;
    }
    const { port, rate } = microphone;
    const live = new Live(view, model, microphone, hop());
    open(live, { type: "microphone", port, rate, hop: live.hop }, port);
    view.listening(true);
  });
}

function drop([file]) {
  if (!file) return;
  if (/\.(tflite|onnx)$/i.test(file.name)) loadOwn(file);
  else openFile(file);
}

/** Take files that are dropped anywhere. */
function takeDrops() {
  let inside = 0; // a drag enters and leaves every element on its way
  const mark = () => document.body.classList.toggle("dropping", inside > 0);
  addEventListener("dragenter", () => mark(++inside));
  addEventListener("dragleave", () => mark(--inside));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark((inside = 0));
    drop(event.dataTransfer.files);
  });
}

/** Take files that are chosen in an input. */
function takeChosen(id, take) {
  byId(id).addEventListener("change", ({ target }) => {
    const [file] = target.files;
    target.value = ""; // so that the same file can be chosen again
    if (file) take(file);
  });
}

async function start() {
  if (typeof WebAssembly !== "object") {
    failed(
      "",
      "This browser has no WebAssembly, which the models need: use another one, or switch it on.",
    );
    return;
  }
  byId("listen").addEventListener("click", listenOrStop);
  byId("engine").addEventListener("change", loadDefault);
  byId("save").addEventListener("click", () => {
    save(`${heard.name}.jsonl`, toJsonLines(heard.results, model.labels));
  });
  takeChosen("file", openFile);
  takeChosen("model", loadOwn);
  takeDrops();
  offline = await keptForOffline().catch(() => false);
  loadDefault();
}

start();
