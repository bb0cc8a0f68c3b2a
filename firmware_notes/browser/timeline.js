// The picture of the audio: its envelope, and below it what each stretch was taken for.

// CSS pixels
const BAND = 34; // height of the lower part
const PITCH = 3; // from one bar of the envelope to the next

export class Timeline {
  #canvas;
  #hue;
  #scheduled = false;
  #envelope = []; // largest magnitudes of stretches of #step seconds, the first at #begin
  #step = 1;
  #windows = [];
  #begin = 0; // seconds
  #end = 1;
  #now = null; // where a player is

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(label: string) => number | null} hue of a label
   */
  constructor(canvas, hue) {
    [this.#canvas, this.#hue] = [canvas, hue];
    new ResizeObserver(() => this.#redraw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#redraw());
  }

  /**
   * @param {{envelope?: ArrayLike<number>, step?: number, windows?: object[], begin?: number,
   *     end?: number, now?: number | null}} changes
   */
  show({ envelope, step, windows, begin, end, now }) {
    if (envelope) this.#envelope = envelope;
    if (step) this.#step = step;
    if (windows) this.#windows = windows;
    if (begin !== undefined) this.#begin = begin;
    if (end !== undefined) this.#end = end;
    if (now !== undefined) this.#now = now;
    this.#redraw();
  }

  /** Draw with the next picture, however many changes there are until then. */
  #redraw() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  #draw() {
    const canvas = this.#canvas;
    const { clientWidth: width, clientHeight: height } = canvas;
    [canvas.width, canvas.height] = [width, height].map((size) => size * devicePixelRatio);
    const pen = canvas.getContext("2d");
    pen.scale(devicePixelRatio, devicePixelRatio);
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    const x = (seconds) => ((seconds - this.#begin) / (this.#end - this.#begin)) * width;

    pen.fillStyle = colour("--wave");
    const middle = (height - BAND) / 2;
    const columns = new Map(); // by whole pixels, or the bars would shimmer
    for (let k = 0; k < this.#envelope.length; k++) {
      const column = Math.floor(x(this.#begin + k * this.#step) / PITCH);
      columns.set(column, Math.max(this.#envelope[k], columns.get(column) ?? 0));
    }
    for (const [column, largest] of columns) {
      const half = Math.max(0.5, Math.min(1, largest) * (middle - 3));
      pen.fillRect(column * PITCH, middle - half, PITCH - 1, 2 * half);
    }

    pen.font = `600 0.8rem ${style.fontFamily}`;
    pen.textBaseline = "middle";
    for (const { label, text, from, to } of this.#stretches()) {
      const [left, right] = [Math.max(0, x(from)), Math.min(width, x(to))];
      if (right <= left) continue;
      const hue = this.#hue(label);
      pen.fillStyle = hue === null ? colour("--line") : `hsl(${hue} ${colour("--fill")})`;
      pen.fillRect(left, height - BAND + 6, Math.max(1, right - left - 1), BAND - 6);
      if (pen.measureText(text).width < right - left - 8) {
        pen.fillStyle = colour("--ink");
        pen.fillText(text, left + 5, height - BAND / 2 + 3);
      }
    }

    if (this.#now !== null) {
      pen.fillStyle = colour("--accent");
      pen.fillRect(x(this.#now) - 1, 0, 2, height);
    }
  }

  /** Neighbouring windows of the same labels as one; a window stands for what is new in it. */
  #stretches() {
    const stretches = [];
    let from = this.#windows[0]?.start;
    for (const { label, text, end } of this.#windows) {
      const last = stretches.at(-1);
      if (last?.text === text) last.to = end;
      else stretches.push({ label, text, from, to: end });
      from = end;
    }
    return stretches;
  }
}
