/**
 * Results as JSON Lines, with the keys of `edge-genre classify --windows --json`.
 *
 * @param {object[]} windows as the worker gives them
 * @param {string[]} labels of the model
 */
export function toJsonLines(windows, labels) {
  return windows.map((window) => `${JSON.stringify(toObject(window, labels))}\n`).join("");
}

function toObject(window, labels) {
  const probabilities = window.probabilities?.map((p) => rounded(p, 6));
  return {
    schema: 1,
    start: rounded(window.start, 3),
    end: rounded(window.end, 3),
    label: window.label,
    labels: window.labels,
    probability: rounded(window.probability, 6),
    probabilities: probabilities
      ? Object.fromEntries(labels.map((label, k) => [label, probabilities[k]]))
      : null,
    level_dbfs: rounded(window.level, 1),
    front_end_ms: 0, // a part of the model
    inference_ms: rounded(window.milliseconds, 3),
    dropped_samples: 0,
    skipped_windows: window.skipped,
    padded_seconds: rounded(window.padded, 3),
  };
}

function rounded(number, digits) {
  return Number(number.toFixed(digits));
}

/** Let the browser save a text as a file. */
export function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
