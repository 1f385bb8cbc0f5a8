// A chart: the last few minutes of one figure as an area, from 0 to its maximum.

const LATELY_MS = 300_000;

export class Chart {
  #canvas;
  #points = []; // [when, value]

  constructor(canvas) {
    this.#canvas = canvas;
    document.documentElement.addEventListener("themechange", () => this.draw());
    addEventListener("resize", () => this.draw());
  }

  /** Add the figure's present value. */
  add(value, now) {
    this.#points.push([now, value]);
    while (this.#points[0][0] < now - LATELY_MS) this.#points.shift();
    this.draw();
  }

  draw() {
    const [width, height, scale] = [this.#canvas.clientWidth, this.#canvas.clientHeight, devicePixelRatio || 1];
    if (!width || !this.#points.length) return;
    [this.#canvas.width, this.#canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    const pen = this.#canvas.getContext("2d");
    pen.scale(scale, scale);
    const last = this.#points.at(-1)[0];
    const watched = Math.max(last - this.#points[0][0], 30_000);
    const most = Math.max(1, ...this.#points.map(([, value]) => value));
    const x = (when) => width - ((last - when) / watched) * width;
    const y = (value) => height - 2 - (value / most) * (height - 5);
    const line = new Path2D();
    this.#points.forEach(([when, value], place) => (place ? line.lineTo(x(when), y(value)) : line.moveTo(x(when), y(value))));
    const area = new Path2D(line);
    area.lineTo(width, height);
    area.lineTo(x(this.#points[0][0]), height);
    pen.strokeStyle = pen.fillStyle = getComputedStyle(this.#canvas).color;
    pen.globalAlpha = 0.14;
    pen.fill(area);
    pen.globalAlpha = 1;
    pen.lineWidth = 1.75;
    pen.stroke(line);
  }
}
