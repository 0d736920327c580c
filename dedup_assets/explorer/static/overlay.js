// One picture laid over another as the server found that it lies: cropped, turned, mirrored or frame upon frame.
import { get } from "/static/api.js";
import { h, picture, thumb } from "/static/dom.js";

const SIDE = 1280;
const known = new Map();
const FRAMES = { matrix: [1, 0, 0, 0, 1, 0], moved: false, mirrored: false, turned: false };

export function laidOver(first, second) {
  const key = `${first.hash} ${second.hash}`;
  if (!known.has(key)) known.set(key, get("/api/overlay", new URLSearchParams({ first: first.hash, second: second.hash })).catch(() => FRAMES));
  return known.get(key);
}

// In words, for the caption.
export async function howLaid(first, second) {
  const { moved, mirrored, turned } = await laidOver(first, second);
  const how = [turned && "turned", mirrored && "mirrored"].filter(Boolean).join(" and ");
  return moved ? `laid over one another${how && `, one of them ${how}`}` : "";
}

export async function pixels(image) {
  const img = new Image();
  img.src = thumb(image.hash, SIDE);
  await img.decode();
  return createImageBitmap(img);
}

export function paint(context, bitmap, [a, b, c, d, e, f] = FRAMES.matrix) {
  const { width, height } = context.canvas;
  context.imageSmoothingQuality = "high";
  context.setTransform(a * width, d * height, b * width, e * height, c * width, f * height);
  context.drawImage(bitmap, 0, 0, 1, 1);
}

// The second picture as it lies on the first, in the frame of that.
export function layer(first, second) {
  const host = h("div", { class: "layer" }, picture(second, SIDE, { alt: second.id }));
  lay(host, first, second).catch(() => {}); // where one cannot be shown the other stays as it is
  return host;
}

async function lay(host, first, second) {
  const { matrix, moved } = await laidOver(first, second);
  if (!moved) return;
  const [one, other] = await Promise.all([pixels(first), pixels(second)]);
  const canvas = h("canvas", { role: "img", "aria-label": second.id, width: one.width, height: one.height });
  paint(canvas.getContext("2d"), other, matrix);
  host.replaceChildren(canvas);
}
