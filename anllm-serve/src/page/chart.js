// Entries kept against tokens seen, with the bytes that they take.

const WIDTH = 420, HEIGHT = 260, LEFT = 36, RIGHT = 56, TOP = 14, BOTTOM = 30;

const node = (tag, attributes, text) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
};

/** A round number at or above. */
const round = (value) => {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 4, 5, 10].map((step) => step * power).find((step) => step >= value);
};

const short = (bytes) => (bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e3).toFixed(0)} kB`);

export class Chart {
  constructor(svg, title, legend) {
    Object.assign(this, { svg, title, legend, waiting: false });
  }

  /** Draws soon, once for all that changed until then. */
  draw(lanes, bytesPerEntry) {
    this.lanes = lanes;
    this.bytesPerEntry = bytesPerEntry;
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  paint() {
    const seen = Math.max(0, ...this.lanes.map((lane) => lane.rows.length));
    const most = Math.max(0, ...this.lanes.flatMap((lane) => lane.rows.map((row) => row.held)));
    const [right, top] = [round(Math.max(seen, 10)), round(Math.max(most, 10))];
    const x = (tokens) => LEFT + (tokens / right) * (WIDTH - LEFT - RIGHT);
    const y = (entries) => HEIGHT - BOTTOM - (entries / top) * (HEIGHT - TOP - BOTTOM);
    const parts = [this.title];
    for (const share of [0, 0.5, 1]) {
      parts.push(node("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: y(top * share), y2: y(top * share) }));
      parts.push(node("text", { x: LEFT - 6, y: y(top * share) + 4, "text-anchor": "end" }, top * share));
      parts.push(node("text", { x: WIDTH - RIGHT + 6, y: y(top * share) + 4 }, short(top * share * this.bytesPerEntry)));
      parts.push(node("text", { x: x(right * share), y: HEIGHT - 10, "text-anchor": "middle" }, right * share));
    }
    // What a full cache would hold, as far as it fits.
    const end = Math.min(right, top);
    parts.push(node("line", { class: "every", x1: x(0), y1: y(0), x2: x(end), y2: y(end) }));
    for (const lane of this.lanes) {
      const points = lane.rows.map((row) => `${x(row.step + 1).toFixed(1)},${y(row.held).toFixed(1)}`);
      const group = node("g", { class: lane.place });
      group.append(node("polyline", { class: "line", points: points.join(" "), "data-policy": lane.policy }));
      parts.push(group);
    }
    this.svg.replaceChildren(...parts);
    const said = this.lanes.map((lane) => `${lane.policy}: ${lane.rows.at(-1)?.held ?? 0} of ${lane.rows.length}`);
    this.title.textContent = `Entries kept of tokens seen: ${said.join("; ")}`;
    this.legend.textContent = `(dashed: all of them)`;
  }
}
