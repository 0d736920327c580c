// Making elements. Text always goes in as text, so a file name with HTML in it is shown as it is.

export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class" || key.includes("-") || key === "role" || key === "for") element.setAttribute(key, value === true ? "" : value);
    else element[key] = value;
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
export const read = (id) => JSON.parse(document.getElementById(id).textContent);

export function say(sentence, bad = false) {
  const toast = h("div", { class: bad ? "toast bad" : "toast" }, sentence);
  const dialog = $("dialog[open]"); // what is behind it is neither seen nor read out
  (dialog ? toastsIn(dialog) : $("[data-toasts]")).append(toast);
  setTimeout(() => toast.remove(), bad ? 9000 : 3500);
}

function toastsIn(dialog) {
  return $(".toasts", dialog) ?? dialog.appendChild(h("div", { class: "toasts", role: "alert" }));
}

export const count = (value) => value.toLocaleString("en");
export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;
export const baseName = (id) => id.slice(id.lastIndexOf("/") + 1);
export const imagePage = (id) => `/image?${new URLSearchParams({ id })}`;
export const thumb = (hash, side = 320) => `/thumb/${side}/${hash}`;

export function score(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  return value >= 0.001 ? value.toFixed(4) : Number(value.toPrecision(2)).toString();
}

export function fileSize(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  let unit = 0;
  for (; bytes >= 1000 && unit < 3; unit += 1) bytes /= 1000;
  return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
}

export function cannotShow(title, detail = "") {
  return h("div", { class: "cannot" }, h("strong", {}, title), h("span", {}, detail));
}

// An img that turns into a plain statement when the picture cannot be shown.
export function picture(image, side, properties = {}) {
  if (!image.hash) return cannotShow(image.status ?? "no picture", image.error ?? "");
  const img = h("img", { alt: "", decoding: "async", draggable: false, ...properties, src: thumb(image.hash, side) });
  img.addEventListener("error", () => img.replaceWith(cannotShow("cannot be shown")), { once: true });
  return img;
}
