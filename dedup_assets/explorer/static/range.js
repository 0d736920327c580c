// A range of uniqueness: two handles under a small histogram, on an axis stretched near zero (cube root).
import { h } from "/static/dom.js";

const STEPS = 1000;
const TICKS = [0, 0.001, 0.01, 0.05, 0.2, 0.5, 1];
const toPlace = (value) => Math.cbrt(value);
const twoDigits = (value) => Number(value.toPrecision(2));

export class Range {
  constructor(host, { bars, duplicate, near, snaps, onchange }) {
    this.snaps = [0, ...snaps, 1];
    this.onchange = onchange;
    this.bars = Array.from({ length: bars }, (_, place) => h("i", { class: kind(place, bars, duplicate, near) }));
    this.low = this.slider("Lowest uniqueness shown");
    this.high = this.slider("Highest uniqueness shown");
    this.fill = h("div", { class: "range-fill" });
    this.lowText = this.field("Lowest uniqueness");
    this.highText = this.field("Highest uniqueness");
    const ticks = TICKS.map((value) => {
      const tick = h("span", {}, String(value));
      tick.style.left = `${toPlace(value) * 100}%`;
      return tick;
    });
    host.append(
      h("div", { class: "range-chart", "aria-hidden": "true" }, this.bars),
      h("div", { class: "range-track" }, this.fill, this.low, this.high),
      h("div", { class: "range-ticks", "aria-hidden": "true" }, ticks),
      h("div", { class: "range-numbers" }, this.lowText, h("span", {}, "to"), this.highText),
    );
    this.show(0, 1);
  }

  slider(label) {
    return h("input", { type: "range", min: 0, max: STEPS, step: 1, "aria-label": label, oninput: () => this.dragged() });
  }

  field(label) {
    return h("input", { inputMode: "decimal", "aria-label": label, onchange: () => this.typed() });
  }

  show(low, high) {
    Object.assign(this, { from: low, to: high });
    this.low.value = Math.round(toPlace(low) * STEPS);
    this.high.value = Math.round(toPlace(high) * STEPS);
    this.low.setAttribute("aria-valuetext", String(low));
    this.high.setAttribute("aria-valuetext", String(high));
    this.lowText.value = String(low);
    this.highText.value = String(high);
    this.fill.style.left = `${toPlace(low) * 100}%`;
    this.fill.style.right = `${(1 - toPlace(high)) * 100}%`;
    this.low.style.zIndex = toPlace(low) > 0.9 ? 2 : 1;
    this.bars.forEach((bar, place) => {
      const [start, end] = [(place / this.bars.length) ** 3, ((place + 1) / this.bars.length) ** 3];
      bar.classList.toggle("inside", (end > low || place === 0 && low === 0) && start <= high);
    });
  }

  draw(counts) {
    const most = Math.sqrt(Math.max(1, ...counts));
    counts.forEach((images, place) => {
      this.bars[place].style.height = images ? `max(2px, ${(Math.sqrt(images) / most) * 100}%)` : "0";
    });
  }

  dragged() {
    let [low, high] = [this.valueAt(this.low), this.valueAt(this.high)];
    if (low > high) [low, high] = [high, high];
    this.show(low, high);
    this.onchange(low, high);
  }

  valueAt(slider) {
    const place = Number(slider.value) / STEPS;
    const snap = this.snaps.find((value) => Math.abs(toPlace(value) - place) < 0.0025);
    return snap ?? twoDigits(place ** 3);
  }

  typed() {
    const value = (field, otherwise) => {
      const number = Number(field.value.replace(",", "."));
      return field.value.trim() && number >= 0 && number <= 1 ? number : otherwise;
    };
    const [low, high] = [value(this.lowText, this.from), value(this.highText, this.to)];
    this.show(Math.min(low, high), Math.max(low, high));
    this.onchange(this.from, this.to);
  }
}

function kind(place, bars, duplicate, near) {
  const [start, end] = [(place / bars) ** 3, ((place + 1) / bars) ** 3];
  if (place === 0 || end <= duplicate) return "duplicate";
  return start < near ? "near" : "unique";
}
