// A grid of any length of which only what is in sight exists. Tiles have one fixed size, so nothing ever jumps.

const GAP = 14;
const META = 72; // height of the text under the picture
const CHUNK = 120;

export class Scroller {
  // load(offset, limit) resolves to tiles; make(tile, index) builds an element; changed() follows a new layout.
  constructor(host, { load, make, size }) {
    Object.assign(this, { host, load, make, size, total: 0, chunks: new Map(), shown: new Map() });
    host.style.setProperty("--gap", `${GAP}px`);
    addEventListener("scroll", () => this.frame(), { passive: true });
    new ResizeObserver(() => this.layout()).observe(host);
  }

  // Show another list; `first` is its beginning, fetched already.
  reset(total, first) {
    this.total = total;
    this.chunks.clear();
    this.chunks.set(0, first);
    this.clear();
    this.layout();
  }

  resize(size) {
    this.size = size;
    this.clear();
    this.layout();
  }

  // Build the tiles in sight again, for instance because the selection changed.
  redraw() {
    this.clear();
    this.draw();
  }

  clear() {
    this.shown.forEach((element) => element.remove());
    this.shown.clear();
  }

  layout() {
    const width = this.host.clientWidth;
    if (!width) return;
    this.columns = Math.max(1, Math.floor((width + GAP) / (this.size + GAP)));
    this.side = Math.floor((width - GAP * (this.columns - 1)) / this.columns);
    this.row = this.side + META + GAP;
    this.host.style.height = `${Math.max(0, Math.ceil(this.total / this.columns) * this.row - GAP)}px`;
    this.shown.forEach((element, index) => this.place(element, index));
    this.draw();
  }

  frame() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this.draw();
    });
  }

  draw() {
    if (!this.row) return;
    const top = -this.host.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / this.row) - 1) * this.columns;
    const last = Math.min(this.total, (Math.ceil((top + innerHeight) / this.row) + 1) * this.columns);
    for (const [index, element] of this.shown) {
      if (index < first || index >= last) {
        element.remove();
        this.shown.delete(index);
      }
    }
    for (let chunk = Math.floor(first / CHUNK); chunk * CHUNK < last; chunk += 1) this.need(chunk);
    for (let index = first; index < last; index += 1) this.build(index);
  }

  build(index) {
    const tile = this.at(index);
    if (!tile || this.shown.has(index)) return;
    const element = this.make(tile, index);
    this.place(element, index);
    this.shown.set(index, element);
    const after = [...this.shown.keys()].filter((other) => other > index);
    this.host.insertBefore(element, after.length ? this.shown.get(Math.min(...after)) : null);
  }

  place(element, index) {
    const [row, column] = [Math.floor(index / this.columns), index % this.columns];
    element.style.width = `${this.side}px`;
    element.style.height = `${this.side + META}px`;
    element.style.transform = `translate(${column * (this.side + GAP)}px, ${row * this.row}px)`;
    element.classList.toggle("row-end", column === this.columns - 1);
  }

  at(index) {
    const chunk = this.chunks.get(Math.floor(index / CHUNK));
    return Array.isArray(chunk) ? chunk[index % CHUNK] : undefined;
  }

  async need(chunk) {
    if (this.chunks.has(chunk)) return this.chunks.get(chunk);
    const { chunks } = this;
    const loading = this.load(chunk * CHUNK, CHUNK);
    chunks.set(chunk, loading);
    try {
      chunks.set(chunk, await loading);
      this.frame();
    } catch {
      chunks.delete(chunk);
    }
    return chunks.get(chunk);
  }

  // The tiles from one index to another, both included.
  async between(one, other) {
    const [first, last] = [Math.min(one, other), Math.max(one, other)];
    for (let chunk = Math.floor(first / CHUNK); chunk * CHUNK <= last; chunk += 1) await this.need(chunk);
    return Array.from({ length: last - first + 1 }, (_, step) => this.at(first + step)).filter(Boolean);
  }

  // Bring an index into sight and give its element.
  async reveal(index) {
    await this.need(Math.floor(index / CHUNK));
    const top = this.host.getBoundingClientRect().top + scrollY + Math.floor(index / this.columns) * this.row;
    const margin = 150;
    if (top < scrollY + margin) scrollTo({ top: top - margin });
    else if (top + this.row > scrollY + innerHeight) scrollTo({ top: top + this.row - innerHeight + 20 });
    this.draw();
    return this.shown.get(index);
  }
}

export const FIRST = CHUNK;
