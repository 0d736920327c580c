// Two pictures on the stage: side by side, by turns, wiped over one another, or what differs between them.
import { baseName, fileSize, h, imagePage, picture, plural, score, thumb } from "/static/dom.js";

const SIDE = 1280;
export const MODES = ["side", "flicker", "swipe", "difference"];

// Fill the stage; `roles` are the words above the two pictures.
export function compare(stage, mode, [first, second], roles, distance) {
  stop();
  if (mode === "side" || !first.hash || !second.hash) {
    stage.replaceChildren(h("div", { class: "side" }, pane(first, second, roles[0], false), pane(second, first, roles[1], true)));
    return;
  }
  const shown = { flicker, swipe, difference }[mode](first, second, roles);
  const near = h("span", { class: "muted numbers" }, distance === null ? "" : `distance ${score(distance)}`);
  stage.replaceChildren(h("div", { class: "one" }, h("div", { class: "caption" }, shown.caption, near), shown.canvas, h("div", { class: "two-facts" }, facts(first, second), facts(second, first))));
}

let stop = () => {};

function pane(image, other, role, framed) {
  return h("figure", { class: framed ? "pane framed" : "pane" },
    h("figcaption", { class: "pane-head" },
      h("span", { class: framed ? "chip decided" : "chip unique" }, role),
      h("a", { class: "path", href: imagePage(image.id), title: image.id }, image.id)),
    h("div", { class: "canvas" }, picture(image, SIDE, { alt: image.id })),
    facts(image, other));
}

// Size, format and so on, the better of the two told apart.
function facts(image, other) {
  const better = (mine, its) => (mine > its ? "better" : "");
  const pixels = (one) => one.width * one.height;
  return h("div", { class: "pane-facts" },
    h("b", { class: better(pixels(image), pixels(other)) }, `${image.width} × ${image.height}`),
    h("b", { class: better(image.bytes, other.bytes) }, fileSize(image.bytes)),
    h("span", {}, image.format ?? ""),
    image.split ? h("span", {}, image.split) : null,
    image.copies ? h("span", {}, `${plural(image.copies, "duplicate")} of it removed`) : null,
    image.tags.length ? h("span", {}, image.tags.join(", ")) : null);
}

function flicker(first, second, roles) {
  const caption = h("span", { class: "path" });
  const [below, above] = [first, second].map((image) => picture(image, SIDE, { alt: image.id }));
  const show = (other) => {
    above.style.visibility = other ? "hidden" : "visible";
    caption.textContent = other ? `${roles[0]}: ${first.id}` : `${roles[1]}: ${second.id}`;
  };
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let turn = false;
  show(turn);
  const timer = still ? 0 : setInterval(() => show((turn = !turn)), 500);
  stop = () => clearInterval(timer);
  return { caption, canvas: h("div", { class: "canvas" }, below, above) };
}

function swipe(first, second, roles) {
  const caption = h("span", { class: "path" }, `${roles[0]}: ${baseName(first.id)} | ${roles[1]}: ${baseName(second.id)}`);
  const [below, above] = [second, first].map((image) => picture(image, SIDE, { alt: image.id }));
  const edge = h("div", { class: "edge" });
  const canvas = h("div", { class: "canvas swipe", tabIndex: 0, role: "slider", "aria-label": "Edge between the two pictures", "aria-valuemin": "0", "aria-valuemax": "100" }, below, above, edge);
  let at = 0.5;
  const show = (share) => {
    at = Math.min(Math.max(share, 0), 1);
    above.style.clipPath = `inset(0 ${(1 - at) * 100}% 0 0)`;
    edge.style.left = `${at * 100}%`;
    canvas.setAttribute("aria-valuenow", String(Math.round(at * 100)));
  };
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    show((event.clientX - box.left) / box.width);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.05, ArrowRight: 0.05 }[event.key];
    if (step === undefined) return;
    show(at + step);
    event.stopPropagation();
    event.preventDefault();
  });
  show(at);
  return { caption, canvas };
}

// Where the two differ, both brought to one size: dark where they agree, bright where they do not.
function difference(first, second) {
  const caption = h("span", { class: "path" }, "Difference, dark where the two agree …");
  const canvas = h("canvas", { role: "img", "aria-label": "Difference picture" });
  let current = true;
  stop = () => { current = false; };
  Promise.all([pixels(first), pixels(second)]).then(([one, other]) => {
    if (!current) return;
    const size = [Math.max(one.width, 1), Math.max(one.height, 1)];
    const [a, b] = [drawn(one, size), drawn(other, size)];
    [canvas.width, canvas.height] = size;
    const { data, share, largest } = subtract(a, b);
    canvas.getContext("2d").putImageData(new ImageData(data, ...size), 0, 0);
    canvas.dataset.share = share;
    caption.textContent = `Difference: ${(share * 100).toFixed(1)} % of the pixels differ visibly, the most by ${largest} of 255`;
  }).catch(() => { caption.textContent = "One of the two cannot be shown."; });
  return { caption, canvas: h("div", { class: "canvas" }, canvas) };
}

async function pixels(image) {
  const img = new Image();
  img.src = thumb(image.hash, SIDE);
  await img.decode();
  return createImageBitmap(img);
}

function drawn(bitmap, [width, height]) {
  const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

const VISIBLE = 16;
const GAIN = 3;

function subtract(a, b) {
  const data = new Uint8ClampedArray(a.length);
  let [visible, largest] = [0, 0];
  for (let at = 0; at < a.length; at += 4) {
    const by = Math.max(Math.abs(a[at] - b[at]), Math.abs(a[at + 1] - b[at + 1]), Math.abs(a[at + 2] - b[at + 2]));
    if (by > VISIBLE) visible += 1;
    if (by > largest) largest = by;
    const heat = Math.min(1, (by * GAIN) / 255);
    const under = (a[at] + a[at + 1] + a[at + 2]) * 0.045;
    data[at] = under + 255 * Math.min(1, heat * 1.6);
    data[at + 1] = under + 255 * Math.max(0, heat * 1.6 - 0.5);
    data[at + 2] = under + 60 * heat;
    data[at + 3] = 255;
  }
  return { data, share: visible / (a.length / 4), largest };
}
