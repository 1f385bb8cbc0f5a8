// The view of the costs: for each transport a row of figures, and a lane with a moving mark for each step.

import { SHOWN_MS, TRANSPORTS } from "./costs.js";
import { count, size, span } from "./format.js";
import { titleOf } from "./transports.js";

const FRAME_MS = 66;
const CALM_FRAME_MS = 1000;

const isCalm = matchMedia("(prefers-reduced-motion: reduce)");

export class CostsView {
  #rows = {};
  #line;
  #costs;
  #drawnAt = 0;
  #isRunning = false;

  constructor(costs, body, line) {
    this.#costs = costs;
    this.#line = line;
    for (const transport of TRANSPORTS) this.#rows[transport] = new Row(transport, body);
    document.documentElement.addEventListener("themechange", () => this.draw());
  }

  /** Whether the marks move. */
  run(isRunning) {
    const began = isRunning && !this.#isRunning;
    this.#isRunning = isRunning;
    if (began) requestAnimationFrame((now) => this.#frame(now));
    else if (!isRunning) this.draw();
  }

  /** Mark the transport in use. */
  point(transport) {
    for (const [name, row] of Object.entries(this.#rows)) row.element.toggleAttribute("data-current", name === transport);
  }

  draw() {
    const now = performance.now();
    const costs = Object.entries(this.#costs.of);
    const most = Math.max(1, ...costs.flatMap(([, cost]) => cost.marks.map((mark) => mark.tokens)));
    for (const [name, cost] of costs) this.#rows[name].show(cost, this.#costs.isMeasured, now, most);
    const total = (field) => costs.reduce((sum, [, cost]) => sum + cost[field], 0);
    const requests = total("requests");
    this.#line.textContent = requests ? `${count(requests)} ${requests === 1 ? "request" : "requests"}, ${size(total("bytes"))}` : "nothing yet";
  }

  #frame(now) {
    if (!this.#isRunning) return;
    if (now - this.#drawnAt >= (isCalm.matches ? CALM_FRAME_MS : FRAME_MS)) {
      this.#drawnAt = now;
      this.draw();
    }
    requestAnimationFrame((next) => this.#frame(next));
  }
}

class Row {
  constructor(transport, body) {
    this.element = body.insertRow();
    this.element.dataset.transport = transport;
    const title = document.createElement("th");
    title.scope = "row";
    title.textContent = titleOf(transport);
    this.element.append(title);
    this.cells = [0, 1, 2].map(() => this.element.insertCell());
    const lane = body.insertRow();
    lane.className = "lane";
    lane.dataset.transport = transport;
    lane.setAttribute("aria-hidden", "true");
    const cell = lane.insertCell();
    cell.colSpan = 4;
    this.canvas = document.createElement("canvas");
    cell.append(this.canvas);
  }

  show(cost, isMeasured, now, most) {
    const delay = cost.delayPerTokenMs;
    const sign = isMeasured ? "" : "≈ ";
    const texts = [
      cost.requests ? count(cost.requests) : "–",
      cost.bytes ? size(cost.bytes) : "–",
      delay === null ? "–" : sign + span(delay),
    ];
    texts.forEach((text, place) => {
      if (this.cells[place].textContent !== text) this.cells[place].textContent = text;
    });
    this.#draw(cost.marks, now, most);
  }

  #draw(marks, now, most) {
    const { canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return; // the costs are folded
    const scale = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = getComputedStyle(canvas).color;
    for (const { at, tokens } of marks) {
      const x = width - 2 - ((now - at) / SHOWN_MS) * width;
      // The square root keeps one token visible beside fifty.
      const tall = Math.max(3, Math.sqrt(tokens / most) * (height - 2));
      if (x > -2) pen.fillRect(x, height - tall, 1.4, tall);
    }
  }
}
