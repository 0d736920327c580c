// The names on the boxes: an SVG scales its text with the picture, so the size is set against that.
import { $$ } from "/static/dom.js";

const TEXT_PIXELS = 12;
const watcher = new ResizeObserver((entries) => {
  for (const { target } of entries) target.style.fontSize = `${TEXT_PIXELS / target.getScreenCTM().a}px`;
});
for (const svg of $$(".drawn svg")) watcher.observe(svg);
