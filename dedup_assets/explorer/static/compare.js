// Two pictures on the stage: side by side, by turns, wiped over one another, or what differs between them.
import { differenceCanvas, subtractOn } from "/static/difference.js";
import { $, baseName, fileSize, h, imagePage, picture, plural, score } from "/static/dom.js";
import { howLaid, layer } from "/static/overlay.js";
import { fullSize } from "/static/zoom.js";

const SIDE = 1280;
export const MODES = ["side", "flicker", "swipe", "difference"];

// Fill the stage; `roles` are the words above the two pictures.
export function compare(stage, mode, [first, second], roles, distance) {
  stop();
  const sliding = document.activeElement?.matches("[role=slider]") && stage.contains(document.activeElement);
  if (mode === "side" || !first.hash || !second.hash) {
    stage.replaceChildren(h("div", { class: "side" }, pane(first, second, roles[0], false), pane(second, first, roles[1], true)));
    return;
  }
  const shown = { flicker, swipe, difference }[mode](first, second, roles);
  const near = h("span", { class: "muted numbers" }, distance === null ? "" : `distance ${score(distance)}`);
  const how = h("span", { class: "muted" });
  howLaid(first, second).then((words) => { how.textContent = words; });
  stage.replaceChildren(h("div", { class: "one" }, h("div", { class: "caption" }, shown.caption, near, how), shown.canvas, h("div", { class: "two-facts" }, facts(first, second), facts(second, first))));
  if (sliding) $("[role=slider]", stage)?.focus();
}

let stop = () => {};
// While they flicker: stay, and show the other of the two.
export let flip = () => {};

function pane(image, other, role, framed) {
  return h("figure", { class: framed ? "pane framed" : "pane" },
    h("figcaption", { class: "pane-head" },
      h("span", { class: framed ? "chip decided" : "chip unique" }, role),
      h("a", { class: "path", href: imagePage(image.id), title: image.id }, image.id)),
    h("div", { class: "canvas" }, picture(image, SIDE, { alt: image.id, "data-width": image.width, "data-height": image.height, "data-full": fullSize(image) })),
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
  const caption = h("span", { class: "path", "aria-live": "off" }); // it would be read out twice a second
  const [below, above] = [picture(first, SIDE, { alt: first.id }), layer(first, second)];
  const show = (other) => {
    above.style.visibility = other ? "hidden" : "visible";
    caption.textContent = other ? `${roles[0]}: ${first.id}` : `${roles[1]}: ${second.id}`;
  };
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let turn = false;
  show(turn);
  const timer = still ? 0 : setInterval(() => show((turn = !turn)), 500);
  stop = () => clearInterval(timer);
  flip = () => {
    stop();
    show((turn = !turn));
  };
  return { caption, canvas: h("div", { class: "canvas", onclick: flip }, below, above) };
}

function swipe(first, second, roles) {
  const caption = h("span", { class: "path" }, `${roles[0]}: ${baseName(first.id)} | ${roles[1]}: ${baseName(second.id)}`);
  const [below, above] = [layer(first, second), picture(first, SIDE, { alt: first.id })];
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
    const step = { ArrowLeft: -0.05, ArrowDown: -0.05, ArrowRight: 0.05, ArrowUp: 0.05, PageDown: -0.25, PageUp: 0.25, Home: -1, End: 1 }[event.key];
    if (step === undefined) return;
    show(at + step);
    event.stopPropagation();
    event.preventDefault();
  });
  show(at);
  return { caption, canvas };
}

function difference(first, second) {
  const caption = h("span", { class: "path" }, "Difference, dark where the two agree …");
  const canvas = differenceCanvas();
  subtractOn(canvas, first, second)
    .then((sentence) => { caption.textContent = sentence; })
    .catch(() => { caption.textContent = "One of the two cannot be shown."; });
  return { caption, canvas: h("div", { class: "canvas" }, canvas) };
}
