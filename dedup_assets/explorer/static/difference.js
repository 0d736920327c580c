// What differs between two pictures that are laid over one another.
import { baseName, h } from "/static/dom.js";
import { laidOver, paint, pixels } from "/static/overlay.js";

const VISIBLE = 16;
const GAINS = { least: 3, most: 24, full: 200 };

// Fill the canvas: dark where they agree, bright where they do not, blue where there is only the first.
export async function subtractOn(canvas, first, second) {
  const [one, other, laid] = await Promise.all([pixels(first), pixels(second), laidOver(first, second)]);
  [canvas.width, canvas.height] = [Math.max(one.width, 1), Math.max(one.height, 1)];
  const found = differences(data(one, canvas), data(other, canvas, laid.matrix));
  const gain = Math.min(GAINS.most, Math.max(GAINS.least, GAINS.full / Math.max(found.largest, 1)));
  canvas.getContext("2d").putImageData(new ImageData(coloured(found, gain), canvas.width), 0, 0);
  canvas.dataset.share = found.share;
  return sentence(found, gain, baseName(first.id));
}

function data(bitmap, { width, height }, matrix) {
  const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", { willReadFrequently: true });
  paint(context, bitmap, matrix);
  return context.getImageData(0, 0, width, height).data;
}

// By how much each pixel differs (0..255), -1 where only the first has one.
function differences(a, b) {
  const by = new Int16Array(a.length / 4);
  let [visible, largest, alone] = [0, 0, 0];
  for (let at = 0; at < a.length; at += 4) {
    if (b[at + 3] < 255) {
      by[at / 4] = -1;
      alone += 1;
      continue;
    }
    const most = Math.max(Math.abs(a[at] - b[at]), Math.abs(a[at + 1] - b[at + 1]), Math.abs(a[at + 2] - b[at + 2]));
    by[at / 4] = most;
    if (most > VISIBLE) visible += 1;
    if (most > largest) largest = most;
  }
  return { a, by, largest, share: visible / Math.max(by.length - alone, 1), alone: alone / by.length };
}

function coloured({ a, by }, gain) {
  const out = new Uint8ClampedArray(a.length).fill(255);
  for (let at = 0; at < a.length; at += 4) {
    const light = a[at] + a[at + 1] + a[at + 2];
    const difference = by[at / 4];
    if (difference < 0) {
      [out[at], out[at + 1], out[at + 2]] = [light * 0.04, light * 0.07, 50 + light * 0.16];
      continue;
    }
    const heat = Math.min(1, (difference * gain) / 255);
    out[at] = light * 0.045 + 255 * Math.min(1, heat * 1.6);
    out[at + 1] = light * 0.045 + 255 * Math.max(0, heat * 1.6 - 0.5);
    out[at + 2] = light * 0.045 + 60 * heat;
  }
  return out;
}

function sentence({ largest, share, alone }, gain, name) {
  if (!largest && !alone) return "Difference: none at this size";
  const drawn = gain > GAINS.least ? `, drawn ${Math.round(gain)} times stronger` : "";
  const only = alone > 0.001 ? `; blue, ${percent(alone)}: only in ${name}` : "";
  return `Difference: ${percent(share)} of the pixels differ visibly, the most by ${largest} of 255${drawn}${only}`;
}

function percent(share) {
  if (share > 0 && share < 0.001) return "less than 0.1 %";
  return `${(share * 100).toFixed(1)} %`;
}

export const differenceCanvas = () => h("canvas", { role: "img", "aria-label": "Difference picture" });
